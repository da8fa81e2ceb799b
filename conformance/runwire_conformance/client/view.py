"""A caller's view of the server under test: profile, limits, prompts and credentials."""

import copy
import itertools
import json
import time
from typing import Any, Self
from urllib.parse import urlsplit

from runwire_conformance.case import NotExercised, PatienceExceeded
from runwire_conformance.client import scripts
from runwire_conformance.client.discovery.profile import Options, ServerProfile
from runwire_conformance.client.options.hooks import missing, printed
from runwire_conformance.client.options.keys import DEFAULT_PROMPTS
from runwire_conformance.trace.clock import Clock, Interval, now
from runwire_conformance.trace.limits import Limits

#: Seconds for which a token is good that the judge has minted to see it expire.
SHORT_LIFE_S = 3

#: The largest log that the judge fills, in bytes: it reads each of them.
MOST_FILLED = 64 << 20

#: Counts the views of a server, which tell their prompts apart by their number.
_NUMBERS = itertools.count()


def expect_to_fit(message: dict[str, Any], limits: Limits) -> None:
    """Raise NotExercised when the server need not take a message, as it is larger than `max_message_bytes`."""
    size, most = (
        len(json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")),
        limits["max_message_bytes"],
    )
    if size > most:
        raise NotExercised(
            f"needs a message of {size} bytes; raise max_message_bytes (advertised {most:.15g})"
        )


class View:
    """The server as one caller of a case sees it; opens nothing."""

    def __init__(
        self, profile: ServerProfile, options: Options, clock: Clock | Interval, *, patient: bool = False
    ) -> None:
        self.profile = profile
        self.options = options
        self.clock = (clock.clock if isinstance(clock, Interval) else clock).begun()
        self.limits = profile.limits
        self.features = profile.features
        self._number = next(_NUMBERS)
        #: Seconds to wait for what no sentence states a time for, when the case is played again for that.
        self.patience_s = options.patience_s if patient else 0.0
        #: Whether the case counts places itself, so that a refusal for want of one is what it looks for.
        self.expects_busy = False
        #: What must not be told of the conversations.
        self.redaction = options.redaction
        #: When the credentials of the case that are good for seconds may be too old.
        self.credentials_end: list[float] = []

    @property
    def has_stale_credentials(self) -> bool:
        """Whether a credential that is good for seconds may be too old by now: the judge may have been too slow."""
        return any(end < now() for end in self.credentials_end)

    def counting(self) -> Self:
        """Return this server for a case that counts places itself: a refusal with 429 is an answer like others."""
        view = copy.copy(self)
        view.expects_busy = True
        return view

    @property
    def plain(self) -> str:
        """A prompt in words, with a short answer."""
        return self._prompt("short")

    @property
    def short(self) -> str:
        """A prompt with a short answer: the user's, or a script that is soon over, or one in words."""
        scripted = self.profile.has_script_agent and "short" not in self.options.prompts
        return self.own(scripts.SHORT) if scripted else self.plain

    @property
    def brief(self) -> str:
        """A prompt whose answer comes at once where the script agent plays it, and else a short one."""
        return self.own(scripts.THREE_TOKENS) if self.profile.has_script_agent else self.plain

    @property
    def long(self) -> str:
        """A prompt whose answer takes long enough to interrupt."""
        return self._prompt("long")

    def _prompt(self, name: str) -> str:
        return self.options.prompts.get(name) or DEFAULT_PROMPTS[name]

    def own(self, prompt: str) -> str:
        """Return a prompt as only this case sends it."""
        return scripts.marked(prompt, self._number)

    def hook(self, name: str) -> str:
        """Return what was configured for what no client can cause; raises NotExercised."""
        try:
            return self.options.hooks[name]
        except KeyError:
            raise missing(name) from None

    @property
    def token(self) -> str:
        """The bearer token of the caller; raises NotExercised when none was configured."""
        values = [v for name, v in self.options.sent_headers if name.lower() == "authorization"]
        if not values or not values[0].lower().startswith("bearer "):
            raise NotExercised(
                "needs a bearer token: give one with --token, or as [target] token in runwire.toml"
            )
        return values[0].partition(" ")[2].strip()

    def as_caller(self, token: str | None = None, *headers: tuple[str, str]) -> Self:
        """Return this server as another caller sees it: with this bearer token, or with no credential at all."""
        view = copy.copy(self)
        if token:
            self.redaction.add(token)
        view.options = self.options.as_caller(token, *headers)
        return view

    def as_other(self) -> Self:
        """Return this server as a second principal sees it; raises NotExercised."""
        return self.as_caller(self.hook("other_token"))

    async def short_lived_token(self) -> str:
        """Return a new token of one principal that is good for a few seconds; raises NotExercised."""
        if "short_lived_token" in self.options.hooks or "jwt" not in self.options.hooks:
            command = self.hook("short_lived_token")
            self.credentials_end.append(now() + SHORT_LIFE_S)
            return self.redaction.add(await printed("short_lived_token", command))
        return await self.jwt(exp=int(time.time() + SHORT_LIFE_S))

    async def jwt(self, **claims: Any) -> str:
        """Return a JSON Web Token with these claims, None leaving one out; raises NotExercised."""
        return self.redaction.add(await printed("jwt", self.hook("jwt"), json.dumps(claims)))

    def node(self, number: int) -> Self:
        """Return this server as its node `number` shows it, 0 being the one under test; raises NotExercised.

        Beyond the last node the count begins anew with the first of the others.
        """
        if not self.options.urls:
            raise missing("urls")
        view = copy.copy(self)
        if number:
            view.profile = self.profile.of_node(self.options.urls[(number - 1) % len(self.options.urls)])
        return view

    @property
    def origin(self) -> str:
        """A listed origin: the configured one, or the server's own, which is listed by default."""
        own = urlsplit(self.profile.discovery_url or self.profile.websocket_url.replace("ws", "http", 1))
        return self.options.hooks.get("origin") or f"{own.scheme}://{own.netloc}"

    def within_patience(self, seconds: float, setting: str) -> None:
        """Raise PatienceExceeded when a bound is longer than the user will wait."""
        if seconds > self.options.patience_s:
            raise PatienceExceeded(
                f"would take {seconds:.15g} s; set a smaller {setting} on the server or use --patience {seconds:.15g}"
            )

    def needs(self, limit: str, least: float, why: str) -> None:
        """Raise NotExercised when a limit is below `least` and has to be more, as `why` says."""
        if self.limits[limit] < least:
            raise NotExercised(
                f"{limit} is {self.limits[limit]:g}, too small {why}; set it to {least:g} or more on the server"
            )

    def needs_to_outlast_grace(self, seconds: float) -> None:
        """Raise NotExercised when no run may last for so long, which is more than its readers may be away."""
        self.needs("run_s", seconds, "to outlast detach_grace_s")

    def pieces_beyond_log(self, size: int) -> int:
        """Return how many texts of `size` bytes are more than a log holds; raises NotExercised for one too large."""
        log_bytes = self.limits["log_bytes"]
        if log_bytes > MOST_FILLED:
            raise NotExercised(
                f"log_bytes (advertised {log_bytes:.15g}) is too much to fill; set it to {MOST_FILLED} or less"
            )
        return int(log_bytes / size) + 50

    def observed(self, name: str, answer: str) -> None:
        """Record what the server does where the text is silent; it is never judged."""
        self.options.observed.note(name, answer)
