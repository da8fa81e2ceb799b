"""Redaction of credentials in reports, transcripts and assertions."""

import base64
import html
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from runwire_conformance.trace.message import Message
from runwire_conformance.trace.trace import Record, Trace

MASK = "***"

#: A shorter value is no secret, and masking it would garble every text.
SHORTEST = 4


#: A percent sign, itself encoded or not; and what stands before a character that is escaped, any number of times.
_PERCENT, _BACKSLASHES = "%(?:25)*", r"\\*"

#: What begins a character that is written as a number, beside a percent sign.
_ESCAPE = re.compile(r"\\[uUxX]")


class Redaction:
    """The credentials that were used so far, configured or received, and how they look where they are carried."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        #: Each form of a credential, a longer one before one that it holds.
        self._forms: tuple[str, ...] = ()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> str:
        """Remember a credential, also in base64 and as a subprotocol ([AUTH-6]); return it."""
        if len(secret) >= SHORTEST and secret not in self._forms:
            data = secret.encode("utf-8", "surrogatepass")
            forms = {*self._forms, secret, base64.b64encode(data).decode(), base64url(data)}
            self._forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))
        return secret

    def copy(self) -> "Redaction":
        """Return one that knows the same credentials and learns further ones for itself."""
        other = Redaction()
        other._forms = self._forms
        return other

    def masked(self, text: str) -> str:
        """Return `text` without credentials, whether they stand in JSON, in a URL or as they are."""
        signs = _Signs(text)
        for form in self._forms:
            text = _written(form).sub(MASK, text) if signs.of(form) else text.replace(form, MASK)
        return text

    def holds(self, text: str) -> bool:
        """Whether a credential stands in `text`."""
        signs = _Signs(text)
        return any(form in text or (signs.of(form) and _written(form).search(text)) for form in self._forms)

    def mask(self, trace: Trace) -> None:
        """Take the credentials out of a conversation that was judged."""
        trace.title = self.masked(trace.title)
        trace.made.clear()
        for place, record in enumerate(trace.records):
            if self.holds(record.payload):
                trace.records[place] = self._without(record)

    def without(self, value: Any) -> Any:
        """Return a JSON value in which no text holds a credential, member names among them."""
        if isinstance(value, str):
            return self.masked(value)
        if isinstance(value, list):
            return [self.without(item) for item in value]
        if isinstance(value, dict):
            return {self.masked(str(name)): self.without(item) for name, item in value.items()}
        return value

    def _without(self, record: Record) -> Record:
        payload = self.masked(record.payload)
        if record.message is None:
            return replace(record, payload=payload)
        return replace(record, payload=payload, message=Message(self.without(dict(record.message))))


class _Signs:
    """What says that something may stand in a text other than as it is: the costly patterns are for such texts only."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._bare = text.replace("\\", "") if "\\" in text else None
        self._coded = "%" in text or _ESCAPE.search(text) is not None

    def of(self, form: str) -> bool:
        """Whether this credential may stand there escaped or encoded."""
        if self._bare is not None and form.replace("\\", "") in self._bare:
            return True
        coded = self._coded or ("&" in self._text and html.escape(form) != form)
        coded = coded or ("+" in self._text and " " in form)
        return coded and _written(form[:SHORTEST]).search(self._text) is not None


@lru_cache(maxsize=1024)
def _written(secret: str) -> re.Pattern[str]:
    """Return a pattern that finds a text in JSON, in JSON within JSON, in a URL, in HTML, and as Python shows it.

    It begins where no backslash stands before it, or a row of them would be looked through from each of its places;
    what no first character may begin with is passed over at once.
    """
    begins = re.escape(secret[:1] + "\\%&+")
    return re.compile(rf"(?=[{begins}])(?<!\\)" + "".join(map(_letter, secret)))


@lru_cache(maxsize=1024)
def _letter(letter: str) -> str:
    """Return a pattern for one character; its alternatives begin in different ways, so that none is tried for long."""
    data = letter.encode("utf-8", "surrogatepass")
    units = letter.encode("utf-16-be", "surrogatepass")
    points = [units[at : at + 2].hex() for at in range(0, len(units), 2)]
    escaped = [
        "".join(rf"\\+(?i:u{point})" for point in points),
        "".join(rf"\\+(?i:x{byte:02x})" for byte in data),
        *([rf"\\+(?i:x{ord(letter):02x})"] if ord(letter) < 256 else []),
    ]
    plain = r"\\+" if letter == "\\" else rf"{_BACKSLASHES}{re.escape(letter)}"
    percent = "".join(rf"{_PERCENT}(?i:{byte:02x})" for byte in data)
    other = [re.escape(html.escape(letter))] if html.escape(letter) != letter else []
    other += [r"\+"] if letter == " " else []
    return f"(?:{'|'.join([*escaped, plain, percent, *other])})"


def base64url(content: str | bytes) -> str:
    """Return a text or bytes as base64url without padding."""
    data = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
