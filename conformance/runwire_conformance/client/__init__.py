"""The judge's own protocol client, which records connections, streams, requests and times."""
