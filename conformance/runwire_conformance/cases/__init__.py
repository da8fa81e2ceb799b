"""The cases, one module a chapter."""
