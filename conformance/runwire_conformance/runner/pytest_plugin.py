"""Pytest plug-in: collects cases, has the engine play them in parallel, and reports each as a test."""

import importlib
import pkgutil
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from runwire_conformance import cases
from runwire_conformance.case import claim_of, topic
from runwire_conformance.client.discovery.server_url import server_url
from runwire_conformance.client.options.search_options import EXAMPLES
from runwire_conformance.report.explain import explain_case, short
from runwire_conformance.runner.engine import Engine
from runwire_conformance.runner.judging import Judging
from runwire_conformance.runner.suite import case_names
from runwire_conformance.settings import SettingsError, options_from
from runwire_conformance.verdict.outcome import Case, CaseResult, State
from runwire_conformance.verdict.reproduction import reproduction_of
from runwire_spec import Requirement, catalogue

#: The folder of the cases, which holds their modules in a clone and stands for them in a wheel.
CASES = Path(cases.__file__).parent
ENGINE = pytest.StashKey[Judging]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the suite."""
    group = parser.getgroup("runwire", "Runwire conformance")
    group.addoption("--runwire-url", metavar="URL", help="the server to judge")
    group.addoption(
        "--runwire-class", metavar="NAMES", help="only requirements of these classes, separated by commas"
    )
    group.addoption(
        "--runwire-requirement", metavar="IDS", help="only these requirements, separated by commas"
    )
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
    group.addoption(
        "--runwire-seed", metavar="N", type=int, default=0, help="seed of the random conversations"
    )
    group.addoption(
        "--runwire-examples",
        metavar="N",
        type=int,
        default=EXAMPLES,
        help="random conversations for each case",
    )
    group.addoption(
        "--runwire-regressions", metavar="DIR", help="folder for failing conversations; saved ones play first"
    )
    group.addoption(
        "--runwire-time-limit", metavar="SECONDS", type=float, help="start no case after this time"
    )
    group.addoption("--runwire-quick", action="store_true", help="skip cases that wait longer than 5 s")
    group.addoption("--runwire-concurrency", metavar="N", type=int, help="connections at once")


class CaseItem(pytest.Item):
    """One case as pytest sees it."""

    def __init__(self, *, case: Case, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case = case

    def requirements(self) -> list[Requirement]:
        """Return what the case proves or watches."""
        return [catalogue()[name] for name in self.case.claim.ids + self.case.claim.watches]

    def played(self) -> CaseResult:
        """Return the case with what came of it."""
        return CaseResult(self.case, self.config.stash[ENGINE].engine.outcomes.get(self.case.name))

    def runtest(self) -> None:
        """Report what came of the case; the first item to be asked has them all played."""
        judging = self.config.stash[ENGINE]
        judging.play()
        if judging.refused is not None:
            pytest.exit(judging.refused, returncode=2)
        if judging.fault is not None:
            pytest.exit(f"internal error of the judge, please report it:\n{judging.fault}", returncode=3)
        outcome = judging.engine.outcomes.get(self.case.name)
        if outcome is None:
            left_out = "left out by --quick" if self.case.name in judging.engine.left_out else ""
            pytest.skip(left_out or f"not exercised: {judging.engine.unusable or 'the case was not played'}")
        for identifier in self.case.claim.ids:
            self.user_properties.append(("requirement", identifier))
        if any(judging.wanted(catalogue()[finding.requirement]) for finding in outcome.findings):
            raise CaseFailed  # even where the case itself came to nothing, as for a connection that broke off
        if outcome.state in {State.NOT_OFFERED, State.NOT_EXERCISED, State.NOT_JUDGED}:
            pytest.skip(f"{outcome.state}: {outcome.reason}")
        if outcome.state is not State.PASSED:
            raise CaseFailed

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return sentence, assertion and transcript instead of a traceback."""
        if not isinstance(excinfo.value, CaseFailed):
            return super().repr_failure(excinfo, style)
        return ReportedFailure(self.played())

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the case stands."""
        return self.path, self.case.function.__code__.co_firstlineno - 1, self.name


class ReportedFailure(str):
    """All there is to say about a failed case; `reprcrash.message` is the line that a CI shows first."""

    def __new__(cls, played: CaseResult) -> "ReportedFailure":
        """Tell what came of a case."""
        told = super().__new__(cls, explain_case(played))
        told.reprcrash = Crash(short(played))
        return told

    reprcrash: "Crash"


@dataclass(frozen=True, slots=True)
class Crash:
    """What pytest and JUnit show of a failure before its text."""

    message: str


class CaseFailed(Exception):
    """A case failed, or a rule found something in its conversations."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report for how long a case played, which is not how long its item waited for it."""
    report = yield
    if isinstance(item, CaseItem) and call.when == "call" and (outcome := item.played().outcome) is not None:
        report.duration = outcome.seconds
    return report


