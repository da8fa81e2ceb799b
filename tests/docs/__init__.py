"""Tests of the site, its pages and examples."""
