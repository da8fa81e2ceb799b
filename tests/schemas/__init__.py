"""Tests of the schemas, their vectors and transcripts."""
