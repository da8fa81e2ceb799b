"""The proof that the judge blames every flaw and accuses no good server."""
