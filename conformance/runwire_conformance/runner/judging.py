"""One judging of one server: engine and report."""

import asyncio
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from runwire_conformance.client.discovery.diagnosis import NoRunwireServer
from runwire_conformance.runner.engine import Engine
from runwire_conformance.runner.phases import judge_server
from runwire_conformance.trace.printing import printable
from runwire_conformance.verdict.judgement import Judgement
from runwire_conformance.verdict.outcome import State
from runwire_conformance.verdict.proxies.signs import without_proxy
from runwire_conformance.verdict.reproduction import Reproduction, shown_url
from runwire_conformance.verdict.result import Report
from runwire_conformance.verdict.verdict import also_accused, class_results, judge, only_accused
from runwire_spec import Requirement

#: How many cases are named that were under way when the server was gone.
MOST_SUSPECTS = 5

#: How many of the judge's last messages to a server that was gone are shown, and seconds by which they may be later.
MOST_SENT, ABOUT_S = 3, 0.5


@contextmanager
def _explained_in_short() -> Iterator[None]:
    """Hide from pytest that this is a CI: it would compare long lists word by word there, which can take minutes."""
    kept = {name: os.environ.pop(name) for name in ("CI", "BUILD_NUMBER") if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


class Judging:
    """One session's engine. `wanted` tells which requirements the user asked for."""

    def __init__(
        self,
        engine: Engine,
        wanted: Callable[[Requirement], bool] = lambda _: True,
        reproduction: Reproduction | None = None,
        selected: str = "",
    ) -> None:
        self.engine = engine
        self.wanted = wanted
        #: How the user narrowed what is judged, in words.
        self.selected = selected
        self.reproduction = reproduction or Reproduction(shown_url(engine.url))
        #: When it began, in seconds since 1970.
        self.began = 0.0
        self.played = False
        #: Why there is nothing to judge, in one line.
        self.refused: str | None = None
        #: What went wrong in the judge itself, outside its cases.
        self.fault: str | None = None

    def play(self) -> None:
        """Play all cases, once."""
        if self.played:
            return
        self.played = True
        self.began = time.time()
        try:
            with _explained_in_short():
                asyncio.run(judge_server(self.engine))
        except NoRunwireServer as problem:
            self.refused = printable(problem)
        except Exception:
            self.fault = traceback.format_exc()

    @property
    def partial(self) -> str:
        """What narrowed the judging, in words, or an empty string."""
        engine = self.engine
        reasons = [self.selected] if self.selected else []
        if engine.left_out:
            reasons.append(f"--quick left out {len(engine.left_out)} cases")
        reasons += [reason for reason, happened in (
            ("interrupted", engine.interrupted),
            ("stopped at the first failure", engine.stopped),
            ("the time limit expired", engine.timed_out),
        ) if happened]  # fmt: skip
        return ", ".join(reasons)

    def report(self) -> Report:
        """Return what was found out."""
        engine, profile = self.engine, self.engine.profile
        features = profile.features if profile else frozenset[str]()
        script_agent = profile.has_script_agent if profile else False
        judgements, remark = without_proxy(self._judgements(features, script_agent), engine.proxy_signs)
        outcomes = [(case.name, outcome) for case, outcome in engine.noted()]
        slowest = max(
            ((name, o.seconds) for name, o in outcomes), key=lambda pair: pair[1], default=("", 0.0)
        )
        faults = [
            f"{name}: {outcome.reason}\n{outcome.details}"
            for name, outcome in outcomes
            if outcome.state is State.JUDGE_ERROR
        ]
        return Report(
            url=self.reproduction.url,
            server=profile.name if profile else "server",
            judgements=judgements,
            classes=class_results(judgements, features, script_agent, self.partial),
            partial=self.partial,
            interrupted=engine.interrupted,
            patience_s=engine.options.patience_s,
            seconds=engine.seconds,
            slowest=slowest,
            judge_errors=tuple([self.fault, *faults] if self.fault else faults),
            remarks=tuple(filter(None, [self._gone(), remark])),
            informational=engine.options.observed.seen_answers(),
            began=self.began,
            reproduction=self.reproduction,
            redaction=engine.options.redaction,
        )

    def _judgements(self, features: frozenset[str], script_agent: bool) -> tuple[Judgement, ...]:
        engine = self.engine
        broken, shown = (engine.profile.broken, engine.profile.shown) if engine.profile else ({}, {})
        cases = [one for one in engine.played if one.name not in engine.left_out]
        judgements = judge(
            cases,
            features,
            script_agent,
            broken,
            self.wanted,
            engine.broken_throughout,
            shown,
            engine.undecided,
        )
        if engine.unusable is not None:
            unusable = engine.unusable
            look = "the preflight"
            return only_accused(judgements, unusable.requirement, look, str(unusable), unusable.traces)
        if engine.server_gone is not None:
            return also_accused(judgements, "CONN-6", "the final liveness check", self._gone_reason())
        return judgements

    def _gone(self) -> str | None:
        return (
            f"The server stopped responding before the end: {self.engine.server_gone}"
            if self.engine.server_gone
            else None
        )

    def _gone_reason(self) -> str:
        engine = self.engine
        outcomes = [(case.name, outcome) for case, outcome in engine.noted()]
        suspects = [
            name
            for name, outcome in outcomes
            if outcome.began_at <= engine.last_message_at <= outcome.ended_at
        ]
        more = [f"{len(suspects) - MOST_SUSPECTS} more"] if len(suspects) > MOST_SUSPECTS else []
        under_way = f"; cases running then: {', '.join(suspects[:MOST_SUSPECTS] + more)}" if suspects else ""
        last = [text for at, text in sorted(engine.last_sent) if at <= engine.last_message_at + ABOUT_S][
            -MOST_SENT:
        ]
        under_way += f"; last messages sent to it: {' and '.join(last)}" if last else ""
        after = max(0.0, engine.last_message_at - engine.began_at)
        last_message = f"its last message arrived {after:.1f} s after the start"
        return f"the server stopped responding: {engine.server_gone}; {last_message}{under_way}"
