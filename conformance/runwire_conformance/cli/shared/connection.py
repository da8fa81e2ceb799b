"""Connection options of the sub-commands, also read from `runwire.toml`."""

from typing import Annotated

import typer

from runwire_conformance.cli.shared.usage_errors import fail
from runwire_conformance.client.discovery.server_url import names_server, server_url
from runwire_conformance.client.target import Options
from runwire_conformance.settings import SettingsError, connection_options, settings_of

Token = Annotated[str, typer.Option(help="bearer token", envvar="RUNWIRE_TOKEN", show_envvar=True)]
Header = Annotated[list[str] | None, typer.Option(help="additional header 'Name: value' (repeatable)")]
Cafile = Annotated[str, typer.Option(help="trusted CA certificates")]
Config = Annotated[str, typer.Option(help="configuration file (default: ./runwire.toml, if it exists)")]
Url = Annotated[
    str,
    typer.Argument(
        help="host:port, http(s)://host:port, its discovery URL, or ws(s)://host:port/path (default: from runwire.toml)"
    ),
]


def reached(
    command: str, url: str, token: str, header: list[str] | None, cafile: str, config: str
) -> tuple[str, Options]:
    """Return the server's URL and the connection options; ends the command if either is invalid."""
    try:
        target = settings_of(config).get("target", {})
        options = connection_options(target, token, header or [], cafile)
    except SettingsError as problem:
        fail(str(problem))
    if not (url := server_url(url or target.get("url", ""))):
        fail(f"no server given: use `runwire {command} URL`, or set its URL in runwire.toml")
    return url, options


def named(url: str, prompt: str) -> tuple[str, str]:
    """Return URL and prompt; a single argument that is not a URL is a prompt for the server of `runwire.toml`."""
    return ("", url) if url and not prompt and not names_server(url) else (url, prompt)
