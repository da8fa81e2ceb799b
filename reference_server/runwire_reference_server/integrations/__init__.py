"""Agents that ask a model or an application."""
