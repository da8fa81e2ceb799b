"""Refusals of requests."""


class Refusal(Exception):
    """A message or request that is refused and had no effect, with a registered code and a text for a person."""

    def __init__(self, code: str, data: str, retry_after_s: float | None = None) -> None:
        super().__init__(data)
        self.code = code
        self.retry_after_s = retry_after_s


class RunNotFound(Refusal):
    """No log is known under that principal, `run_id` and epoch."""

    def __init__(self) -> None:
        super().__init__("not_found", "no such run")
