"""JSON Web Tokens: forged, swapped, expired, malformed; and where the keys come from."""

import asyncio
import base64
import hashlib
import hmac
import http.server
import json
import logging
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from runwire_reference_server.access.credentials import Credential, Unauthorized
from runwire_reference_server.access.jwt_keys import MAX_AGE_S, REFETCH_S, KeySet
from runwire_reference_server.access.jwt_tokens import JwtVerifier
from runwire_reference_server.access.tokens import token_verifier
from runwire_reference_server.run_log.runs import Principal
from runwire_reference_server.service.service import Refusal
from runwire_reference_server.service.settings import Access, JwtSettings
from tests.support.auth_stand import SECRET, minted
from tests.support.patience import examples

#: Any JSON value, and values that pass for good ones.
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["tests", "runwire", "HS256", "RS256", "none", "rsa-1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)

RSA, OTHER_RSA = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
EC = ec.generate_private_key(ec.SECP256R1())
PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DER = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def jwk(key: Any, kid: str | None, **members: Any) -> dict[str, Any]:
    """Return a public key as an entry of a key set."""
    if isinstance(key, rsa.RSAPrivateKey):
        entry = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        entry = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**entry, **({} if kid is None else {"kid": kid}), **members}


KEYS = [jwk(RSA, "rsa-1"), jwk(EC, "ec-1"), {"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "oct-1"}, {"kty": "?"}]


def segment(value: object) -> str:
    """Return JSON, or bytes as they are, as a segment of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def assembled(header: object, claims: object, signature: bytes = b"") -> str:
    """Return a token of exactly these parts."""
    return f"{segment(header)}.{segment(claims)}.{segment(signature) if signature else ''}"


def signed_by_hand(secret: bytes, header: object, claims: object) -> str:
    """Return a token with an HMAC over whatever header, as a library would refuse to make it."""
    body = f"{segment(header)}.{segment(claims)}"
    return f"{body}.{segment(hmac.digest(secret, body.encode(), hashlib.sha256))}"


def good(**changes: Any) -> dict[str, Any]:
    """Return claims that are good but for the changes."""
    return {"iss": "tests", "sub": "carol", "aud": "runwire", "exp": int(time.time()) + 60, **changes}


@pytest.fixture(scope="module")
def access(tmp_path_factory: pytest.TempPathFactory) -> Access:
    """A server that accepts HS256 with SECRET, and RS256 and ES256 with KEYS."""
    path = tmp_path_factory.mktemp("jwt") / "keys.json"
    path.write_text(json.dumps({"keys": KEYS}), encoding="utf-8")
    settings = JwtSettings(
        secret=SECRET.encode(),
        keys=str(path),
        algorithms=frozenset({"HS256", "RS256", "ES256"}),
        audiences=("runwire", "second"),
        issuers=("tests", "others"),
    )
    return Access(jwt=settings)


def checked(access: Access, token: str) -> Credential | str:
    """Return what a verifier makes of a token: the credential, or why it is refused."""
    try:
        return asyncio.run(token_verifier(access).verify(token))
    except Unauthorized as refused:
        return refused.reason
    except Refusal as refused:
        return refused.code


def test_good_tokens_are_good(access: Access) -> None:
    exp = int(time.time()) + 60
    tokens = [
        minted(exp=exp),
        minted(RSA, "RS256", {"kid": "rsa-1"}, exp=exp),
        minted(RSA, "RS256", exp=exp),
        minted(EC, "ES256", {"kid": "ec-1"}, exp=exp),
        minted(exp=exp, aud=["elsewhere", "second"]),
        minted(exp=exp, nbf=exp - 61, iat=exp - 61),
        minted(headers={"kid": "rsa-1"}, exp=exp),
    ]

    assert [checked(access, token) for token in tokens] == [Credential(Principal("tests", "carol"), exp)] * 7


def bad_tokens() -> dict[str, tuple[str, str]]:
    """Return tokens with the reason for which they are refused."""
    now = int(time.time())
    claims = good()
    hs256 = {"alg": "HS256", "typ": "JWT"}
    whole = minted()
    head, body, signature = whole.split(".")
    changed = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    rs256_kid = {"kid": "rsa-1"}
    secret = SECRET.encode()
    return {
        "alg none": (assembled({"alg": "none"}, claims), "malformed"),
        "alg none with a dot less": (assembled({"alg": "none"}, claims)[:-1], "unknown"),
        "alg None": (assembled({"alg": "None"}, claims, b"x"), "unknown"),
        "alg none, signed": (signed_by_hand(secret, {"alg": "none"}, claims), "unknown"),
        "alg nOnE": (assembled({"alg": "nOnE"}, claims, b"x"), "unknown"),
        "alg empty": (signed_by_hand(secret, {"alg": ""}, claims), "unknown"),
        "alg missing": (signed_by_hand(secret, {"typ": "JWT"}, claims), "unknown"),
        "alg a list": (signed_by_hand(secret, {"alg": ["HS256"]}, claims), "unknown"),
        "alg another": (jwt.encode(claims, SECRET * 2, "HS512"), "unknown"),
        "alg in small letters": (signed_by_hand(secret, {"alg": "hs256"}, claims), "unknown"),
        "the public key as a secret (PEM)": (signed_by_hand(PEM, hs256, claims), "unknown"),
        "the public key as a secret (DER)": (signed_by_hand(DER, hs256, claims), "unknown"),
        "the public key as a secret, by kid": (
            signed_by_hand(PEM, {**hs256, **rs256_kid}, claims),
            "unknown",
        ),
        "the symmetric key of the set": (
            signed_by_hand(b"secret" * 8, {**hs256, "kid": "oct-1"}, claims),
            "unknown",
        ),
        "the secret under RS256": (signed_by_hand(secret, {"alg": "RS256", **rs256_kid}, claims), "unknown"),
        "an empty secret": (signed_by_hand(b"", hs256, claims), "unknown"),
        "another secret": (minted("another secret that has more than thirty-two bytes"), "unknown"),
        "another key": (minted(OTHER_RSA, "RS256", rs256_kid), "unknown"),
        "another kind of key": (minted(EC, "ES256", rs256_kid), "unknown"),
        "an unknown kid": (minted(RSA, "RS256", {"kid": "rsa-2"}), "unknown"),
        "a kid that is a path": (minted(RSA, "RS256", {"kid": "../../dev/null"}), "unknown"),
        "a kid that is a number": (signed_by_hand(secret, {**hs256, "kid": 7}, claims), "malformed"),
        "a key of its own": (
            minted(OTHER_RSA, "RS256", {"jwk": jwk(OTHER_RSA, "rsa-1"), "kid": "rsa-1"}),
            "unknown",
        ),
        "an unknown crit": (
            signed_by_hand(secret, {**hs256, "crit": ["x"], "x": 1}, claims),
            "malformed",
        ),
        "a detached body": (
            signed_by_hand(secret, {**hs256, "b64": False, "crit": ["b64"]}, claims),
            "malformed",
        ),
        "no signature": (f"{head}.{body}.", "malformed"),
        "a changed signature": (f"{head}.{body}.{changed}", "unknown"),
        "a changed body": (f"{head}.{segment(good(sub='root'))}.{signature}", "unknown"),
        "two parts": (f"{head}.{body}", "unknown"),
        "four parts": (f"{whole}.x", "malformed"),
        "expired": (minted(exp=now - 1), "expired"),
        "expired long ago": (minted(exp=0), "expired"),
        "expired before the epoch": (minted(exp=-1), "expired"),
        "not yet": (minted(nbf=now + 30), "early"),
        "issued later": (minted(iat=now + 30), "early"),
        "no exp": (minted(exp=None), "unknown"),
        "exp null": (signed_by_hand(secret, hs256, good(exp=None)), "unknown"),
        "exp a string": (signed_by_hand(secret, hs256, good(exp=str(now + 60))), "malformed"),
        "exp true": (signed_by_hand(secret, hs256, good(exp=True)), "expired"),
        "exp endless": (
            signed_by_hand(secret, hs256, json.dumps(good(exp=1e300)).replace("1e+300", "1e999").encode()),
            "unknown",
        ),
        "exp no number": (
            signed_by_hand(
                secret, hs256, json.dumps(good(exp="no number")).replace('"no number"', "NaN").encode()
            ),
            "unknown",
        ),
        "exp an object": (signed_by_hand(secret, hs256, good(exp={})), "unknown"),
        "nbf a string": (signed_by_hand(secret, hs256, good(nbf="0")), "malformed"),
        "nbf null": (signed_by_hand(secret, hs256, good(nbf=None)), "unknown"),
        "another audience": (minted(aud="elsewhere"), "audience"),
        "audiences without ours": (minted(aud=["elsewhere", "runwires"]), "audience"),
        "no audience": (minted(aud=None), "unknown"),
        "an audience that is no string": (signed_by_hand(secret, hs256, good(aud=[7])), "audience"),
        "another issuer": (minted(iss="attacker"), "unknown"),
        "no issuer": (minted(iss=None), "unknown"),
        "an issuer that is a list": (signed_by_hand(secret, hs256, good(iss=["tests"])), "unknown"),
        "no subject": (minted(sub=None), "unknown"),
        "a subject that is a number": (signed_by_hand(secret, hs256, good(sub=7)), "unknown"),
        "no subject at all": (signed_by_hand(secret, hs256, good(sub="", iss="")), "unknown"),
        "half a character": (signed_by_hand(secret, hs256, good(sub="\ud800")), "malformed"),
        "a body that is a list": (signed_by_hand(secret, hs256, [good()]), "unknown"),
        "a body that is no JSON": (signed_by_hand(secret, hs256, b"\xff\xfe"), "unknown"),
        "a body without bottom": (signed_by_hand(secret, hs256, b"[" * 3000), "unknown"),
        "a header that is a list": (assembled([], claims, b"x"), "malformed"),
        "a header without bottom": (assembled(b"[" * 3000, claims, b"x"), "malformed"),
        "too long": (minted(x="x" * 8192), "malformed"),
    }


@pytest.mark.parametrize("name", bad_tokens())
def test_a_bad_token_is_refused(access: Access, name: str) -> None:
    token, reason = bad_tokens()[name]
    result = checked(access, token)

    assert isinstance(result, str), f"accepted: {result}"
    assert result in {"malformed", "unknown"} if reason in {"malformed", "unknown"} else result == reason


@pytest.mark.property
@hypothesis_settings(max_examples=examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    headers=st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "zip"]), ANYTHING, max_size=3
    ),
    claims=st.dictionaries(
        st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope"]), ANYTHING, max_size=5
    ),
)
def test_whatever_a_token_says_it_is_a_credential_or_refused(
    access: Access, headers: dict[str, Any], claims: dict[str, Any]
) -> None:
    token = signed_by_hand(SECRET.encode(), {"alg": "HS256", **headers}, good(**claims))

    result = checked(access, token)

    if isinstance(result, Credential):
        assert claims.get("exp", math.inf) > time.time() - 1
        assert result.principal.issuer in {"tests", "others"}
        assert result.expires_at is not None
        assert math.isfinite(result.expires_at)


@pytest.mark.parametrize("exp", [1e300, 10**400, 2**63])
def test_a_credential_that_lasts_very_long_is_still_one(access: Access, exp: float) -> None:
    token = signed_by_hand(SECRET.encode(), {"alg": "HS256"}, good(exp=exp))

    result = checked(access, token)

    assert isinstance(result, Credential)
    assert result.expires_at is not None
    assert math.isfinite(result.expires_at)


def test_leeway_is_for_clocks_and_moves_the_end_of_the_credential() -> None:
    now = int(time.time())
    settings = JwtSettings(secret=SECRET.encode(), algorithms=frozenset({"HS256"}), leeway_s=30)
    access = Access(jwt=settings)

    assert checked(access, minted(exp=now - 10, aud=None)) == Credential(
        Principal("tests", "carol"), now + 20
    )
    assert isinstance(checked(access, minted(nbf=now + 10, aud=None)), Credential)
    assert checked(access, minted(exp=now - 40, aud=None)) == "expired"
    assert checked(access, minted(nbf=now + 40, aud=None)) == "early"


def test_a_token_for_some_audience_is_not_for_a_server_without_a_name() -> None:
    access = Access(jwt=JwtSettings(secret=SECRET.encode(), algorithms=frozenset({"HS256"})))

    assert checked(access, minted(aud="runwire")) == "audience"


def test_an_algorithm_that_was_not_configured_is_refused_though_there_is_a_key(access: Access) -> None:
    assert access.jwt is not None
    narrow = Access(
        jwt=JwtSettings(secret=access.jwt.secret, keys=access.jwt.keys, algorithms=frozenset({"ES256"}))
    )

    assert checked(narrow, minted(aud=None)) == "unknown"
    assert checked(narrow, minted(RSA, "RS256", aud=None)) == "unknown"
    assert isinstance(checked(narrow, minted(EC, "ES256", aud=None)), Credential)


@pytest.mark.parametrize(
    ("claims", "result"),
    [
        ({"scope": "read runwire write"}, Credential),
        ({"scp": ["runwire"]}, Credential),
        ({"scope": "runwires"}, "forbidden"),
        ({"scope": ""}, "forbidden"),
        ({}, "forbidden"),
        ({"scope": {"runwire": True}}, "forbidden"),
    ],
)
def test_a_principal_without_the_scope_is_forbidden(claims: dict[str, Any], result: object) -> None:
    settings = JwtSettings(secret=SECRET.encode(), algorithms=frozenset({"HS256"}), scope="runwire")

    found = checked(Access(jwt=settings), minted(aud=None, **claims))

    assert found == result or (isinstance(found, Credential) and result is Credential)


class KeyServer(http.server.ThreadingHTTPServer):
    """A key server that counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.keys: object = {"keys": KEYS[:1]}
        self.status = 200

    @property
    def url(self) -> str:
        """Where its keys are."""
        return f"http://127.0.0.1:{self.server_address[1]}/keys"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: KeyServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = json.dumps(self.server.keys).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        if self.server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    with KeyServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Clock:
    """A clock that is moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def verifier(keys: KeySet) -> JwtVerifier:
    """Return a verifier of RS256 with these keys."""
    return JwtVerifier(JwtSettings(algorithms=frozenset({"RS256"})), keys)


def token_of(key: Any, kid: str, **headers: Any) -> str:
    """Return a token that names its key."""
    return minted(key, "RS256", {"kid": kid, **headers}, aud=None)


def test_keys_are_fetched_at_most_once_a_minute(key_server: KeyServer) -> None:
    async def play() -> None:
        clock = Clock()
        jwts = verifier(KeySet(key_server.url, clock))
        assert await jwts.verify(token_of(RSA, "rsa-1"))
        for number in range(50):
            with pytest.raises(Unauthorized):
                await jwts.verify(token_of(OTHER_RSA, f"unknown-{number}"))
        assert len(key_server.asked) == 1

        key_server.keys = {"keys": [jwk(RSA, "rsa-1"), jwk(OTHER_RSA, "rsa-2")]}
        clock.now += REFETCH_S - 1
        with pytest.raises(Unauthorized):
            await jwts.verify(token_of(OTHER_RSA, "rsa-2"))
        clock.now += 1
        found = await asyncio.gather(*(jwts.verify(token_of(OTHER_RSA, "rsa-2")) for _ in range(20)))
        assert len(found) == 20
        assert len(key_server.asked) == 2

    asyncio.run(play())


def test_keys_that_a_token_points_to_are_not_fetched(key_server: KeyServer) -> None:
    async def play() -> None:
        jwts = verifier(KeySet(key_server.url, Clock()))
        trap = key_server.url.replace("/keys", "/trap")
        key_server.keys = {"keys": [jwk(RSA, "rsa-1")]}
        for headers in ({"jku": trap}, {"x5u": trap}, {"jku": trap, "kid": trap}):
            with pytest.raises(Unauthorized):
                await jwts.verify(token_of(OTHER_RSA, **{"kid": "rsa-1", **headers}))
        assert key_server.asked == ["/keys"]

    asyncio.run(play())


@pytest.mark.parametrize("fault", ["gone", "redirect", "broken", "empty", "absent", "huge"])
def test_without_keys_the_server_is_unavailable_and_recovers(
    key_server: KeyServer, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def play() -> None:
        clock = Clock()
        url = key_server.url if fault != "absent" else "http://127.0.0.1:1/keys"
        keys = KeySet(url, clock)
        key_server.status = {"gone": 500, "redirect": 302}.get(fault, 200)
        wrong: dict[str, object] = {"broken": ["no keys"], "empty": {"keys": []}, "huge": "x" * (2 << 20)}
        key_server.keys = wrong.get(fault, key_server.keys)
        for _ in range(3):
            with pytest.raises(Refusal) as refused:
                await verifier(keys).verify(token_of(RSA, "rsa-1"))
            assert (refused.value.code, refused.value.retry_after_s) == ("unavailable", REFETCH_S)
        assert key_server.asked == ([] if fault == "absent" else ["/keys"])
        if fault != "absent":
            key_server.status, key_server.keys = 200, {"keys": KEYS}
            clock.now += REFETCH_S
            assert await verifier(keys).verify(token_of(RSA, "rsa-1"))

    with caplog.at_level(logging.WARNING):
        asyncio.run(play())
    assert "cannot fetch the keys at --jwks" in caplog.text


def test_withdrawn_keys_are_forgotten_within_the_hour_and_kept_over_an_outage(key_server: KeyServer) -> None:
    async def play() -> None:
        clock = Clock()
        jwts = verifier(KeySet(key_server.url, clock))
        assert await jwts.verify(token_of(RSA, "rsa-1"))
        key_server.status = 500
        clock.now += MAX_AGE_S + 1
        assert await jwts.verify(token_of(RSA, "rsa-1"))
        key_server.status, key_server.keys = 200, {"keys": [jwk(OTHER_RSA, "rsa-2")]}
        clock.now += REFETCH_S
        with pytest.raises(Unauthorized):
            await jwts.verify(token_of(RSA, "rsa-1"))

    asyncio.run(play())


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([jwk(RSA, None)], True),
        ([jwk(RSA, None), jwk(OTHER_RSA, None)], False),
        ([jwk(RSA, None, use="enc")], False),
        ([jwk(RSA, None, use="sig", alg="RS256")], True),
        ([jwk(RSA, None, alg="RS512")], False),
        ([jwk(RSA, None), jwk(EC, None)], True),
    ],
)
def test_a_token_without_a_kid_needs_a_key_that_leaves_no_choice(
    tmp_path: Path, entries: list[dict[str, Any]], found: bool
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": entries}), encoding="utf-8")
    jwts = verifier(KeySet(str(path)))

    try:
        asyncio.run(jwts.verify(minted(RSA, "RS256", aud=None)))
        accepted = True
    except Unauthorized:
        accepted = False
    assert accepted is found


def test_secrets_do_not_show_when_settings_are_shown() -> None:
    settings = JwtSettings(secret=SECRET.encode())
    shown = repr(Access(tokens={"alice-static-0123456789": "alice"}, jwt=settings))

    assert SECRET not in shown
    assert "alice-static" not in shown
