"""Agents backed by a model or an application, and an endpoint for AG-UI clients."""
