"""What the sub-commands share."""
