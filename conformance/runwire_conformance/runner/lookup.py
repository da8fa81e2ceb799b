"""Lookup of how a requirement is judged: its cases, their needs, their source lines."""

from collections.abc import Iterator, Sequence

from runwire_conformance.report.explain import filled, sentence
from runwire_conformance.rules import EVERYWHERE, OF_RECORDINGS
from runwire_conformance.runner.suite import Listed, suite
from runwire_spec import Requirement


def lookup(requirement: Requirement, scenarios: Sequence[str] = ()) -> str:
    """Return sentence, reason, keyword and place of a requirement, and how it is judged.

    `scenarios` are those of `runwire check-client` that are about it, in words.
    """
    binding = {"MUST": "a breach is a failure", "MUST NOT": "a breach is a failure", "MAY": "not judged"}
    weight = binding.get(requirement.keyword, "a breach leads to advice")
    parts = [
        sentence(requirement),
        f"  Binds the {requirement.role}; {requirement.keyword}: {weight}.",
        "",
        "\n".join(_judged(requirement, scenarios)),
    ]
    return "\n".join(parts)


def _judged(requirement: Requirement, scenarios: Sequence[str]) -> Iterator[str]:
    if requirement.not_observable_because:
        yield filled(
            f"Not judged, because it cannot be observed on the wire: {requirement.not_observable_because}"
        )
        return
    watchers = [rule.name for rule in EVERYWHERE if requirement.id in rule.seen_by]
    if requirement.role == "client":
        if scenarios:
            yield "  Judged by"
            yield from (filled(scenario, "    ", "      ") for scenario in scenarios)
            yield ""
            yield f"  To judge it: runwire check-client --claim all --requirement {requirement.id} -- COMMAND"
        yield filled(
            "`runwire check` does not judge it, because there the judge is the client; `runwire validate` does if a"
            " recorded conversation shows it."
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
    for name in [rule.name for rule in OF_RECORDINGS if requirement.id in rule.seen_by]:
        yield f"    `runwire validate`, in a complete recording ({name})"
    yield ""
    yield f"  To judge it: runwire check URL --requirement {requirement.id}"


def _case(case: Listed, watches: bool) -> Iterator[str]:
    claim = case.claim
    transports = f" (over {' and over '.join(claim.on)})" if claim.on else ""
    yield filled(f"{case.name.replace('_', ' ')}{transports}", "    ", "      ")
    notes = [f"cases/{case.module}.py:{case.line}"]
    notes += ["provokes the situation; rules judge it"] if watches else []
    notes += ["needs the script agent"] if claim.script else []
    notes += [f"needs [hooks] {hook}" for hook in claim.hooks]
    notes += [f"only for a server without {claim.without}"] if claim.without else []
    notes += ["plays alone"] if claim.alone else []
    notes += ["plays last"] if claim.last else []
    notes += ["depends on timing: repeated alone before it reports a failure"] if claim.timing else []
    yield filled("; ".join(notes), "      ", "      ")
