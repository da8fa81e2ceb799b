"""Metrics, logs, and the dashboard and alert rules for them."""
