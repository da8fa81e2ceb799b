"""Agent options of `runwire-server`."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import cast
from urllib.parse import urlsplit

from runwire_reference_server.agents import Agent
from runwire_reference_server.service.settings import SettingError, is_loopback

#: Variables of the environment that stand in for the options, by agent.
_VARIABLES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "openai": {"url": "OPENAI_BASE_URL", "model": "OPENAI_MODEL", "key": "OPENAI_API_KEY"},
        "dify": {"url": "DIFY_BASE_URL", "key": "DIFY_API_KEY"},
        "ag-ui": {"url": "AG_UI_URL", "key": "AG_UI_API_KEY"},
    }
)


def add_agent_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to `parser`."""
    group = parser.add_argument_group("agent")
    group.add_argument(
        "--agent",
        metavar="NAME",
        help="openai, dify, ag-ui, or your own MODULE:CLASS (default: a small demo)",
    )
    group.add_argument(
        "--agent-url",
        metavar="URL",
        help="URL of the agent's endpoint (or OPENAI_BASE_URL, DIFY_BASE_URL, AG_UI_URL)",
    )
    group.add_argument(
        "--agent-model", metavar="MODEL", help="name of the model for openai (or OPENAI_MODEL)"
    )
    group.add_argument(
        "--agent-key-file",
        metavar="FILE",
        help="file with the key of the endpoint (or OPENAI_API_KEY, DIFY_API_KEY, AG_UI_API_KEY)",
    )
    group.add_argument(
        "--dify-app", choices=["chat", "workflow"], default="chat", help="kind of application (default: chat)"
    )
    group.add_argument(
        "--dify-prompt-variable",
        metavar="NAME",
        default="query",
        help="input variable of a workflow that gets the prompt (default: query)",
    )
    group.add_argument(
        "--script-agent",
        action=argparse.BooleanOptionalAction,
        help="play scripts sent by tests; never use it in production "
        "(default: on for the demo, when only this machine can reach the server)",
    )


def plays_scripts(options: argparse.Namespace) -> bool:
    """Return whether the server has the script agent (chapter 16): as the options say, or for a demo of one machine.

    What stands behind a proxy or is known by another host is reached from elsewhere.
    """
    if options.script_agent is not None:
        return bool(options.script_agent)
    proxied = options.behind_proxy or options.trust_proxy or options.allow_host or options.root_path
    return options.agent is None and is_loopback(options.host) and not proxied


def agent_from(options: argparse.Namespace) -> Agent | None:
    """Return the agent that the options name, None for the demo; raises SettingError."""
    name: str | None = options.agent
    if name is None:
        return None
    makers: Mapping[str, Callable[[argparse.Namespace], Agent]] = {
        "openai": _openai,
        "dify": _dify,
        "ag-ui": _ag_ui,
    }
    if name not in makers:
        return load_agent(name)
    try:
        return makers[name](options)
    except ModuleNotFoundError as missing:
        raise SettingError(
            f"--agent {name} needs the extra {name}; install it with: pip install 'runwire[server,{name}]' "
            f"(no module {missing.name})"
        ) from None


def _openai(options: argparse.Namespace) -> Agent:
    from runwire_reference_server.integrations.openai import OpenAIAgent
    from runwire_reference_server.integrations.upstream import Upstream

    model = _given(options, "model")
    if model is None:
        raise SettingError("--agent openai needs --agent-model, or the variable OPENAI_MODEL")
    return OpenAIAgent(Upstream(_url(options), model, _key(options)))


def _dify(options: argparse.Namespace) -> Agent:
    from runwire_reference_server.integrations.dify import DifyAgent
    from runwire_reference_server.integrations.upstream import Upstream

    return DifyAgent(
        Upstream(_url(options), key=_key(options)), options.dify_app, options.dify_prompt_variable
    )


def _ag_ui(options: argparse.Namespace) -> Agent:
    from runwire_reference_server.integrations.ag_ui.agent import AgUiAgent
    from runwire_reference_server.integrations.upstream import Upstream

    url = _url(options)
    if url is None:
        raise SettingError("--agent ag-ui needs --agent-url, or the variable AG_UI_URL")
    asks_for_none = options.agent_key_file is None and not os.environ.get(_VARIABLES["ag-ui"]["key"])
    return AgUiAgent(Upstream(url, key=None if asks_for_none else _key(options)))


def _url(options: argparse.Namespace) -> str | None:
    url = _given(options, "url")
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingError(f"--agent-url must be an address such as http://127.0.0.1:8000/v1, not {url!r}")
    return url


def _key(options: argparse.Namespace) -> str:
    """Return the key; one on the command line would stand in the list of processes."""
    variable = _VARIABLES[options.agent]["key"]
    if options.agent_key_file is None:
        key = os.environ.get(variable, "")
    else:
        try:
            key = Path(options.agent_key_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            reason = getattr(problem, "strerror", None) or "it is not a text file"
            raise SettingError(f"--agent-key-file {options.agent_key_file}: {reason}") from None
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise SettingError(
            f"--agent {options.agent} needs a key: one word in --agent-key-file FILE or in {variable}; "
            "if the endpoint needs no key, use any word"
        )
    return key


def _given(options: argparse.Namespace, name: str) -> str | None:
    given: str | None = getattr(options, f"agent_{name}")
    return given or os.environ.get(_VARIABLES[options.agent].get(name, ""), "") or None


def load_agent(path: str) -> Agent:
    """Return an instance of the class that `module:Class` names; raises SettingError when there is none."""
    module, colon, name = path.partition(":")
    if not colon or not name:
        raise SettingError(
            f"--agent must be openai, dify, ag-ui or MODULE:CLASS, for example mymodule:MyAgent, not {path!r}"
        )
    sys.path.insert(0, str(Path.cwd()))
    try:
        maker = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as missing:
        raise SettingError(f"--agent {path}: no module named {missing.name}") from None
    except AttributeError:
        raise SettingError(f"--agent {path}: {module} has no {name}") from None
    except Exception as problem:
        raise SettingError(f"--agent {path}: {type(problem).__name__}: {problem}") from None
    try:
        agent = maker()
    except Exception as problem:
        raise SettingError(f"--agent {path}: {type(problem).__name__}: {problem}") from None
    if not callable(getattr(agent, "run", None)):
        raise SettingError(f"--agent {path}: it has no method run(task)")
    return cast(Agent, agent)
