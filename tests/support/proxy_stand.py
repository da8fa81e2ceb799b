"""The proxies of the documentation, from Debian's packages, in front of a server that a test started."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.patience import patience

CONFIGURATIONS = Path(__file__).parents[2] / "examples/proxies"

START_S = patience(30)
"""A safety net: what has not opened its port by then does not come up."""

UPSTREAM = "127.0.0.1:8080"
"""The server in the documented configurations."""

NGINX = """
user root;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/log;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {site}
}}
"""

APACHE = """
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/pid
ErrorLog {folder}/log
ServerName localhost
User www-data
Group www-data
{modules}
MaxRequestWorkers 400
ThreadsPerChild 50
ServerLimit 8
Listen 127.0.0.1:{port}
{site}
"""

APACHE_MODULES = ("mpm_event", "authz_core", "headers", "proxy", "proxy_http")

CADDY = """
{{
  admin off
  default_bind 127.0.0.1
}}
{site}
"""


@dataclass(frozen=True, slots=True)
class ProxyKind:
    """A proxy as the documentation configures it: its program, Debian's package, and the file of the page."""

    name: str
    program: str
    package: str
    file: str
    listens: str
    at: str
    """How the file says where to listen, and how it says so in a test: on loopback, at a free port."""

    wrapped: Callable[[str, Path, int], str]
    """Makes of the file, a folder to write to, and the port a configuration that runs without root's folders."""

    command: tuple[str, ...]
    """What starts it in the foreground, after its program: {file} is the configuration, {folder} the folder."""

    path: str = ""
    """Where its discovery document is, when not at the root."""


def _nginx(site: str, folder: Path, port: int) -> str:  # noqa: ARG001
    return NGINX.format(folder=folder, site=site)


def _apache(site: str, folder: Path, port: int) -> str:
    modules = "\n".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in APACHE_MODULES
    )
    return APACHE.format(folder=folder, modules=modules, port=port, site=site)


PROXIES = {
    kind.name: kind
    for kind in (
        ProxyKind(
            "nginx",
            "nginx",
            "nginx",
            "nginx.conf",
            "listen 80;",
            "listen 127.0.0.1:{port};",
            _nginx,
            ("-p", "{folder}", "-c", "{file}", "-g", "daemon off;"),
        ),
        ProxyKind(
            "nginx-below-a-path",
            "nginx",
            "nginx",
            "nginx-below-a-path.conf",
            "listen 80;",
            "listen 127.0.0.1:{port};",
            _nginx,
            ("-p", "{folder}", "-c", "{file}", "-g", "daemon off;"),
            "/agents/.well-known/runwire",
        ),
        ProxyKind(
            "haproxy",
            "haproxy",
            "haproxy",
            "haproxy.cfg",
            "bind :80",
            "bind 127.0.0.1:{port}",
            lambda site, _folder, _port: site,
            ("-db", "-f", "{file}"),
        ),
        ProxyKind(
            "apache",
            "apache2",
            "apache2-bin",
            "apache.conf",
            "*:80",
            "127.0.0.1:{port}",
            _apache,
            ("-DFOREGROUND", "-f", "{file}"),
        ),
        ProxyKind(
            "caddy",
            "caddy",
            "caddy",
            "Caddyfile",
            "http://:80",
            "http://:{port}",
            lambda site, _folder, _port: CADDY.format(site=site),
            ("run", "--adapter", "caddyfile", "--config", "{file}"),
        ),
    )
}


def changed(text: str, old: str, new: str) -> str:
    """Return a configuration with one place of it changed; raises ValueError when it is not there exactly once."""
    if text.count(old) != 1:
        raise ValueError(
            f"{old!r} stands {text.count(old)} times in the configuration, and is to stand there once"
        )
    return text.replace(old, new)


@asynccontextmanager
async def behind(
    kind: ProxyKind, url: str, edit: Callable[[str], str] = lambda text: text
) -> AsyncIterator[str]:
    """Start a proxy before the server at `url`, its configuration edited; yield the URL through it.

    Raises RuntimeError when it is not installed or does not come up.
    """
    program = shutil.which(kind.program) or shutil.which(kind.program, path="/usr/sbin:/sbin")
    if program is None:
        raise RuntimeError(f"{kind.program} is missing; on Debian: apt-get install {kind.package}")
    with tempfile.TemporaryDirectory(prefix="proxy") as named:
        folder, port = Path(named), free_port()
        file = _written(kind, folder, port, urlsplit(url).netloc, edit)
        words = [word.format(file=file, folder=folder) for word in kind.command]
        with (folder / "said").open("wb") as said:
            process = await asyncio.create_subprocess_exec(
                program,
                *words,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=said,
                env={**os.environ, "HOME": named, "XDG_DATA_HOME": named, "XDG_CONFIG_HOME": named},
                start_new_session=True,
            )
        try:
            await _opened(port, process, folder)
            yield f"http://127.0.0.1:{port}{kind.path}"
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    async with asyncio.timeout(patience(5)):
                        await process.wait()
                except TimeoutError:
                    os.killpg(process.pid, 9)
                    await process.wait()


def _written(kind: ProxyKind, folder: Path, port: int, upstream: str, edit: Callable[[str], str]) -> Path:
    """Write the configuration of a proxy into a folder that its workers may enter; return the file."""
    folder.chmod(0o755)
    site = edit((CONFIGURATIONS / kind.file).read_text(encoding="utf-8"))
    site = changed(site, UPSTREAM, upstream)
    site = changed(site, kind.listens, kind.at.format(port=port))
    file = folder / "configuration"
    file.write_text(kind.wrapped(site, folder, port), encoding="utf-8")
    return file


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def _opened(port: int, process: asyncio.subprocess.Process, folder: Path) -> None:
    """Wait until somebody listens at a port; raises RuntimeError with what the proxy said when nobody does."""
    try:
        async with asyncio.timeout(START_S):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                return
    except TimeoutError:
        pass
    said = "".join(
        (folder / name).read_text(errors="replace") for name in ("said", "log") if (folder / name).exists()
    )
    raise RuntimeError(f"the proxy did not come up: {said[-1000:]}")
