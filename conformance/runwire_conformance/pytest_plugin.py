"""The pytest plug-in: collects cases, has the engine play them all at once, and reports each as a test."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runwire_conformance.case import claim_of
from runwire_conformance.engine import Case, Engine, State
from runwire_conformance.probe import NoRunwireServer
from runwire_conformance.settings import SettingsError, options_from
from runwire_conformance.trace import Trace
from runwire_conformance.transcript import transcript
from runwire_conformance.verdict import Report, class_results, judge

CASES = Path(__file__).parent / "cases"
ENGINE = pytest.StashKey["Judging"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the suite."""
    group = parser.getgroup("runwire", "Runwire conformance")
    group.addoption("--runwire-url", metavar="URL", help="the server to judge")
    group.addoption("--runwire-class", metavar="NAMES", help="only requirements of these classes, by commas")
    group.addoption("--runwire-requirement", metavar="IDS", help="only these requirements, by commas")
    group.addoption("--runwire-token", metavar="TOKEN", help="bearer token to authenticate with")
    group.addoption(
        "--runwire-header", metavar="NAME:VALUE", action="append", default=[], help="a further header"
    )
    group.addoption("--runwire-cafile", metavar="FILE", help="certificates to trust")
    group.addoption("--runwire-config", metavar="FILE", help="runwire.toml")
    group.addoption(
        "--runwire-prompt", metavar="NAME=TEXT", action="append", default=[], help="short= or long="
    )
    group.addoption("--runwire-patience", metavar="SECONDS", type=float, default=30.0, help="longest wait")
    group.addoption("--runwire-concurrency", metavar="N", type=int, help="connections at once")


def pytest_configure() -> None:
    """Have pytest explain the assertions of the cases, which are not imported yet."""
    pytest.register_assert_rewrite("runwire_conformance.cases")


