"""What was said on one connection, how much of it is kept, and what of it is never shown."""
