"""Refusals of requests, and the error for unknown logs."""


class Refusal(Exception):
    """A message or request that is refused and had no effect, with a registered code and a text for a person."""

    def __init__(self, code: str, data: str, retry_after_s: float | None = None) -> None:
        super().__init__(data)
        self.code = code
        self.data = data
        self.retry_after_s = retry_after_s


class RunNotFound(Exception):
    """No log is known under that principal, `run_id` and epoch."""
