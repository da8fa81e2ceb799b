"""How a command gets in: the options that it shares with `runwire check`."""

from typing import Annotated

import typer

from runwire_conformance.cli.complaint import fail
from runwire_conformance.settings import SettingsError, tls_context
from runwire_conformance.target import Options

Token = Annotated[str, typer.Option(help="bearer token", envvar="RUNWIRE_TOKEN", show_envvar=True)]
Header = Annotated[list[str] | None, typer.Option(help="further header 'Name: value' (repeatable)")]
Cafile = Annotated[str, typer.Option(help="certificates to trust")]
Url = Annotated[str, typer.Argument(help="http(s)://host:port, its discovery URL, or ws(s)://host:port/path")]


def options(token: str, header: list[str] | None, cafile: str) -> Options:
    """Return the options; complains about what is wrong with them."""
    headers = []
    for given in header or []:
        name, colon, value = given.partition(":")
        if not colon or not name.strip():
            fail("a header is given as 'Name: value'")
        headers.append((name.strip(), value.strip()))
    try:
        return Options(token=token or None, headers=tuple(headers), tls=tls_context(cafile or None))
    except SettingsError as problem:
        fail(str(problem))
