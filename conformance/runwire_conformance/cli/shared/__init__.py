"""Code shared by the sub-commands."""
