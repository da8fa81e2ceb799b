"""Keeps credentials out of everything that the judge tells: reports, transcripts, assertions."""

import base64
import json
from collections.abc import Iterable
from dataclasses import replace

from runwire_conformance.trace import Message, Record, Trace

MASK = "***"

#: A shorter value is no secret, and masking it would garble every text.
SHORTEST = 4


class Redaction:
    """The credentials that were used so far, configured or received, and how they look where they are carried."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: dict[str, None] = {}
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> str:
        """Remember a credential, and its form as a subprotocol ([AUTH-6]); return it."""
        if len(secret) >= SHORTEST:
            self._forms |= dict.fromkeys((secret, base64url(secret)))
        return secret

    def copy(self) -> "Redaction":
        """Return one that knows the same credentials and learns further ones for itself."""
        other = Redaction()
        other._forms = dict(self._forms)
        return other

    def masked(self, text: str) -> str:
        """Return `text` without credentials; a longer one goes before one that it holds."""
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, MASK)
        return text

    def holds(self, text: str) -> bool:
        """Whether a credential stands in `text`."""
        return any(form in text for form in self._forms)

    def mask(self, trace: Trace) -> None:
        """Take the credentials out of a conversation that was judged."""
        trace.title = self.masked(trace.title)
        trace.made.clear()
        for place, record in enumerate(trace.records):
            if self.holds(record.payload):
                trace.records[place] = self._without(record)

    def _without(self, record: Record) -> Record:
        payload = self.masked(record.payload)
        if record.message is None:
            return replace(record, payload=payload)
        plain = json.loads(self.masked(json.dumps(record.message, ensure_ascii=False)))
        return replace(record, payload=payload, message=Message(plain))


def base64url(content: str | bytes) -> str:
    """Return a text or bytes as base64url without padding."""
    data = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
