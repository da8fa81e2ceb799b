"""How a requirement is judged, for people: its cases by their names, what they need, and where all this stands."""

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import CodeType, FunctionType

from runwire_conformance.client.keys import TABLES
from runwire_conformance.report.explain import WIDTH, sentence
from runwire_conformance.rules import answers, log, messages, wire
from runwire_conformance.rules.recorded import HINDSIGHT
from runwire_conformance.rules.server_connections import SEVERAL
from runwire_conformance.runner.suite import Listed, suite
from runwire_spec import Requirement

#: A requirement, as a docstring names it.
_ID = re.compile(r"\[([A-Z]+-[0-9]+)\]")

#: What a case calls that needs a hook, beside asking for the hook by its name.
CALLS = {"as_other": "other_token", "short_lived_token": "short_lived_token", "jwt": "jwt"}


def lookup(requirement: Requirement, scenarios: Sequence[str] = ()) -> str:
    """Return sentence, reason, keyword and place of a requirement, and how it is judged.

    `scenarios` are those of `runwire check-client` that are about it, in words.
    """
    binding = {"MUST": "broken, it fails", "MUST NOT": "broken, it fails", "MAY": "it is not judged"}
    weight = binding.get(requirement.keyword, "broken, it earns advice")
    parts = [
        sentence(requirement),
        f"  Binds the {requirement.role}; {requirement.keyword}: {weight}.",
        "",
        "\n".join(_judged(requirement, scenarios)),
    ]
    return "\n".join(parts)


def _judged(requirement: Requirement, scenarios: Sequence[str]) -> Iterator[str]:
    if requirement.not_observable_because:
        yield _filled(f"Not judged, as no message can show it: {requirement.not_observable_because}")
        return
    watchers = [name for name, ids in watched().items() if requirement.id in ids]
    if requirement.role == "client":
        if scenarios:
            yield "  Judged by"
            yield from (_filled(scenario, "    ", "      ") for scenario in scenarios)
            yield ""
            yield f"  Play it: runwire check-client --claim all --requirement {requirement.id} -- COMMAND"
        yield _filled(
            "`runwire check` does not judge it, as it is the client itself; `runwire validate` does where a recorded"
            " conversation shows it."
        )
        return
    proving = [case for case in suite() if requirement.id in case.claim.ids + case.claim.watches]
    if not proving and not watchers:
        yield "  No case judges it."
        return
    yield "  Judged by"
    for case in proving:
        yield from _case(case, watches=requirement.id not in case.claim.ids)
    for name in watchers:
        yield f"    every conversation of every case ({name})"
    for name in [name for name, ids in seen_in_recordings().items() if requirement.id in ids]:
        yield f"    `runwire validate`, in a whole recording ({name})"
    yield ""
    yield f"  Play it: runwire check URL --requirement {requirement.id}"


def _case(case: Listed, watches: bool) -> Iterator[str]:
    claim = case.claim
    transports = f" (over {' and over '.join(claim.on)})" if claim.on else ""
    yield _filled(f"{case.name.replace('_', ' ')}{transports}", "    ", "      ")
    notes = [f"cases/{case.module}.py:{case.line}"]
    notes += ["provokes it; invariants judge"] if watches else []
    notes += ["needs the script agent"] if claim.script else []
    notes += [f"needs [hooks] {hook}" for hook in hooks(case)]
    notes += [f"only for a server without {claim.without}"] if claim.without else []
    notes += ["plays alone"] if claim.alone else []
    notes += ["plays last"] if claim.last else []
    notes += ["leans on the clock: played again alone before it accuses"] if claim.timing else []
    yield _filled("; ".join(notes), "      ", "      ")


def hooks(case: Listed) -> list[str]:
    """Return the keys under `[hooks]` that a case asks for itself."""
    found: dict[str, None] = {}
    for code in _codes(case.code):
        if "hook" in code.co_names:
            known = TABLES["hooks"].keys
            found |= dict.fromkeys(text for text in code.co_consts if isinstance(text, str) and text in known)
        found |= dict.fromkeys(CALLS[name] for name in code.co_names if name in CALLS)
    return list(found)


def watched() -> dict[str, frozenset[str]]:
    """Return the invariants by their names, with the requirements that each of them names."""
    return _named(invariant for module in (messages, answers, log, wire) for invariant in module.INVARIANTS)


def seen_in_recordings() -> dict[str, frozenset[str]]:
    """Return the rules for whole recordings by their names, with the requirements that each of them names."""
    return _named([*HINDSIGHT, *SEVERAL])


def _named(rules: Iterable[Callable[..., object]]) -> dict[str, frozenset[str]]:
    return {
        f"{rule.__module__.rpartition('.')[2]}.{rule.__name__}": frozenset(
            [
                *(text for code in _codes(rule.__code__) for text in code.co_consts if isinstance(text, str)),
                *_ID.findall(rule.__doc__ or ""),
            ]
        )
        for rule in rules
        if isinstance(rule, FunctionType)
    }


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a function's code and that of the functions within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _filled(text: str, first: str = "  ", later: str = "    ") -> str:
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=later)
