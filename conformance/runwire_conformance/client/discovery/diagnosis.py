"""Diagnosis of a URL without a Runwire server: what answers there, and a one-line remedy."""

import asyncio
import ssl
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

from runwire_conformance.client.wire.http import (
    CONNECT_S,
    NoHandshake,
    Response,
    UnknownHost,
    Unreachable,
    address_of,
    open_socket,
)
from runwire_conformance.trace.message import parsed
from runwire_spec import registries

#: Seconds for which the first bytes of whatever listens are waited for; they only make the complaint a better one.
GREETING_S = 2.0
MOST_BYTES = 256

#: How web servers say that a port wants TLS.
WANTS_TLS = (b"HTTPS port", b"HTTPS server", b"https://")

#: Statuses by which a proxy says that it does not reach what is behind it.
PROXY_STATUSES = frozenset({502, 503, 504})


class NoRunwireServer(Exception):
    """There is nothing to judge; the message is one line that says what to do.

    `response` is the answer that shows it, where what stands between may have brought it about.
    """

    response: Response | None = None


class NotHttp(NoRunwireServer):
    """What listens took a connection and did not answer with HTTP; that may pass."""


class CredentialRequired(NoRunwireServer):
    """What listens asks everybody for a credential, even for what is open to all ([CONN-1])."""


def with_tls_switched(url: str) -> str:
    """Return a URL with TLS where it had none, and without where it had it."""
    parts = urlsplit(url)
    schemes = {"http": "https", "https": "http", "ws": "wss", "wss": "ws"}
    return urlunsplit((schemes[parts.scheme], parts.netloc, parts.path, parts.query, ""))


async def unreachable(url: str, problem: Unreachable) -> NoRunwireServer:
    """Return what to do about a server to which no connection could be made."""
    if isinstance(problem, UnknownHost):
        name = urlsplit(url).hostname
        return NoRunwireServer(f"cannot resolve the name {name} ({problem.reason}); is it spelled correctly?")
    if not isinstance(problem, NoHandshake):
        return NoRunwireServer(f"cannot connect to {problem}; is the server running there?")
    if "CERTIFICATE_VERIFY_FAILED" in problem.reason:
        return NoRunwireServer(_untrusted_certificate(url, _reason(problem.reason)))
    first = await _greeting(url)
    if first.startswith(b"HTTP/"):
        return NoRunwireServer(f"{_authority(url)} does not speak TLS; use {with_tls_switched(url)}")
    ended = f"ended the TLS handshake: {_reason(problem.reason)}"
    how = f"did not answer the TLS handshake within {CONNECT_S:g} s" if problem.timed_out else ended
    return NoRunwireServer(_from_greeting(first, url) or f"{_authority(url)} {how}; is it the right port?")


async def not_http(url: str, said: str) -> NoRunwireServer:
    """Return what to do about something that took a connection and did not answer with HTTP; `said` is how."""
    first = b"" if urlsplit(url).scheme in {"https", "wss"} else await _greeting(url)
    if not first.startswith(b"HTTP/") and urlsplit(url).scheme in {"http", "ws"} and await _speaks_tls(url):
        return NotHttp(f"{_authority(url)} speaks TLS; use {with_tls_switched(url)}")
    doubt = ", or is the server stuck?" if "nothing within" in said else "?"
    nobody = f"there is no Runwire server at {_authority(url)}: {said}; is it the right port{doubt}"
    return NotHttp(_from_greeting(first, url) or nobody)


def speaks_runwire(response: Response) -> bool:
    """Whether a refusal is one of Runwire's: a problem with a code of its registry."""
    if response.media_type != "application/problem+json":
        return False
    body = parsed(response.body.decode("utf-8", "replace"))
    return body is not None and body.get("code") in {row["code"] for row in registries()["errors"]}


def refused_status(url: str, status: int, *, has_credential: bool) -> NoRunwireServer | None:
    """Return what to do about a status that says nothing of Runwire, or None for another."""
    if status in {401, 403}:
        hint = (
            "is the credential correct?" if has_credential else "give a credential with --token or --header"
        )
        return CredentialRequired(f"{url} answered {status}; {hint}")
    if status == 429:
        return NoRunwireServer(
            f"{url} answered 429: the server is at its limit; end other clients, or try again later"
        )
    if status in PROXY_STATUSES:
        return NoRunwireServer(
            f"{url} answered {status}, as a proxy does when it cannot reach the server; is the server running?"
        )
    return None


def _from_greeting(first: bytes, url: str) -> str:
    """Return what the first bytes of whatever listens say of it, or an empty string."""
    address = _authority(url)
    if first.startswith(b"SSH-"):
        return f"an SSH server listens at {address}; use the port of the Runwire server"
    if first.startswith((b"\x15\x03", b"\x16\x03")) or any(words in first for words in WANTS_TLS):
        return f"{address} speaks TLS; use {with_tls_switched(url)}"
    if first.startswith(b"GET / "):
        return f"there is no Runwire server at {address}: it echoes messages, as an echo server does"
    if first and not first.startswith(b"HTTP/"):
        return (
            f"there is no Runwire server at {address}: it does not speak HTTP, and began with {first[:20]!r}"
        )
    return ""


async def _greeting(url: str) -> bytes:
    """Return the first bytes that come when HTTP without TLS is spoken to a port, or none."""
    address = replace(address_of(url), tls=False)
    try:
        reader, writer = await open_socket(address, None)
    except Unreachable:
        return b""
    try:
        async with asyncio.timeout(GREETING_S):
            writer.write(f"GET / HTTP/1.1\r\nHost: {address.authority}\r\nConnection: close\r\n\r\n".encode())
            return await reader.read(MOST_BYTES)
    except (OSError, TimeoutError):
        return b""
    finally:
        writer.close()


async def _speaks_tls(url: str) -> bool:
    """Return whether a port takes part in a TLS handshake, whoever vouches for it."""
    address = address_of(url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(GREETING_S):
            _, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _authority(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname} port {parts.port or address_of(url).port}"


def _reason(said: str) -> str:
    """Return what OpenSSL says, without its own places."""
    return (said.partition("] ")[2].partition(" (_ssl")[0] or said).rstrip(".")


def _untrusted_certificate(url: str, said: str) -> str:
    """Return what to do about a certificate, of which OpenSSL says why it does not count."""
    if "mismatch" in said:
        told = f"the certificate of {_authority(url)} is for another name: {said}"
        return f"{told}; use the name that it was issued for"
    if "expired" in said or "not yet valid" in said:
        return f"the certificate of {_authority(url)} is not valid at this time: {said}; renew it, or correct the clock"
    told = f"the certificate of {_authority(url)} is not trusted: {said}"
    return f"{told}; give the certificate of its issuer with --cafile FILE"
