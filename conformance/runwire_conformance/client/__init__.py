"""A client of the protocol that sees everything: connections, streams, requests and the clock of the judge."""
