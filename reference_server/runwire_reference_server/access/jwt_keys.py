"""Public keys of JSON Web Tokens: a JSON Web Key Set in a file or at a URL (RFC 7517)."""

import asyncio
import http.client
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import jwt

from runwire_reference_server.access.credentials import Unauthorized
from runwire_reference_server.access.fetching import fetched, in_daemon_thread
from runwire_reference_server.run_log.refusal import Refusal
from runwire_reference_server.service.settings import is_loopback

log = logging.getLogger(__name__)

#: Seconds between two fetches, whatever for ([AUTH-19]).
REFETCH_S = 60.0

#: Seconds after which keys are fetched again, so that withdrawn ones are forgotten.
MAX_AGE_S = 3600.0

#: Seconds that a fetch may take as a whole, and bytes that it may bring.
FETCH_S = 5.0
MAX_SET_BYTES = 1 << 20


class KeySet:
    """The keys of one place, fetched when they are needed."""

    def __init__(self, place: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._clock = clock
        self._keys: jwt.PyJWKSet | None = None
        self._tried_at: float | None = None
        self._fetched_at = 0.0
        self._lock = asyncio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK:
        """Return the key of that name for `algorithm`, or the only one when no name is given.

        Raises Unauthorized when there is none, Refusal when no keys could be had so far.
        """
        found = self._pick(kid, algorithm)
        if found is None or self._clock() - self._fetched_at > MAX_AGE_S:
            await self._fetch_at_most_once_a_minute()
            found = self._pick(kid, algorithm)
        if self._keys is None:
            raise Refusal(
                "unavailable", "the keys of the token's issuer cannot be fetched at the moment", REFETCH_S
            )
        if found is None:
            raise Unauthorized("unknown")
        return found

    def _pick(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        fit = [
            key
            for key in self._keys or ()
            if key.algorithm_name == algorithm and key.public_key_use in (None, "sig")
        ]
        named = fit if kid is None else [key for key in fit if key.key_id == kid]
        return named[0] if len(named) == 1 else None

    async def _fetch_at_most_once_a_minute(self) -> None:
        async with self._lock:
            now = self._clock()
            if self._tried_at is not None and now - self._tried_at < REFETCH_S:
                return  # [AUTH-19]
            self._tried_at = now
            try:
                # No thread of the loop's own: one that waits for a key server would hold up the server's end.
                async with asyncio.timeout(FETCH_S):
                    self._keys = await in_daemon_thread(lambda: read_key_set(self._place))
            except (OSError, ValueError, http.client.HTTPException) as problem:
                log.warning("cannot fetch the keys at --jwks: %s", type(problem).__name__)
            else:
                self._fetched_at = now


def read_key_set(place: str) -> jwt.PyJWKSet:
    """Return the keys in a file or at a URL; raises OSError and ValueError. Blocks."""
    data = fetched(place, MAX_SET_BYTES, FETCH_S) if is_url(place) else Path(place).read_bytes()
    if len(data) > MAX_SET_BYTES:
        raise ValueError("the key set is too large")
    try:
        document = json.loads(data)
        return jwt.PyJWKSet.from_dict(document)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError):
        raise ValueError("it contains no JSON Web Key Set with a usable key") from None


def is_url(place: str) -> bool:
    """Whether `place` is a URL and no file."""
    return place.startswith(("http://", "https://"))


def is_safe_url(place: str) -> bool:
    """Whether nobody on the way can put other keys there: https, or this machine."""
    parts = urlsplit(place)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")
