"""The client under test: its start, claims, parameters and reports."""
