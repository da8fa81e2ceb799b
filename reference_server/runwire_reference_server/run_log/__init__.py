"""Runs and their logs, without any I/O."""
