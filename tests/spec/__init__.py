"""Tests of the specification's catalogue, and of who proves what."""
