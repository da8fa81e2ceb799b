"""Access options of `runwire-server`."""

import argparse
import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from runwire_reference_server.access.addresses import Network, network
from runwire_reference_server.access.static_tokens import (
    ALGORITHMS,
    ASYMMETRIC,
    MAX_LEEWAY_S,
    MIN_SECRET_BYTES,
    SYMMETRIC,
    read_tokens,
)
from runwire_reference_server.service.settings import MAX_TICKET_S, Access, JwtSettings, SettingError

#: Variables of the environment that stand in for the files.
TOKENS_VARIABLE = "RUNWIRE_AUTH_TOKENS"
SECRET_VARIABLE = "RUNWIRE_JWT_SECRET"

T = TypeVar("T")

#: name, placeholder, whether it is repeatable, help
_OPTIONS: tuple[tuple[str, str, bool, str], ...] = (
    (
        "auth-tokens",
        "FILE",
        False,
        f"file with bearer tokens, as lines PRINCIPAL TOKEN (or {TOKENS_VARIABLE})",
    ),
    (
        "jwt-secret-file",
        "FILE",
        False,
        f"file with the secret for JSON Web Tokens with HS256 (or {SECRET_VARIABLE})",
    ),
    ("jwks", "FILE|URL", False, "JSON Web Key Set for tokens with RS256 and ES256"),
    ("jwt-audience", "AUD", True, "accept tokens for this audience"),
    ("jwt-issuer", "ISS", True, "accept tokens of this issuer only"),
    ("jwt-scope", "SCOPE", False, "answer 403 to principals whose token lacks this scope"),
    ("auth-cookie", "NAME", False, "accept a token in this cookie"),
    ("allow-address", "CIDR", True, "admit these client addresses only"),
    ("trust-proxy", "CIDR", True, "trust X-Forwarded-For and X-Forwarded-Proto from these hops"),
    ("tls-cert", "FILE", False, "certificate chain, to serve https and wss"),
    ("tls-key", "FILE", False, "the certificate's private key"),
)


def add_access_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to `parser`."""
    group = parser.add_argument_group("access")
    for name, placeholder, repeatable, text in _OPTIONS:
        if repeatable:
            group.add_argument(
                f"--{name}", metavar=placeholder, action="append", default=[], help=f"{text} (repeatable)"
            )
        else:
            group.add_argument(f"--{name}", metavar=placeholder, help=text)
    group.add_argument(
        "--jwt-algorithm",
        choices=ALGORITHMS,
        action="append",
        default=[],
        help="accept this algorithm only (repeatable; default: those with a key)",
    )
    group.add_argument(
        "--jwt-leeway-s",
        type=float,
        default=0.0,
        metavar="N",
        help=f"tolerate clocks that differ by N seconds (default 0, at most {MAX_LEEWAY_S:g})",
    )
    group.add_argument(
        "--ticket-s",
        type=float,
        default=MAX_TICKET_S,
        metavar="N",
        help=f"seconds for which a ticket is valid (default and maximum {MAX_TICKET_S:g})",
    )
    group.add_argument(
        "--behind-proxy",
        action="store_true",
        help="allow plain HTTP on a network, because a proxy in front terminates TLS",
    )


def access_from(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Access:
    """Return what the options say; raises SettingError, whose message never holds a credential."""
    if not 0 < options.ticket_s <= MAX_TICKET_S:
        raise SettingError(
            f"--ticket-s must be above 0 and at most {MAX_TICKET_S:g}, not {options.ticket_s:g}"
        )
    listed = _text(options.auth_tokens, "--auth-tokens", environment, TOKENS_VARIABLE)
    tokens = {}
    if listed is not None:
        place, text = listed
        tokens = _said(place, lambda: read_tokens(text))
    access = Access(
        tokens=tokens,
        jwt=_jwt(options, environment),
        cookie=options.auth_cookie,
        ticket_s=options.ticket_s,
        allowed_addresses=_networks("--allow-address", options.allow_address),
        trusted_proxies=_networks("--trust-proxy", options.trust_proxy),
    )
    if access.cookie is not None and not access.authenticates:
        raise SettingError("--auth-cookie needs --auth-tokens, --jwt-secret-file or --jwks to check it with")
    return access


def certificate_from(options: argparse.Namespace) -> tuple[str, str] | None:
    """Return the files of certificate and key, which have been tried; raises SettingError."""
    if not options.tls_cert and not options.tls_key:
        return None
    if not options.tls_cert or not options.tls_key:
        raise SettingError("--tls-cert and --tls-key must be given together")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(options.tls_cert, options.tls_key)
    except (OSError, ssl.SSLError) as problem:
        raise SettingError(
            f"--tls-cert, --tls-key: cannot load the certificate and its key ({problem})"
        ) from None
    return options.tls_cert, options.tls_key


def _jwt(options: argparse.Namespace, environment: Mapping[str, str]) -> JwtSettings | None:
    given = _text(options.jwt_secret_file, "--jwt-secret-file", environment, SECRET_VARIABLE)
    usable = (SYMMETRIC if given else frozenset()) | (ASYMMETRIC if options.jwks else frozenset())
    if not usable:
        if options.jwt_audience or options.jwt_issuer or options.jwt_algorithm or options.jwt_scope:
            raise SettingError("tokens cannot be verified without a key; give --jwt-secret-file or --jwks")
        return None
    if unusable := set(options.jwt_algorithm) - usable:
        raise SettingError(f"--jwt-algorithm {min(unusable)}: there is no key for it")
    if not 0 <= options.jwt_leeway_s <= MAX_LEEWAY_S:
        raise SettingError(f"--jwt-leeway-s must be between 0 and {MAX_LEEWAY_S:g}")
    secret = None
    if given is not None:
        place, text = given
        secret = text.strip().encode()
        if len(secret) < MIN_SECRET_BYTES:
            raise SettingError(f"{place}: a secret must have at least {MIN_SECRET_BYTES} bytes")
    if options.jwks:
        _check_keys(options.jwks)
    return JwtSettings(
        secret=secret,
        keys=options.jwks,
        algorithms=frozenset(options.jwt_algorithm) or usable,
        audiences=tuple(options.jwt_audience),
        issuers=tuple(options.jwt_issuer),
        scope=options.jwt_scope,
        leeway_s=options.jwt_leeway_s,
    )


def _check_keys(place: str) -> None:
    from runwire_reference_server.access.jwt_keys import is_safe_url, is_url, read_key_set

    if not is_url(place):
        _said(f"--jwks {place}", lambda: read_key_set(place))
    elif not is_safe_url(place):
        raise SettingError("--jwks: the URL must use https")


def _text(
    file: str | None, option: str, environment: Mapping[str, str], variable: str
) -> tuple[str, str] | None:
    """Return where a text stands and the text: that of the file, or else of the variable."""
    if file is not None:
        return f"{option} {file}", _said(f"{option} {file}", lambda: Path(file).read_text(encoding="utf-8"))
    text = environment.get(variable)
    return None if text is None else (variable, text)


def _networks(option: str, texts: list[str]) -> tuple[Network, ...]:
    return tuple(_said(option, lambda text=text: network(text)) for text in texts)  # type: ignore[misc]


def _said(place: str, read: Callable[[], T]) -> T:
    """Return what `read` returns; raises SettingError naming the place."""
    try:
        return read()
    except UnicodeDecodeError:
        raise SettingError(f"{place}: it is not UTF-8") from None
    except OSError as problem:
        raise SettingError(f"{place}: {problem.strerror}") from None
    except ValueError as problem:
        raise SettingError(f"{place}: {problem}") from None
