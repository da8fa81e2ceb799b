"""Verdicts and the exit code, from the outcomes of cases."""
