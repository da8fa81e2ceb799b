"""Agents that ask a model or an application, and an endpoint for clients of another protocol."""
