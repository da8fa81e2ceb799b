"""User options for the server and the search, from `runwire.toml` or the command line."""
