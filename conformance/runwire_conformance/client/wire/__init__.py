"""Low-level peers that expose every byte and can misbehave on demand."""
