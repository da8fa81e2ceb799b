"""The judge reads metrics strictly, and everything that the usual libraries write."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from runwire_conformance.client.exposition import MalformedExposition, read_exposition


def registry() -> CollectorRegistry:
    """Return one of each kind of metric, with a label that needs every escape."""
    found = CollectorRegistry()
    Counter("runs", "Runs.\nTwo lines.", ["status"], registry=found).labels('a "b" \\ c\nd').inc(3)
    Gauge("open", "Open.", registry=found).set(-1.5)
    Histogram("wait_seconds", "Wait.", buckets=(0.1, 1), registry=found).observe(0.5)
    return found


@pytest.mark.parametrize("write", [generate_latest, generate_openmetrics])
def test_what_the_usual_library_writes_is_read(write: type) -> None:
    found = read_exposition(write(registry()).decode())

    assert {"runs_total": "counter", "open": "gauge", "wait_seconds": "histogram"}.items() <= {
        name: family.type for name, family in found.items()
    }.items()
    (runs,) = [sample for sample in found["runs_total"].samples if sample.name == "runs_total"]
    assert (runs.labels, runs.value) == ({"status": 'a "b" \\ c\nd'}, 3.0)
    assert [sample.value for sample in found["open"].samples] == [-1.5]


@pytest.mark.parametrize(
    "text",
    [
        "a 1",
        "a\n",
        "a one\n",
        "1a 1\n",
        'a{b="c} 1\n',
        'a{b="c",b="d"} 1\n',
        "a{b=c} 1\n",
        'a{b="\\x"} 1\n',
        "# TYPE a number\na 1\n",
        "a 1\n# TYPE a gauge\n",
        "# TYPE a gauge\n# TYPE a gauge\n",
        "a 1\na 2\n",
        '# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum 1\nh_count 1\n',
        '# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n',
        '# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n',
        '# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_count 1\n',
        "# TYPE h histogram\nh_sum 1\nh_count 1\n",
    ],
)
def test_what_is_malformed_is_refused(text: str) -> None:
    with pytest.raises(MalformedExposition):
        read_exposition(text)


def test_a_complaint_names_the_line() -> None:
    with pytest.raises(MalformedExposition, match=r"^line 2: no sample: b one$"):
        read_exposition("a 1\nb one\n")
