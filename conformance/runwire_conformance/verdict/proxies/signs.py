"""Recognition of a proxy's effects in conversations, so that the server is not blamed for them. Pure.

A proxy is recognised by positive signs alone: the name that it writes into `Server` or `Via`, or the page that it
answers with by itself. Without such a sign nothing is excused, so that a server that shows the same symptoms with
no proxy before it is accused as ever. `signs_of` looks through conversations in one pass, and what it returns can be
added up case by case; `explained_by_proxy` then tells of one accusation whether the proxy explains it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from runwire_conformance.trace.trace import RESPONSE_ENDED, Record, Trace
from runwire_conformance.verdict.judgement import Judgement, Verdict
from runwire_conformance.verdict.proxies.products import PRODUCTS, SETTINGS, Product, Symptom

#: Cuts after silences of so many seconds at least are compared, and are equal when they differ by less than this.
LEAST_SILENCE_S, EQUAL_S = 1.0, 0.25

#: Requirements that the judge finds broken by its clock: bytes that came late are no proof when they were held up.
BY_CLOCK = frozenset({"BEAT-1", "SSE-12", "SSE-10", "CANCEL-3"})

#: Those of them that speak of silence: one that was too long before a cut was the server's own.
OF_SILENCE = frozenset({"BEAT-1", "SSE-12"})

#: The headers in which a proxy names itself.
NAMING = ("server", "via")

#: Proxies that write their own name for the server into `Host`, unless told otherwise.
REWRITES_HOST = frozenset({"nginx", "Apache"})

#: What a request whose `Host` the proxy writes anew shows nothing of.
OF_HOST = frozenset({"ORIGIN-4", "ORIGIN-8"})

#: How a verdict says that one requirement hangs on another.
MOOT = re.compile(r"blocked by ([A-Z]+-[0-9]+)")

#: So many equal cuts, and so many streams in one piece, are no chance.
MOST_BY_CHANCE = 2

#: A stream came in one piece when its messages came within this, so many seconds after it was asked for.
PIECE_S, GATHERED_S = 0.1, 0.8

#: The same where streams are known to be gathered.
AGAIN_S = 0.3


@dataclass(frozen=True, slots=True)
class ProxySigns:
    """What conversations showed of a proxy; the sum of two is what both showed."""

    products: frozenset[str] = frozenset()
    #: The values of `Server` in answers that a Runwire server gives, and in pages of HTML.
    own: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    #: Seconds of silence before each connection that was cut.
    silences: tuple[float, ...] = ()
    #: How many streams came in one piece.
    gathered: int = 0

    def __add__(self, other: "ProxySigns") -> "ProxySigns":
        return ProxySigns(
            self.products | other.products,
            self.own | other.own,
            self.foreign | other.foreign,
            (*self.silences, *other.silences),
            self.gathered + other.gathered,
        )

    @property
    def names(self) -> list[str]:
        """The names of what stands between: of each product that was recognised, or else of one stranger."""
        strangers = sorted(self.foreign - self.own) if self.own else []
        return [product.name for product in PRODUCTS if product.name in self.products] or strangers[:1]

    @property
    def name(self) -> str:
        """What stands between, by its name; an empty string when nothing was recognised."""
        return " and ".join(self.names)

    @property
    def cut_after(self) -> float | None:
        """After how many seconds of silence connections were cut, when several were cut after the same."""
        for silence in sorted(self.silences):
            equal = [other for other in self.silences if 0 <= other - silence < EQUAL_S]
            if len(equal) > MOST_BY_CHANCE:
                return median(equal)
        return None


def host_advice(headers: Iterable[tuple[str, str]]) -> str | None:
    """Return what to set where a response comes through a proxy that writes its own `Host`, or None for another."""
    said = [value for name, value in headers if name.lower() in NAMING]
    names = [
        product.name for product in PRODUCTS if product.name in REWRITES_HOST and _is_named(product, said)
    ]
    if not names:
        return None
    told = f"{names[0]} is in front of the server and may have changed the Host of the request"
    return (
        f"{told}: set {SETTINGS[Symptom.HOST, names[0]]} in {names[0]}, or make the server accept that name"
    )


def signs_of(traces: Iterable[Trace]) -> ProxySigns:
    """Return what conversations show of a proxy."""
    total = ProxySigns()
    for trace in traces:
        total += _signs(trace)
    return total


def explained_by_proxy(requirement: str, traces: Sequence[Trace], signs: ProxySigns) -> Symptom | None:
    """Return what the proxy did that explains why a requirement seemed broken, or None.

    `traces` are the conversations of the accusation, `signs` those of the whole judging. Without a recognised proxy,
    or when the conversations show more that is wrong than the proxy did, the answer is None: the accusation stands.
    """
    if not signs.name:
        return None
    found = (
        symptom
        for trace in traces
        if not _is_proven(requirement, trace)
        for symptom in _symptoms(requirement, trace, signs)
    )
    return next(found, None)


def _is_proven(requirement: str, trace: Trace) -> bool:
    """Whether a message of the server, which passed the proxy as it is, shows a requirement broken."""
    marked = [
        trace.records[place] for place, name in trace.marks.items() if name == requirement and place >= 0
    ]
    return requirement not in BY_CLOCK and any(record.message is not None for record in marked)


def without_proxy(
    judgements: Iterable[Judgement], signs: ProxySigns
) -> tuple[tuple[Judgement, ...], str | None]:
    """Return judgements without the accusations that the proxy explains, and one remark on it, or None.

    What is not accused any more was not exercised: the proxy answered in the server's place.
    """
    spared: dict[str, Symptom] = {}
    left = [_without(judgement, signs, spared) for judgement in judgements]
    because = {name: f"{signs.name} is in front of the server: {symptom}" for name, symptom in spared.items()}
    return tuple(_not_blocked(judgement, because) for judgement in left), _remark(spared, signs)


def _without(judgement: Judgement, signs: ProxySigns, spared: dict[str, Symptom]) -> Judgement:
    """Return a judgement without the accusations that the proxy explains; one that has lost all goes to `spared`."""
    found = [
        (one, explained_by_proxy(judgement.requirement.id, one.traces, signs))
        for one in judgement.accusations
    ]
    symptoms = list(dict.fromkeys(symptom for _, symptom in found if symptom is not None))
    if not symptoms:
        return judgement
    kept = tuple(one for one, symptom in found if symptom is None)
    if kept:
        return replace(judgement, accusations=kept, reasons=tuple(dict.fromkeys(one.reason for one in kept)))
    spared[judgement.requirement.id] = symptoms[0]
    reasons = tuple(f"{signs.name} is in front of the server: {symptom}" for symptom in symptoms)
    return replace(judgement, verdict=Verdict.NOT_EXERCISED, accusations=(), reasons=reasons)


def _not_blocked(judgement: Judgement, because: Mapping[str, str]) -> Judgement:
    """Return a judgement that does not call a requirement broken that is not."""
    reasons = tuple(
        because.get(found[1], reason) if (found := MOOT.fullmatch(reason)) else reason
        for reason in judgement.reasons
    )
    return replace(judgement, reasons=tuple(dict.fromkeys(reasons)))


def _remark(spared: dict[str, Symptom], signs: ProxySigns) -> str | None:
    """Return one line that says what stands between, what it did, and what to set."""
    if not spared:
        after = signs.cut_after
        if after is None:
            return None
        return (
            f"connections were cut after {after:.1f} s of silence each; if that is the timeout of a proxy, not of the "
            "server, raise it above heartbeat_s"
        )
    told = []
    for symptom in dict.fromkeys(spared.values()):
        names = ", ".join(name for name, its in spared.items() if its is symptom)
        settings = [SETTINGS[symptom, name] for name in signs.names if (symptom, name) in SETTINGS]
        told.append(f"{symptom} ({names}{'; set ' if settings else ''}{' or '.join(settings)})")
    return (
        f"{signs.name} is in front of the server, so some requirements were not exercised: {'; '.join(told)}"
    )


def _signs(trace: Trace) -> ProxySigns:
    signs = ProxySigns(gathered=int(_in_one_piece(trace)))
    for record in _responses(trace):
        named = {product.name for product in PRODUCTS if _is_of(product, record)}
        server = frozenset(filter(None, [record.header("server")]))
        kind = record.media_type
        signs += ProxySigns(
            frozenset(named),
            own=server if "json" in kind or "event-stream" in kind or record.code == 101 else frozenset(),
            foreign=server if "html" in kind else frozenset(),
        )
    silence = _silence_before_cut(trace)
    return signs + ProxySigns(silences=(silence,)) if silence is not None else signs


def _responses(trace: Trace) -> Iterator[Record]:
    return (record for record in trace.records if record.side == "server" and record.kind == "response")


def _is_of(product: Product, record: Record) -> bool:
    """Whether a response names a product, in a header or on the page that is its body."""
    if product.header is None:
        return _is_page(product, record)
    return _is_named(product, map(record.header, NAMING))


def _is_named(product: Product, said: Iterable[str]) -> bool:
    """Whether a value of a header, which may be a list, names a product."""
    parts = [part.strip() for value in said for part in value.split(",")]
    return product.header is not None and any(map(product.header.match, parts))


def _is_page(product: Product, record: Record) -> bool:
    return product.page is not None and bool(product.page.search(record.payload))


def _symptoms(requirement: str, trace: Trace, signs: ProxySigns) -> Iterator[Symptom]:
    """Yield what a proxy did to one conversation, as far as a requirement may seem broken by it."""
    for record in _responses(trace):
        if _is_answer_of_proxy(record, signs):
            yield (
                Symptom.TOO_LARGE
                if record.code == 413
                else Symptom.GATEWAY if record.code in {502, 503, 504} else Symptom.ANSWERED
            )  # fmt: skip
        if record.code == 426 and trace.transport == "websocket":
            yield Symptom.HANDSHAKE
        if requirement == "SSE-1" and "nginx" in signs.products and _lacks_accel_alone(record):
            yield Symptom.ACCEL
        if requirement == "CONN-11" and record.code == 426 and not record.header("upgrade"):
            yield Symptom.UPGRADE
        if requirement in OF_HOST and signs.products & REWRITES_HOST and record.code in {101, 200}:
            yield Symptom.HOST
    if signs.gathered >= MOST_BY_CHANCE and _is_gathered(trace):
        yield Symptom.GATHERED
    too_long = requirement in OF_SILENCE and requirement in trace.marks.values()
    if _is_cut(trace, signs.cut_after) and not too_long:
        yield Symptom.CUT


def _is_answer_of_proxy(record: Record, signs: ProxySigns) -> bool:
    """Whether a proxy gave a response itself: its page, an error of a gateway, or nothing under its name."""
    if any(_is_page(product, record) for product in PRODUCTS if product.name in signs.products):
        return True
    kind, server = record.media_type, record.header("server")
    if "json" in kind:
        return False
    if record.code in {502, 504}:
        return True
    if record.code == 200 and not kind and record.header("content-length") == "0":
        return server == "Caddy"
    return "html" in kind and bool(signs.own) and bool(server) and server not in signs.own


def _lacks_accel_alone(record: Record) -> bool:
    """Whether a response is a stream whose head is as [SSE-1] orders, but for `X-Accel-Buffering`."""
    directives = record.header("cache-control").lower().replace(" ", "").split(",")
    return (
        record.code == 200
        and record.media_type == "text/event-stream"
        and {"no-store", "no-transform"} <= set(directives)
        and not record.header("content-encoding")
        and not record.header("x-accel-buffering")
    )


def _silence_before_cut(trace: Trace) -> float | None:
    """Return how many seconds nothing had come when a connection broke off, if it did so after a silence."""
    last = trace.began
    for record in trace.records:
        if record.kind == "close" or (record.kind == "lost" and record.side == "client"):
            return None
        if record.kind == "lost":
            silence = record.at - last
            return silence if record.payload != RESPONSE_ENDED and silence >= LEAST_SILENCE_S else None
        if record.side == "server" or trace.transport == "websocket":
            last = record.at
    return None


def _is_cut(trace: Trace, after: float | None) -> bool:
    """Whether a conversation broke off after the silence after which others did, as far as the judge's clock tells."""
    silence, unsure_s = _silence_before_cut(trace), max(EQUAL_S, trace.tolerance)
    return silence is not None and after is not None and abs(silence - after) < unsure_s


def _in_one_piece(trace: Trace, after: float = GATHERED_S) -> bool:
    """Whether a stream of several messages came at once, long after it was asked for."""
    came = _arrivals(trace)
    return len(came) > 2 and came[-1] - came[0] < PIECE_S and came[0] - trace.began >= after


def _is_gathered(trace: Trace) -> bool:
    """Whether a stream came in one piece, or did not come while its connection stood and nothing refused it."""
    waited = trace.records[-1].at - trace.began if trace.records else 0.0
    refused = any(record.code != 200 for record in _responses(trace))
    silent = trace.transport == "sse" and not _arrivals(trace) and not refused and waited >= AGAIN_S
    return silent or _in_one_piece(trace, AGAIN_S)


def _arrivals(trace: Trace) -> list[float]:
    """Return when the blocks of a stream came, or the parts of one that was read as the response to a request."""
    kind = {"sse": "block", "http": "response"}.get(trace.transport)
    return [record.at for record in trace.records if record.kind == kind]
