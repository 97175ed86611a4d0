from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain
from prometheus_client.registry import Collector

from daemon.http.exposition import LINES_A_BREATH, Exposition, Format
from daemon.http.sections import plain
from tests.builders import a_collection, a_metric, a_sample
from toban.samples import Collection, Metric, Type

NAMED = a_metric("toban_named", labels=("name",))
AWKWARD = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


class Nothing(Collector):
    """A registry without anything."""

    def collect(self) -> Iterable[Family]:
        """Nothing."""
        return ()


def page(*collections: Collection, exposition: Exposition | None = None, form: Format = Format.PLAIN) -> str:
    """The page over these collections."""
    return plain((exposition or Exposition()).page(collections, Nothing(), form)).decode()


@given(names=st.lists(AWKWARD, unique=True, min_size=1, max_size=5), value=st.floats(allow_nan=False))
def test_the_page_is_what_prometheus_client_itself_would_write(names: list[str], value: float) -> None:
    """What is kept between two pages changes nothing in their text, whatever the labels are."""
    registry = CollectorRegistry()
    gauge = Gauge(NAMED.name, NAMED.help, ("name", "target"), registry=registry)
    for name in names:
        gauge.labels(name, "main").set(value)
    written = page(a_collection(*(a_sample(NAMED, value, labels=(name,)) for name in names)))
    assert written == generate_latest(registry).decode()


def test_a_second_page_has_the_new_values_and_not_the_old_ones() -> None:
    """Only the values change between two turns."""
    exposition = Exposition()
    page(a_collection(a_sample(NAMED, 1.0, labels=("a",)), a_sample(NAMED, 1.0, labels=("b",))), exposition=exposition)
    second = page(a_collection(a_sample(NAMED, 2.0, labels=("a",))), exposition=exposition)
    assert [line for line in second.splitlines() if line[0] != "#"] == ['toban_named{name="a",target="main"} 2.0']


def test_a_family_stands_together_though_several_targets_bring_it() -> None:
    """One header, then every target's lines: else Prometheus refuses the whole page."""
    written = page(a_collection(target="a"), a_collection(target="b"))
    assert written.count("# TYPE toban_test_value gauge") == 1
    assert [line.split('"')[1] for line in written.splitlines() if line[0] != "#"] == ["a", "b"]


def test_a_series_that_comes_twice_is_left_off_and_counted() -> None:
    """One duplicate must not turn the page into an error (postgres_exporter#998)."""
    exposition = Exposition()
    written = page(a_collection(a_sample(value=1.0), a_sample(value=2.0)), exposition=exposition)
    assert written.count("toban_test_value{") == 1
    assert exposition.duplicates_total == 1


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        (a_metric("toban_things_total", type=Type.COUNTER), "counter"),
        (a_metric("toban_things"), "gauge"),
        (a_metric("pg_stat_database_xact_commit", type=Type.COUNTER, compatible=True), "untyped"),
    ],
)
def test_types_are_told_and_compatible_names_stay_as_they_are(metric: Metric, kind: str) -> None:
    """A dashboard that exists finds its names; a name of Toban's own has its type."""
    written = page(a_collection(a_sample(metric, 3.0)))
    assert f"# TYPE {metric.name} {kind}\n" in written
    assert f'{metric.name}{{target="main"}} 3.0\n' in written


def test_both_formats_read_back_as_the_same_values() -> None:
    """OpenMetrics for those who ask for it: same names, same values, and its end mark."""
    samples = (
        a_sample(a_metric("toban_things_total", type=Type.COUNTER), 3.0),
        a_sample(NAMED, 0.5, labels=('quo"te\\back\nline',)),
        a_sample(a_metric("pg_old", compatible=True), 7.0),
    )
    plain = page(a_collection(*samples))
    modern = page(a_collection(*samples), form=Format.OPENMETRICS)
    assert modern.endswith("# EOF\n")

    def values(families: Iterable[Family]) -> dict[str, tuple[dict[str, str], float]]:
        return {s.name: (s.labels, s.value) for family in families for s in family.samples}

    assert values(read_plain(plain)) == values(read_openmetrics(modern))
    assert values(read_plain(plain))["toban_named"][0]["name"] == 'quo"te\\back\nline'


def test_a_name_in_a_broken_encoding_does_not_break_the_page() -> None:
    """Half a letter in a process's name is shown as a question mark."""
    assert 'name="bad ?"' in page(a_collection(a_sample(NAMED, 1.0, labels=("bad \udcff",))))


def test_a_forgotten_target_leaves_nothing_behind() -> None:
    """Targets come and go for months; what is kept of them goes too."""
    exposition = Exposition()
    page(a_collection(target="a"), a_collection(target="b"), exposition=exposition)
    exposition.forget("a")
    assert {target for target, _ in exposition._pairs} == {"b"}


def test_own_instruments_follow_the_values() -> None:
    """Toban's own registry ends the page, in either format."""
    registry = CollectorRegistry()
    Gauge("toban_own", "Own.", registry=registry).set(1)
    for form in Format:
        written = plain(Exposition().page([a_collection()], registry, form)).decode()
        assert "toban_own 1.0" in written
        assert written.endswith("# EOF\n") is (form is Format.OPENMETRICS)


def test_series_that_change_places_keep_their_values() -> None:
    """The short way is for the same series in the same order; any other turn goes the long one."""
    exposition = Exposition()
    page(a_collection(*(a_sample(NAMED, 1.0, labels=(name,)) for name in "ab")), exposition=exposition)
    turned = a_collection(a_sample(NAMED, 3.0, labels=("b",)), a_sample(NAMED, 2.0, labels=("a",)))
    lines = [line for line in page(turned, exposition=exposition).splitlines() if line[0] != "#"]
    assert lines == ['toban_named{name="b",target="main"} 3.0', 'toban_named{name="a",target="main"} 2.0']


def test_page_of_many_lines_lets_the_loop_turn_in_between() -> None:
    """At the first scrape of many targets there are seconds of writing."""
    many = [
        a_collection(*(a_sample(NAMED, 1.0, labels=(str(n),)) for n in range(LINES_A_BREATH)), target=target)
        for target in ("a", "b")
    ]
    exposition = Exposition()
    breaths = [list(exposition.page(many, Nothing(), Format.PLAIN)).count(None) for _ in range(2)]
    assert breaths == [2, 0]


def test_label_values_with_spaces_and_line_breaks_come_through_a_second_turn() -> None:
    """What stands before the value is found again in the text of the turn before."""
    exposition, odd = Exposition(), 'two words\nand "a" \\ line 1.5'
    first, second = (
        page(a_collection(a_sample(NAMED, value, labels=(odd,))), exposition=exposition) for value in (1.0, 2.0)
    )
    assert second == first.replace("} 1.0\n", "} 2.0\n")
    assert second.count("\n") == 3
