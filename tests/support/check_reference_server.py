"""Starts the reference server with short timings and judges it: what `make check` runs."""

import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

from tests.support.mint_token import AUDIENCE, SCOPE, mint
from tests.support.patience import patience

HERE = Path(__file__).parent.parent
BUILD = HERE.parent / "build"
BIN = Path(sys.executable).parent

#: Timings that let a suite of minutes play in seconds, within the bounds of the limits registry.
CHECK_LIMITS = {
    "connections_per_principal": 100,
    "detach_grace_s": 1,
    "drain_s": 1,
    "heartbeat_s": 1,
    "idle_s": 3,
    "log_bytes": 4_000_000,
    "pong_timeout_s": 1,
    "run_s": 5,
    "runs_per_principal": 200,
}

#: An origin that the server is told to list.
ORIGIN = "https://app.check.example"

#: Options that let callers in by every kind of credential, tickets short enough to wait for their end.
CREDENTIAL_OPTIONS = (
    f"--allow-origin={ORIGIN}",
    f"--jwt-audience={AUDIENCE}",
    f"--jwt-scope={SCOPE}",
    "--auth-cookie=session",
    "--ticket-s=2",
)


def credentials() -> dict[str, str]:
    """Return variables of the environment with fresh tokens: of two principals, and of one that is forbidden."""
    token, other_token, secret = (secrets.token_urlsafe(40) for _ in range(3))
    return {
        "RUNWIRE_AUTH_TOKENS": f"alice {token}\nbob {other_token}\n",
        "RUNWIRE_CHECK_TOKEN": token,
        "RUNWIRE_CHECK_OTHER_TOKEN": other_token,
        "RUNWIRE_CHECK_FORBIDDEN_TOKEN": mint(secret, "mallory", 3600, scope="nothing"),
        "RUNWIRE_JWT_SECRET": secret,
    }


def hooks(**further: str | list[str]) -> str:
    """Return a `runwire.toml` for a server with CREDENTIAL_OPTIONS and these hooks; it names variables for secrets."""
    mint = f"{sys.executable} {HERE / 'support/mint_token.py'}"
    values = {
        "other_token": "${RUNWIRE_CHECK_OTHER_TOKEN}",
        "forbidden_token": "${RUNWIRE_CHECK_FORBIDDEN_TOKEN}",
        "short_lived_token": f"{mint} dave 3",
        "jwt": f"{mint} --claims",
        "cookie": "session=${RUNWIRE_CHECK_TOKEN}",
        "origin": ORIGIN,
    }
    return '[target]\ntoken = "${RUNWIRE_CHECK_TOKEN}"\n' + hooks_alone(**values, **further)


def hooks_alone(**values: str | list[str]) -> str:
    """Return a `runwire.toml` with these hooks and nothing else."""
    return "\n".join(["[hooks]", *(f"{name} = {json.dumps(value)}" for name, value in values.items()), ""])


def command(**limits: float) -> list[str]:
    """Return the command line of a reference server on a free port, with the script agent."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in (CHECK_LIMITS | limits).items()]
    return [str(BIN / "runwire-server"), "--port=0", "--script-agent", *options]


def listening(server: subprocess.Popen[str]) -> str:
    """Return the URL that a started server prints."""
    assert server.stdout is not None
    line = server.stdout.readline()
    if "://" not in line:
        sys.exit(f"the reference server did not start: {line or 'it printed nothing'}")
    return re.search(r"https?://[^\s\"]+", line)[0]  # type: ignore[index]


def main() -> int:
    """Judge the reference server; return the judge's exit code."""
    BUILD.mkdir(exist_ok=True)
    environment = {**os.environ, **credentials()}
    server = subprocess.Popen(
        [*command(), "--ag-ui", "--log-level=error", *CREDENTIAL_OPTIONS],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        url = listening(server)
        config = BUILD / "check.toml"
        config.write_text(hooks(drain=f"kill -TERM {server.pid}"), encoding="utf-8")
        judge = [str(BIN / "runwire"), "check", url, f"--config={config}", f"--report={BUILD / 'report'}"]
        code = subprocess.run([*judge, *sys.argv[1:]], check=False, env=environment).returncode
        if code == 0:
            print(f"The report is in {os.path.relpath(BUILD / 'report')}.")
        return code
    finally:
        server.terminate()
        try:
            server.wait(patience(10))
        except subprocess.TimeoutExpired:
            server.kill()


if __name__ == "__main__":
    sys.exit(main())
