"""The client that is judged: how it is started, what it claims, is told, and reports."""
