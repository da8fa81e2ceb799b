"""File formats of recorded conversations: recordings, HAR files, terminal output."""
