"""A run for stock clients of AG-UI: the same log, told in their events."""
