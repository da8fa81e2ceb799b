"""Importing this is what warms the process that judges are forked from."""

from .warm import warm

warm()
