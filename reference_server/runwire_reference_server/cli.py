"""The command `runwire-server`."""

import argparse
import asyncio
import json
import logging
import os
import platform
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

from runwire_reference_server import __version__
from runwire_reference_server.run_log.registry import FEATURES, LIMITS

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from runwire_reference_server.agents import Agent
    from runwire_reference_server.app import Server
    from runwire_reference_server.service.settings import Settings

_EXTRA = "runwire-server needs the server extra; install it with: pip install 'runwire[server]'"
_AG_UI_EXTRA = "--ag-ui needs the extra ag-ui; install it with: pip install 'runwire[server,ag-ui]'"
_REDIS_EXTRA = "--redis needs the redis extra; install it with: pip install 'runwire[redis]'"

#: The variable of the environment that stands in for --redis, whose URL may hold a password.
REDIS_VARIABLE = "RUNWIRE_REDIS"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; every limit is an option of its name. Needs the extra `server`."""
    from runwire_reference_server.access.options import add_access_options
    from runwire_reference_server.integrations.options import add_agent_options

    result = argparse.ArgumentParser(
        prog="runwire-server", description="A minimal, exemplary server of the Runwire protocol."
    )
    result.add_argument(
        "--version",
        action="version",
        version=f"runwire-server {__version__} · protocol 1 · Python {platform.python_version()}",
        help="versions of server, protocol and Python",
    )
    result.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    result.add_argument(
        "--port", type=int, default=8080, help="port to bind, 0 for a free one (default: %(default)s)"
    )
    result.add_argument(
        "--without",
        choices=[*FEATURES, "tickets"],
        action="append",
        default=[],
        help="switch a feature off (repeatable)",
    )
    result.add_argument(
        "--allow-origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        help="admit pages of this origin (repeatable)",
    )
    result.add_argument(
        "--allow-host",
        metavar="HOST",
        action="append",
        default=[],
        help="accept requests for this Host (repeatable)",
    )
    result.add_argument(
        "--session-s",
        type=float,
        default=3600.0,
        metavar="N",
        help="seconds to remember a session after its last run (default: %(default)g)",
    )
    result.add_argument(
        "--kept-bytes",
        type=int,
        default=1_073_741_824,
        metavar="N",
        help="start no new run while logs and sessions occupy this many bytes; not with --redis (default: %(default)d)",
    )
    result.add_argument(
        "--keep-alive-s",
        type=float,
        default=5.0,
        metavar="N",
        help="seconds that an idle connection waits for its next request; behind a proxy, set it higher than the "
        "proxy's value (default: %(default)g)",
    )
    result.add_argument("--ag-ui", action="store_true", help="serve AG-UI clients at /ag-ui, with any agent")
    result.add_argument("--no-playground", dest="playground", action="store_false", help="serve no page at /")
    result.add_argument(
        "--root-path",
        default="",
        metavar="PATH",
        help="path prefix that the proxy passes on; not needed for a prefix that it strips",
    )
    result.add_argument(
        "--log-level",
        default="warning",
        choices=["debug", "info", "warning", "error"],
        help="least severe level to log; warning (default) includes start and drain, info each run and connection",
    )
    result.add_argument(
        "--log-format",
        choices=["json", "text"],
        help="JSON lines, also for the announcement on standard output, or text (default: text on a terminal)",
    )
    add_agent_options(result)
    result.add_argument(
        "--redis",
        metavar="URL",
        help=f"run as one of several nodes that share this Redis (or {REDIS_VARIABLE})",
    )
    add_access_options(result)
    limits = result.add_argument_group(
        "limits", "limits that clients are told; times in seconds (_s) or milliseconds (_ms)"
    )
    for name, rule in LIMITS.items():
        upper = "" if rule.maximum is None else f", at most {rule.maximum:.15g}"
        limits.add_argument(
            f"--{name.replace('_', '-')}",
            type=int if rule.whole else float,
            metavar="N",
            dest=name,
            help=f"default {rule.default:.15g}, at least {rule.minimum:.15g}{upper}",
        )
    return result


def is_json(chosen: str | None) -> bool:
    """Return whether the log is JSON: as chosen, or when nobody reads it on a terminal."""
    return chosen == "json" or (chosen is None and not sys.stderr.isatty())


def main() -> None:
    """Serve until told to stop; exit code 2 and one line for a wrong call."""
    try:
        options = parser().parse_args()
        from runwire_reference_server.access.options import access_from, certificate_from
        from runwire_reference_server.app import create_server
        from runwire_reference_server.integrations.options import agent_from, plays_scripts
        from runwire_reference_server.observability.logs import LIFE, set_up
        from runwire_reference_server.transports.server import DrainingServer
    except ModuleNotFoundError as missing:
        _fail(f"{_EXTRA} (no module {missing.name})")
    from runwire_reference_server.service.settings import (
        SettingError,
        Settings,
        checked_limits,
        offered_features,
    )

    given = {name: getattr(options, name) for name in LIMITS if getattr(options, name) is not None}
    redis = options.redis or os.environ.get(REDIS_VARIABLE)
    try:
        access = access_from(options)
        settings = Settings(
            host=options.host,
            port=options.port,
            limits=checked_limits(given),
            features=offered_features(access, options.without, many_nodes=bool(redis)),
            allowed_origins=frozenset(options.allow_origin),
            allowed_hosts=frozenset(options.allow_host),
            script_agent=plays_scripts(options),
            session_s=options.session_s,
            kept_bytes=options.kept_bytes,
            keep_alive_s=options.keep_alive_s,
            access=access,
            certificate=certificate_from(options),
            behind_proxy=options.behind_proxy,
            playground=options.playground,
            root_path=options.root_path,
            ag_ui=options.ag_ui,
        )
        agent = agent_from(options)
    except SettingError as problem:
        _fail(str(problem))
    if settings.ag_ui:
        try:
            import runwire_reference_server.integrations.ag_ui_endpoint.endpoint  # noqa: F401
        except ModuleNotFoundError as missing:
            _fail(f"{_AG_UI_EXTRA} (no module {missing.name})")
    set_up(options.log_level, json=is_json(options.log_format))
    server, node = _node(redis, settings, agent) if redis else (create_server(settings, agent), None)
    bound = _bind(settings.host, settings.port)
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    scheme = "https" if settings.certificate else "http"
    url = f"{scheme}://{shown}:{port}"
    if options.log_format == "json":
        print(json.dumps({"event": "listening", "url": url}), flush=True)
    else:
        print(f"runwire-server is listening at {url}", flush=True)
    if is_json(options.log_format):
        logging.getLogger(LIFE).info("listening", extra={"url": url, "version": __version__})
    DrainingServer(server, server.service, options.log_level, node).run(sockets=[bound])


def _node(
    url: str, settings: "Settings", agent: "Agent | None"
) -> "tuple[Server, AbstractAsyncContextManager[object]]":
    try:
        from runwire_reference_server.cluster.node import check_redis, create_node
    except ModuleNotFoundError:
        _fail(_REDIS_EXTRA)
    from runwire_reference_server.service.settings import SettingError

    try:
        asyncio.run(check_redis(url))
    except SettingError as problem:
        _fail(str(problem))
    return create_node(url, settings, agent)


def _bind(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        _fail(f"--port must be between 0 and 65535, not {port}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(2048)
    except OSError as problem:
        _fail(
            f"cannot listen at {host}:{port}: {problem.strerror}; choose another address with --host and --port"
        )
    return bound


def _fail(message: str) -> NoReturn:
    print(f"runwire-server: {message}", file=sys.stderr)
    sys.exit(2)
