"""From the outcomes of cases to verdicts and the exit code."""
