"""Run service: start, attach, cancel, drain, and the workers and readers of a log."""
