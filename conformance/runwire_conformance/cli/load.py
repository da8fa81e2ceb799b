"""`runwire load`: load test."""

import asyncio
import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

import typer

from runwire_conformance.cli.shared.connection import Cafile, Config, Header, Token, Url, reached
from runwire_conformance.cli.shared.usage_errors import fail
from runwire_conformance.client.discovery.diagnosis import NoRunwireServer
from runwire_conformance.client.discovery.locate import ServerUnusable, locate
from runwire_conformance.client.options.keys import DEFAULT_PROMPTS
from runwire_conformance.client.target import Options
from runwire_conformance.tools import load as loading


def load(
    url: Url = "",
    prompt: Annotated[str, typer.Option(help="prompt of every run")] = DEFAULT_PROMPTS["short"],
    runs: Annotated[int, typer.Option("-n", "--runs", help="total number of runs", min=1, max=100_000)] = 100,
    concurrency: Annotated[
        int, typer.Option("-c", "--concurrency", help="number of parallel runs", min=1, max=1000)
    ] = 10,
    seconds: Annotated[
        float, typer.Option(help="start no run after this many seconds", min=1, max=600)
    ] = 30.0,
    mine: Annotated[
        bool,
        typer.Option("--yes-this-is-my-server", help="confirm that you may load a server on another machine"),
    ] = False,
    token: Token = "",
    header: Header = None,
    cafile: Cafile = "",
    config: Config = "",
) -> None:
    """Play many runs in parallel and judge each. Exit code 0: nothing broken; 1: something broken; 2: no run."""
    url, given = reached("load", url, token, header, cafile, config)
    plan = loading.LoadPlan(prompt, runs, concurrency, seconds)
    try:
        result = asyncio.run(_play(url, given, plan, mine))
    except (NoRunwireServer, ServerUnusable) as problem:
        fail(given.redaction.masked(str(problem)))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    print(given.redaction.masked(loading.report_text(result)))
    raise typer.Exit(result.exit_code)


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine; a URL that names nothing is left to whoever reads it next."""
    try:
        host = urlsplit(url).hostname or ""
        return host in {"", "localhost"} or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _play(url: str, given: Options, plan: loading.LoadPlan, mine: bool) -> loading.Load:
    _check_whose(url, mine)
    profile = await locate(url, given)
    _check_whose(profile.websocket_url, mine)  # a discovery document can name any place
    return await loading.load(profile, given, plan)


def _check_whose(url: str, mine: bool) -> None:
    if not (mine or is_loopback(url)):
        fail("load only your own server; for one on another machine add --yes-this-is-my-server")
