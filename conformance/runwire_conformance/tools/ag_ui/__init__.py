"""Streams of AG-UI, judged by the text of that protocol."""
