"""Client addresses, forwarded ones, and what goes over a network: TLS, or a proxy in front."""

import json
import ssl
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from starlette.datastructures import Headers

from runwire_reference_server.access.addresses import client_address, network, scheme
from runwire_reference_server.access.origins import host_known, origin_listed
from runwire_reference_server.cli import main
from runwire_reference_server.service.settings import Access, SettingError, Settings, offered_features
from tests.support.auth_stand import (
    ALICE,
    SECRET,
    TOKENS,
    Stand,
    bearer,
    is_problem,
    message_of,
    served,
    token_options,
)

RUN = "/v1/runs/" + "r" * 22
HOPS = ("10.0.0.0/8", "::1")

OPEN_ON_A_NETWORK = Settings(host="192.0.2.1", behind_proxy=True, allowed_hosts=frozenset({"chat.example"}))
CREDENTIALS = Access(tokens={ALICE: "alice"})
CLOSED_ON_A_NETWORK = replace(OPEN_ON_A_NETWORK, access=CREDENTIALS, features=offered_features(CREDENTIALS))


def address(peer: str | None, *forwarded: str) -> str | None:
    """Return the client's address as seen by a server that trusts HOPS."""
    headers = Headers(raw=[(b"x-forwarded-for", value.encode()) for value in forwarded])
    scope = {"client": None if peer is None else (peer, 1)}
    found = client_address(scope, headers, [network(hop) for hop in HOPS])
    return None if found is None else str(found)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["10.0.0.1"], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7, 10.0.0.1"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["127.0.0.1, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["127.0.0.1", "198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("::1", ["198.51.100.7"], "198.51.100.7"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["unknown"], None),
        ("10.0.0.1", ["198.51.100.7, _hidden"], None),
        ("10.0.0.1", ["198.51.100.7, "], "10.0.0.1"),
        (None, ["198.51.100.7"], None),
    ],
)
def test_the_client_is_the_first_hop_that_is_not_trusted(
    peer: str | None, forwarded: list[str], client: str | None
) -> None:
    assert address(peer, *forwarded) == client


@pytest.mark.parametrize(
    ("peer", "told", "found"),
    [
        ("192.0.2.1", "https", "http"),
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", "HTTPS ", "https"),
        ("10.0.0.1", "javascript", "http"),
        ("10.0.0.1", "", "http"),
    ],
)
def test_a_scheme_is_believed_of_trusted_hops(peer: str, told: str, found: str) -> None:
    headers = Headers({"x-forwarded-proto": told})

    for own in ("http", "ws"):
        assert scheme({"scheme": own, "client": (peer, 1)}, headers, [network(HOPS[0])]) == found


def test_nobody_gets_in_from_elsewhere_whatever_they_say(tmp_path: Path) -> None:
    with served(tmp_path, *token_options(tmp_path), "--allow-address=192.0.2.0/24") as stand:
        for said in (
            [],
            [("X-Forwarded-For", "192.0.2.1")],
            [("X-Forwarded-For", "192.0.2.1, 192.0.2.2"), ("X-Real-IP", "192.0.2.1")],
            [("Forwarded", "for=192.0.2.1"), ("X-Client-IP", "192.0.2.1"), ("True-Client-IP", "192.0.2.1")],
        ):
            for answer in (
                stand.shake(bearer(ALICE), *said),
                stand.ask("GET", RUN, bearer(ALICE), *said),
                stand.ask("GET", "/.well-known/runwire", *said),
                stand.ask("GET", "/healthz", *said),
                stand.ask("OPTIONS", RUN, ("Access-Control-Request-Method", "GET"), *said),
            ):
                assert is_problem(answer, 403, "forbidden")


def test_a_trusted_hop_is_believed_and_what_came_before_it_is_not(tmp_path: Path) -> None:
    options = ["--allow-address=192.0.2.0/24", "--trust-proxy=127.0.0.1", "--allow-host=chat.example"]
    page = ("Origin", "https://chat.example")
    with served(tmp_path, *token_options(tmp_path), *options) as stand:

        def status(forwarded: str, *headers: tuple[str, str]) -> int:
            return stand.shake(bearer(ALICE), ("X-Forwarded-For", forwarded), *headers).status

        assert status("192.0.2.1") == 101
        assert status("192.0.2.1, 127.0.0.1") == 101
        assert status("192.0.2.1, 198.51.100.7") == 403
        assert status("unknown") == 403
        assert stand.shake(bearer(ALICE)).status == 403
        proto = ("X-Forwarded-Proto", "https")
        assert status("192.0.2.1", ("Host", "chat.example"), page, proto) == 101
        assert status("192.0.2.1", ("Host", "chat.example"), page) == 403
        assert status("192.0.2.1", ("X-Forwarded-Host", "chat.example"), page, proto) == 403


