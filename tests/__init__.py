"""Tests of all this, by what they test."""
