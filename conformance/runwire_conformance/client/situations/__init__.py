"""Fixtures shared by many cases, on either transport: a run, an input request, a hostile client."""