def test_without_authentication_connections_are_counted_for_each_believed_address(tmp_path: Path) -> None:
    options = ["--trust-proxy=127.0.0.1", "--connections-per-principal=1"]
    first, second = ("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-For", "192.0.2.2")
    with served(tmp_path, *options) as stand, stand.connection(first):
        assert is_problem(stand.shake(first), 429, "busy")
        assert stand.shake(second).status == 101

    with served(tmp_path, "--connections-per-principal=1") as stand, stand.connection(first):
        assert is_problem(stand.shake(second), 429, "busy")


@pytest.fixture
def secure(tmp_path: Path) -> tuple[list[str], ssl.SSLContext]:
    """Options for a certificate of `localhost`, and a context that trusts it."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return [f"--tls-cert={chain}", f"--tls-key={key}"], context


def test_tls_serves_both_transports(tmp_path: Path, secure: tuple[list[str], ssl.SSLContext]) -> None:
    options, context = secure
    with served(tmp_path, *token_options(tmp_path), *options, tls=context) as stand:
        assert stand.url.startswith("https://")
        with stand.connection(bearer(ALICE), origin=f"https://localhost:{stand.port}") as socket:
            socket.send(json.dumps({"prompt": "x"}))
            assert message_of(socket, "done")["status"] == "completed"
        events = ("Accept", "text/event-stream")
        stream = stand.ask("POST", "/v1/runs", bearer(ALICE), events, body='{"prompt":"x"}')
        assert b'"type":"done"' in stream.body
        assert is_problem(stand.shake(), 401, "unauthorized")

        in_clear = Stand(stand.url.replace("https", "http"), stand.log_path)
        with pytest.raises(OSError):
            in_clear.ask("GET", "/.well-known/runwire")


def test_a_server_on_a_network_does_not_talk_in_clear() -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::", "chat.example"):
        with pytest.raises(SettingError, match="--behind-proxy"):
            Settings(host=host)
        assert Settings(host=host, behind_proxy=True)
        assert Settings(host=host, certificate=("chain", "key"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_a_server_for_this_machine_may_talk_in_clear(host: str) -> None:
    assert Settings(host=host).loopback


@pytest.mark.parametrize(
    ("settings", "name", "known"),
    [
        (Settings(), "attacker.example", False),
        (Settings(), "127.0.0.1:8080", True),
        (OPEN_ON_A_NETWORK, "attacker.example", False),
        (OPEN_ON_A_NETWORK, "chat.example", True),
        (OPEN_ON_A_NETWORK, "chat.example:8080", True),
        (OPEN_ON_A_NETWORK, "chat.example:8080.attacker.example", False),
        (CLOSED_ON_A_NETWORK, "whatever.example", True),
        (replace(CLOSED_ON_A_NETWORK, host="127.0.0.1"), "whatever.example", False),
    ],
)
def test_a_host_must_be_known_on_loopback_and_where_everybody_may_come_in(
    settings: Settings, name: str, known: bool
) -> None:
    scope = {"server": (settings.host, 8080), "client": ("192.0.2.1", 1)}

    assert host_known(settings, scope, Headers({"host": name})) is known


PAGES: dict[str, bool] = {
    "http://localhost": True,
    "https://localhost:3000": True,
    "http://127.0.0.1:3000": True,
    "http://[::1]:3000": True,
    "http://chat.example:8080": True,
    "https://chat.example:8080": False,
    "http://chat.example": False,
    "null": False,
    "": False,
    "http://": False,
    "http://localhost.attacker.example": False,
    "http://localhost:3000.attacker.example": False,
    "http://localhost:": False,
    "http://localhost:\xb2": False,
    "http://localhost/": False,
    "http://local\thost": False,
    "http://user@localhost": False,
    "http://attacker.example#@localhost": False,
    "http://attacker.example, http://localhost": False,
    "file://localhost": False,
    "localhost": False,
    "http://[::1": False,
    "http://2130706433": False,
}


@pytest.mark.parametrize(("origin", "listed"), PAGES.items())
def test_a_page_is_listed_when_it_is_exactly_one_of_those_that_are(origin: str, listed: bool) -> None:
    headers = Headers(raw=[(b"host", b"chat.example:8080"), (b"origin", origin.encode("latin-1"))])
    scope = {"scheme": "ws", "client": ("127.0.0.1", 1)}

    assert origin_listed(Settings(), scope, headers) is listed


def test_without_a_host_nothing_is_the_servers_own() -> None:
    headers = Headers({"origin": "http://"})

    assert not origin_listed(Settings(), {"scheme": "http", "client": ("127.0.0.1", 1)}, headers)


def test_features_and_credentials_go_together() -> None:
    with pytest.raises(SettingError, match="the feature auth and credentials require each other"):
        Settings(features=("resume", "auth"))


WRONG_CALLS: dict[str, tuple[list[str], str]] = {
    "in clear": (["--host=0.0.0.0"], "use --tls-cert and --tls-key, or --behind-proxy"),
    "no such file": (["--auth-tokens=nowhere"], "--auth-tokens nowhere: No such file or directory"),
    "a line too short": (
        ["--auth-tokens=short-line"],
        "--auth-tokens short-line: line 2 must be PRINCIPAL TOKEN",
    ),
    "a weak token": (["--auth-tokens=weak"], "--auth-tokens weak: line 1: a token has at least 16"),
    "a token twice": (
        ["--auth-tokens=twice"],
        "--auth-tokens twice: line 2: this token is already assigned",
    ),
    "no token": (["--auth-tokens=empty"], "--auth-tokens empty: it contains no token"),
    "no text": (["--auth-tokens=binary"], "--auth-tokens binary: it is not UTF-8"),
    "a weak secret": (
        ["--jwt-secret-file=weak"],
        "--jwt-secret-file weak: a secret must have at least 32 bytes",
    ),
    "no keys": (["--jwks=weak"], "--jwks weak: it contains no JSON Web Key Set with a usable key"),
    "keys in clear": (["--jwks=http://keys.example/jwks"], "--jwks: the URL must use https"),
    "an audience and no key": (["--jwt-audience=x"], "give --jwt-secret-file or --jwks"),
    "an algorithm and no key": (
        ["--jwt-secret-file=secret", "--jwt-algorithm=RS256"],
        "--jwt-algorithm RS256: there is no key for it",
    ),
    "no algorithm": (["--jwt-secret-file=secret", "--jwt-algorithm=none"], "invalid choice: 'none'"),
    "leeway": (["--jwt-secret-file=secret", "--jwt-leeway-s=61"], "--jwt-leeway-s must be between 0 and 60"),
    "a long ticket": (["--ticket-s=31"], "--ticket-s must be above 0 and at most 30, not 31"),
    "a cookie alone": (["--auth-cookie=x"], "--auth-cookie needs --auth-tokens"),
    "no network": (["--allow-address=everywhere"], "--allow-address: 'everywhere' does not appear to be"),
    "a certificate alone": (["--tls-cert=weak"], "--tls-cert and --tls-key must be given together"),
    "no certificate": (
        ["--tls-cert=weak", "--tls-key=weak"],
        "--tls-cert, --tls-key: cannot load the certificate",
    ),
}


@pytest.mark.parametrize(("options", "said"), WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_a_wrong_call_is_one_line_without_a_credential(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    token, weak = "abcdefghijklmnopqrstuvwxyz", "hunter2"
    texts = {
        "short-line": f"alice {token}\n{token}\n",
        "weak": f"alice {weak}\n",
        "twice": f"alice {token}\nbob {token}\n",
        "empty": "# nobody\n\n",
        "secret": SECRET,
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["runwire-server", "--port=0", *options])

    with pytest.raises(SystemExit) as ended:
        main()

    printed = capsys.readouterr().err
    assert ended.value.code == 2
    assert said in printed
    assert [secret for secret in ("Traceback", token, weak, SECRET) if secret in printed] == []


def test_credentials_can_come_from_the_environment(tmp_path: Path) -> None:
    with served(tmp_path, env={"RUNWIRE_AUTH_TOKENS": TOKENS}) as stand:
        assert stand.shake(bearer(ALICE)).status == 101
        assert is_problem(stand.shake(), 401, "unauthorized")
