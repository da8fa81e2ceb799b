"""Runs and their logs, without I/O."""
