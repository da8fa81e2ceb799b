"""The forms in which recorded conversations come: recordings, HAR files, and what terminals print."""
