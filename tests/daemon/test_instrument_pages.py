"""The end of the page: prometheus-client's own text, of which only what is new is written."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from daemon.durations import BUCKETS, Durations
from daemon.http.exposition import Exposition, Format
from daemon.http.instrument_pages import FEW, value_text
from daemon.http.sections import Section, plain

ODD = 'na"me\\\n"with"'


class Given(Collector):
    """A source of the families that a test puts there."""

    def __init__(self, *families: Family) -> None:
        self.families = families

    def collect(self) -> Iterable[Family]:
        """As they were put there."""
        return self.families


def sections(exposition: Exposition, source: Collector) -> list[Section | None]:
    """The page of nothing but instruments."""
    return list(exposition.page((), source, Format.PLAIN))


def a_large_one(*, first: float = 1.0) -> tuple[Sample, ...]:
    """The samples of a family that has a section of its own; `first` is the value of the first."""
    values = [first, *(1.0 for _ in range(FEW))]
    return tuple(Sample("toban_given", {"n": str(n)}, value) for n, value in enumerate(values))


def of(samples: Iterable[Sample]) -> Given:
    """A source of one family of these very samples."""
    family = GaugeMetricFamily("toban_given", "Given.")
    family.samples = list(samples)
    return Given(family)


def test_instruments_are_written_as_prometheus_client_writes_them() -> None:
    """Whatever their kind and their labels, at the first scrape and after a change."""
    registry, exposition = CollectorRegistry(), Exposition()
    counter = Counter("toban_counted", "Counted.", ("by",), registry=registry)
    gauge = Gauge("toban_gauged", "Gauged.", registry=registry)
    histogram = Histogram("toban_timed", "Timed.", ("by",), registry=registry)
    for value in (0.5, 12345678.0, float("inf"), -3.25):
        counter.labels(ODD).inc(abs(value))
        gauge.set(value)
        histogram.labels(ODD).observe(value)
        assert plain(sections(exposition, registry)) == generate_latest(registry)


@given(seconds=st.lists(st.floats(min_value=0, max_value=100) | st.sampled_from(BUCKETS[:-1]), max_size=20))
def test_durations_are_the_histogram_of_prometheus_client(seconds: list[float]) -> None:
    """Bucket by bucket, with every page in between."""
    registry, ours = CollectorRegistry(), Durations()
    theirs = Histogram(
        "toban_collect_duration_seconds",
        "How long a turn of a collector took, over all targets.",
        ("collector",),
        buckets=BUCKETS,
        registry=registry,
    )
    exposition = Exposition()
    for one in seconds:
        ours.note("activity", one)
        theirs.labels("activity").observe(one)
        assert plain(sections(exposition, ours)) == generate_latest(registry)


def test_family_of_the_same_samples_is_the_same_section() -> None:
    """Neither written nor compressed again."""
    exposition, samples = Exposition(), a_large_one()
    first, *_ = sections(exposition, of(samples))
    again, *_ = sections(exposition, of(samples))
    assert first is again


def test_family_with_one_new_sample_is_written_with_it() -> None:
    """The value of now, and the others beside it."""
    exposition, samples = Exposition(), a_large_one()
    sections(exposition, of(samples))
    changed = (Sample("toban_given", {"n": "0"}, 2.0), *samples[1:])
    text = plain(sections(exposition, of(changed))).decode()
    assert 'toban_given{n="0"} 2.0\n' in text
    assert text.count("\n") == FEW + 3


def test_family_that_loses_and_gains_series_shows_those_of_now() -> None:
    """A target goes, another comes."""
    exposition, samples = Exposition(), a_large_one()
    sections(exposition, of(samples))
    came = Sample("toban_given", {"n": "new"}, 5.0)
    text = plain(sections(exposition, of([*samples[1:], came]))).decode()
    assert 'n="0"' not in text
    assert 'toban_given{n="new"} 5.0\n' in text


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-7, 999999.5, 1e6, 1e22, 0.1, -5.5, float("inf"), float("nan")])
def test_value_is_written_as_the_library_writes_it(value: float) -> None:
    """Also where the short way is taken."""
    registry = CollectorRegistry()
    Gauge("toban_gauged", "Gauged.", registry=registry).set(value)
    assert generate_latest(registry).decode().split()[-1] == value_text(value)


@pytest.mark.parametrize("letter", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_a_label_with_what_unicode_takes_for_a_lines_end_spoils_no_page(letter: str) -> None:
    """Prometheus ends lines with a line feed alone. One odd label in a configuration would blind it for all targets."""
    family = GaugeMetricFamily("toban_given", "Given.", labels=("team",))
    family.add_metric((f"a{letter}b",), 1.0)
    family.add_metric(("c",), 2.0)
    page = plain(sections(Exposition(), Given(family))).decode()
    assert page.split("\n")[2:] == [f'toban_given{{team="a{letter}b"}} 1.0', 'toban_given{team="c"} 2.0', ""]
