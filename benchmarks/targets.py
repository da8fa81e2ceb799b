"""What this server is to cost, as ratios of figures of one interleaved run, and what was found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Found = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that is to be at most `most`; `of` computes it and raises KeyError for a load that was not played."""

    name: str
    most: float
    of: Callable[[Found], float]
    unit: str = ""

    def row(self, found: Found) -> tuple[str, str, str, str]:
        """Return name, figure, bound and whether it holds, as text."""
        try:
            figure = self.of(found)
        except KeyError:
            return self.name, "not measured", f"{self.most:g}{self.unit}", ""
        holds = "yes" if figure <= self.most else "no"
        return self.name, f"{figure:.3g}{self.unit}", f"{self.most:g}{self.unit}", holds


def ratio(load: str, this: str, other: str) -> Callable[[Found], float]:
    """Return what divides two figures of one load."""
    return lambda found: found[load][this] / found[load][other]


TARGETS = (
    Target(
        "CPU per event, one reader, WebSocket, against FastAPI `send_json`",
        0.75,
        ratio("one reader", "runwire WS", "FastAPI WS"),
    ),
    Target("the same over SSE, against AG-UI", 0.65, ratio("one reader", "runwire SSE", "AG-UI SSE")),
    Target(
        "the same over WebSocket, against the plain ASGI floor",
        1.4,
        ratio("one reader", "runwire WS", "floor WS"),
    ),
    Target(
        "100 readers of 100 runs, WebSocket, against FastAPI",
        0.75,
        ratio("100 runs", "runwire WS", "FastAPI WS"),
    ),
    Target("the same over SSE, against AG-UI", 0.65, ratio("100 runs", "runwire SSE", "AG-UI SSE")),
    Target(
        "growth of an event's cost with the length of its run",
        1.05,
        lambda found: max(found["growth"].values()),
    ),
    Target(
        "each further reader of a run, against a send of the floor",
        1.1,
        ratio("readers of one run", "100 readers", "floor"),
    ),
    Target(
        "many events ready at once, WebSocket, against AG-UI",
        0.25,
        ratio("ready at once", "runwire WS", "AG-UI SSE"),
    ),
    Target("the same over SSE", 0.25, ratio("ready at once", "runwire SSE", "AG-UI SSE")),
    Target(
        "first event, 200 at once, p50, WebSocket, against FastAPI",
        0.7,
        ratio("first event, 200 at once", "runwire WS p50", "FastAPI WS p50"),
    ),
    Target(
        "the same over SSE, against AG-UI",
        0.7,
        ratio("first event, 200 at once", "runwire SSE p50", "AG-UI SSE p50"),
    ),
    Target("CPU per event with the log on Redis, against memory", 3, ratio("stores", "redis", "memory")),
    Target(
        "memory of an idle connection, against uvicorn bare", 1.2, ratio("idle", "runwire WS", "floor WS")
    ),
    Target(
        "cancel to terminal, p99, with many active runs", 100, lambda found: found["cancel"]["p99"], " ms"
    ),
)

#: Which of them `make bench-quick` looks at.
QUICK = TARGETS[:3]
