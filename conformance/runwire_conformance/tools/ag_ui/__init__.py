"""Checks of AG-UI streams, by the text of that protocol."""
