"""`runwire init`: write an initial `runwire.toml`."""

from pathlib import Path
from typing import Annotated

import typer

from runwire_conformance.cli.shared.usage_errors import fail
from runwire_conformance.client.discovery.server_url import server_url
from runwire_conformance.settings import commented_settings


def init(
    url: Annotated[str, typer.Argument(help="the server's URL, if known")] = "",
    force: Annotated[bool, typer.Option("--force", help="overwrite an existing file")] = False,
) -> None:
    """Write a commented runwire.toml into the working directory."""
    path = Path("runwire.toml")
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(commented_settings(server_url(url)))
    except FileExistsError:
        fail(f"{path} already exists; --force overwrites it")
    except OSError as problem:
        fail(f"cannot write {path}: {problem.strerror}")
    print(f"wrote {path}; fill it in, then run: runwire check{'' if url else ' http://localhost:8080'}")
