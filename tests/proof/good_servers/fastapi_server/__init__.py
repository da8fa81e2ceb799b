"""A Runwire server on FastAPI, written from the specification alone: classes core, resume, sse and script_agent."""
