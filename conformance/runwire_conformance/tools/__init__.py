"""Validates, records, replays and loads without cases."""
