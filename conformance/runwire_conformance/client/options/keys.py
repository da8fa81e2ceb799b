"""Keys of `runwire.toml` with their meanings, the source of `runwire init`."""

from collections.abc import Mapping
from dataclasses import dataclass

#: Prompts that any agent can be asked; a long answer gives time to interrupt.
DEFAULT_PROMPTS = {
    "short": "Say hello.",
    "long": "Count from one to five hundred, one number a line, in words.",
}


@dataclass(frozen=True, slots=True)
class Key:
    """A key: what it means, and a value as an example; several mean that the value is a list."""

    meaning: str
    example: str | tuple[str, ...]

    @property
    def is_list(self) -> bool:
        """Whether the value is a list of strings."""
        return isinstance(self.example, tuple)


@dataclass(frozen=True, slots=True)
class Table:
    """A table: what it is for, and its keys."""

    purpose: str
    keys: Mapping[str, Key]


TABLES: Mapping[str, Table] = {
    "target": Table(
        "The server to judge, and access to it.",
        {
            "url": Key("its origin, its discovery document, or ws://host:port/path", "http://localhost:8080"),
            "token": Key("a bearer token; keep it in the environment, not in this file", "${RUNWIRE_TOKEN}"),
            "headers": Key("additional headers of every request, such as a tenant's", ("X-Tenant: a",)),
            "cafile": Key("certificates to trust in addition to those of the system", "ca.pem"),
        },
    ),
    "prompts": Table(
        "What to ask an agent that cannot play scripts.",
        {
            "short": Key("a prompt with a short answer", DEFAULT_PROMPTS["short"]),
            "long": Key("a prompt with an answer that takes several seconds", DEFAULT_PROMPTS["long"]),
        },
    ),
    "hooks": Table(
        "What a client cannot cause from outside; requirements that need a missing hook are not exercised.",
        {
            "other_token": Key("a bearer token of a second principal", "${RUNWIRE_OTHER_TOKEN}"),
            "forbidden_token": Key(
                "a valid bearer token of a principal without permissions", "${RUNWIRE_FORBIDDEN_TOKEN}"
            ),
            "short_lived_token": Key(
                "a command that prints a new bearer token, always of the same principal, valid for a few seconds",
                "./mint 3s",
            ),
            "jwt": Key(
                "a command that reads claims as JSON and prints a valid JSON Web Token with them; null leaves one out",
                "./mint-jwt",
            ),
            "cookie": Key("a valid session cookie, as name=value", "session=${RUNWIRE_COOKIE}"),
            "origin": Key("an origin that the operator listed", "https://app.example"),
            "drain": Key("a command that makes the server drain; runs last", "docker kill -s TERM app"),
            "kill": Key("a command that kills the node at the last of urls; runs last", "docker kill app-b"),
            "urls": Key("base URLs of further nodes of the same service", ("http://node-b:8080",)),
        },
    ),
}