class CaseModule(pytest.Module):
    """A module of cases, imported by its name: it may be a file or stand in the archive of a wheel."""

    def _getobj(self) -> ModuleType:
        return importlib.import_module(f"{cases.__name__}.{self.path.stem}")


class CaseFolder(pytest.Directory):
    """The package of the cases."""

    def collect(self) -> Iterable[CaseModule]:
        """Collect its modules whatever `python_files` says."""
        for module in pkgutil.iter_modules(cases.__path__):
            yield CaseModule.from_parent(self, path=CASES / f"{module.name}.py")


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> CaseFolder | None:
    """Collect the suite where pytest comes upon its package."""
    return CaseFolder.from_parent(parent, path=path) if path == CASES else None


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> list[CaseItem] | None:
    """Make an item, or one for each transport, of a function marked by `proves`."""
    claim = claim_of(obj)
    if claim is None:
        return None
    items = []
    for transport in claim.on or (None,):
        shown = f"{name}[{transport}]" if transport else name
        case = Case(f"{topic(collector.path.stem)}::{shown}", obj, claim, transport)  # type: ignore[arg-type]
        items.append(CaseItem.from_parent(collector, name=shown, case=case))
    return items


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select by class and requirement."""
    own = [item for item in items if isinstance(item, CaseItem)]
    if not own:
        return
    wanted = _wanted(config)
    chosen = [item for item in own if any(map(wanted, item.requirements()))]
    others = [item for item in items if not isinstance(item, CaseItem)]
    if len(chosen) < len(own):
        config.hook.pytest_deselected(items=[item for item in own if item not in chosen])
    items[:] = [*others, *chosen]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Set up the engine for what all selections, `-k` and `--lf` among them, leave."""
    config = session.config
    chosen = [item for item in session.items if isinstance(item, CaseItem)]
    if not chosen:
        return
    url = config.getoption("--runwire-url")
    try:
        options, configured = options_from(config)
    except SettingsError as problem:
        raise pytest.UsageError(str(problem)) from None
    if not (url := server_url(url or configured or "")):
        raise pytest.UsageError(
            "name the server to judge: with `runwire check URL`, `pytest --runwire-url URL`, or in runwire.toml"
        )
    engine = Engine(
        url,
        options,
        [item.case for item in chosen],
        config.getoption("--runwire-concurrency"),
        stop_after=int(config.getoption("maxfail") or 0),
    )
    names = [item.case.name for item in chosen]
    config.stash[ENGINE] = Judging(
        engine, _wanted(config), reproduction_of(config, url), _selected(config, names)
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell by the exit code that the user broke it off, after all that was found out was reported."""
    judging = session.config.stash.get(ENGINE, None)
    if judging is not None and judging.engine.interrupted:
        session.exitstatus = pytest.ExitCode.INTERRUPTED


def _selected(config: pytest.Config, names: Sequence[str]) -> str:
    """Return how the user narrowed the suite, in words; empty when it is whole."""
    given = {
        "--class": config.getoption("--runwire-class"),
        "--requirement": config.getoption("--runwire-requirement"),
        "-k": config.getoption("keyword", ""),
        "--lf": "cases that failed last time" if config.getoption("lf", False) else "",
    }
    told = [f"{option} {value}" for option, value in given.items() if value]
    if told:
        return f"only {', '.join(told)}"
    return "" if case_names() <= set(names) else f"only {len(names)} of the suite's cases"


def _wanted(config: pytest.Config) -> Callable[[Requirement], bool]:
    """Return whether the user asked for a requirement, by class or by id."""
    classes = set(filter(None, (config.getoption("--runwire-class") or "").split(",")))
    given = config.getoption("--runwire-requirement") or ""
    names = [name.strip().upper() for name in given.split(",") if name.strip()]

    def wanted(requirement: Requirement) -> bool:
        of_class = not classes or requirement.conformance_class in classes
        return of_class and (not names or any(fnmatchcase(requirement.id, name) for name in names))

    return wanted