class Judging:
    """One session's engine; a plug-in that wants to follow it sets `progress` and reads `report`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.played = False
        self.refused: str | None = None

    def play(self) -> None:
        """Play all cases, once."""
        if not self.played:
            self.played = True
            try:
                asyncio.run(self.engine.judge())
            except NoRunwireServer as problem:
                self.refused = str(problem)

    def report(self) -> Report:
        """Return what was found out."""
        return report_of(self.engine)


def report_of(engine: Engine) -> Report:
    """Return the report of an engine that has judged."""
    profile = engine.profile
    features = profile.features if profile else frozenset()
    script_agent = profile.has_script_agent if profile else False
    judgements = judge(engine.cases, features, script_agent, profile.broken if profile else {})
    if engine.mute is not None:
        judgements = _muted(judgements, engine)
    outcomes = [(case.name, case.outcome) for case in engine.cases if case.outcome is not None]
    slowest = max(
        ((name, outcome.seconds) for name, outcome in outcomes), key=lambda pair: pair[1], default=("", 0.0)
    )
    errors = tuple(
        f"{name}: {outcome.reason}\n{outcome.details}"
        for name, outcome in outcomes
        if outcome.state is State.JUDGE_ERROR
    )
    remarks = (f"The server was gone at the end: {engine.died}",) if engine.died else ()
    return Report(
        url=engine.url,
        server=profile.name if profile else "server",
        judgements=judgements,
        classes=class_results(judgements, features, script_agent),
        seconds=engine.seconds,
        slowest=slowest,
        judge_errors=errors,
        remarks=remarks,
    )


def _muted(judgements: tuple[Any, ...], engine: Engine) -> tuple[Any, ...]:
    from dataclasses import replace

    from runwire_conformance.verdict import Accusation, Judgement, Verdict
    from runwire_spec import catalogue

    assert engine.mute is not None
    accused = engine.mute.requirement
    accusation = Accusation("the first look at the server", str(engine.mute))
    guilty = Judgement(catalogue()[accused], Verdict.FAIL, (str(engine.mute),), (accusation,))
    others = tuple(
        replace(
            judgement,
            verdict=Verdict.NOT_EXERCISED,
            reasons=(f"moot while {accused} is broken",),
            accusations=(),
        )
        for judgement in judgements
        if judgement.requirement.id != accused
    )
    order = list(catalogue())
    return tuple(sorted((guilty, *others), key=lambda judgement: order.index(judgement.requirement.id)))


class CaseItem(pytest.Item):
    """One case as pytest sees it."""

    def __init__(self, *, case: Case, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case = case

    def runtest(self) -> None:
        """Report what came of the case; the first item to be asked has them all played."""
        judging = self.config.stash[ENGINE]
        judging.play()
        if judging.refused is not None:
            pytest.exit(judging.refused, returncode=2)
        outcome = self.case.outcome
        if outcome is None:
            pytest.skip(f"not exercised: {judging.engine.mute or 'the case was not played'}")
        for identifier in self.case.claim.ids:
            self.user_properties.append(("requirement", identifier))
        if outcome.state in {State.NOT_OFFERED, State.NOT_EXERCISED}:
            pytest.skip(f"{outcome.state}: {outcome.reason}")
        if outcome.state is not State.PASSED or outcome.findings:
            raise CaseFailed

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return sentence, assertion and transcript instead of a traceback."""
        if not isinstance(excinfo.value, CaseFailed):
            return super().repr_failure(excinfo, style)
        from runwire_conformance.explain import explain_case

        return explain_case(self.case)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the case stands."""
        return self.path, self.case.function.__code__.co_firstlineno - 1, self.name


class CaseFailed(Exception):
    """A case failed, or an invariant found something in its conversations."""


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect the modules of the suite whatever `python_files` says."""
    if file_path.suffix == ".py" and CASES in file_path.parents and file_path.name != "__init__.py":
        return pytest.Module.from_parent(parent, path=file_path)
    return None


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> list[CaseItem] | None:
    """Make an item, or one for each transport, of a function marked by `proves`."""
    claim = claim_of(obj)
    if claim is None:
        return None
    items = []
    for transport in claim.on or (None,):
        shown = f"{name}[{transport}]" if transport else name
        case = Case(f"{collector.path.stem}::{shown}", obj, claim, transport)  # type: ignore[arg-type]
        items.append(CaseItem.from_parent(collector, name=shown, case=case))
    return items


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select by class and requirement, and set up the engine for what is left."""
    cases = [item for item in items if isinstance(item, CaseItem)]
    if not cases:
        return
    chosen = list(_chosen(config, cases))
    others = [item for item in items if not isinstance(item, CaseItem)]
    if len(chosen) < len(cases):
        config.hook.pytest_deselected(items=[item for item in cases if item not in chosen])
    items[:] = [*others, *chosen]
    url = config.getoption("--runwire-url")
    try:
        options, configured = options_from(config)
    except SettingsError as problem:
        raise pytest.UsageError(str(problem)) from None
    if not (url := url or configured):
        raise pytest.UsageError("name the server to judge with --runwire-url URL")
    engine = Engine(
        url,
        options,
        [item.case for item in chosen],
        config.getoption("--runwire-concurrency"),
        stop_after=int(config.getoption("maxfail") or 0),
    )
    for item in chosen:
        item.case.explain = _assertion
    config.stash[ENGINE] = Judging(engine)


def _chosen(config: pytest.Config, cases: list[CaseItem]) -> Iterator[CaseItem]:
    from runwire_spec import catalogue

    classes = set(filter(None, (config.getoption("--runwire-class") or "").split(",")))
    wanted = set(filter(None, (config.getoption("--runwire-requirement") or "").split(",")))
    for item in cases:
        claimed = set(item.case.claim.ids + item.case.claim.watches)
        if wanted and not wanted & claimed:
            continue
        if classes and not classes & {catalogue()[identifier].conformance_class for identifier in claimed}:
            continue
        yield item


def _assertion(problem: BaseException) -> str:
    """Return the failing lines of a case as pytest shows an assertion."""
    info = pytest.ExceptionInfo.from_exception(problem)
    entries = [entry for entry in info.traceback if CASES in Path(str(entry.path)).parents]
    place = f"{Path(str(entries[-1].path)).name}:{entries[-1].lineno + 1}: " if entries else ""
    return f"{place}{problem}"


def shown_traces(traces: tuple[Trace, ...]) -> str:
    """Return the transcripts of a case's conversations."""
    return "\n".join(transcript(trace) for trace in traces)
