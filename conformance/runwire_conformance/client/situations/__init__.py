"""Situations that many cases need, on either transport: a run, a question, a client that does harm."""
