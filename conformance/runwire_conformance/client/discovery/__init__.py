"""Discovery: finds the server at a URL, collects its profile, and diagnoses failures."""
