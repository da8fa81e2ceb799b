"""What a user says of a server and of the search, in `runwire.toml` or by option."""
