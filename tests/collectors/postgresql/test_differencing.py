"""What statements cost between two readings."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from collectors.postgresql.differencing import Entry, Reading, Statement, Use, comparable, fell, totals, uses

ROW = (10, 5, 77, True)
STATEMENT = Statement(10, 5, 77)


def an_entry(calls: float, *, since: float = 0) -> Entry:
    """A row whose counters all grow with its calls."""
    return (calls, calls / 100, calls * 2, calls * 3, calls * 4, calls * 5, since)


def a_reading(
    entries: Mapping[tuple[int, int, int, bool], Entry],
    *,
    taken_at: float = 1000.0,
    reset_at: float | None = 100.0,
    started_at: float = 50.0,
    hidden: int = 0,
) -> Reading:
    """A reading at second 1000 of counters reset at 100."""
    return Reading(taken_at=taken_at, started_at=started_at, reset_at=reset_at, hidden=hidden, entries=entries)


def a_use(calls: float) -> Use:
    """The use that `an_entry` of so many calls stands for."""
    return Use(*an_entry(calls)[:6])


def test_use_is_what_came_on_top() -> None:
    """Of a row known before, the difference is the use."""
    before, after = a_reading({ROW: an_entry(5)}), a_reading({ROW: an_entry(8)}, taken_at=1060)
    assert uses(before, after)[STATEMENT].calls == 3
    assert uses(before, after)[STATEMENT].temp_blocks == 15


def test_use_of_what_was_not_called_is_nothing() -> None:
    """A row that stands still has no use."""
    assert uses(a_reading({ROW: an_entry(5)}), a_reading({ROW: an_entry(5)}, taken_at=1060)) == {}


def test_use_of_a_new_row_is_its_value() -> None:
    """A row that an earlier complete reading did not have began since."""
    assert uses(a_reading({}), a_reading({ROW: an_entry(8)}, taken_at=1060)) == {STATEMENT: a_use(8)}


def test_use_of_a_row_that_may_have_been_hidden_is_unknown() -> None:
    """A row that appears when rights were granted may be old: no spike."""
    assert uses(a_reading({}, hidden=3), a_reading({ROW: an_entry(8)}, taken_at=1060)) == {}


def test_use_of_an_evicted_row_that_came_back_is_its_value() -> None:
    """A counter that fell was counted from zero."""
    before, after = a_reading({ROW: an_entry(100)}), a_reading({ROW: an_entry(8)}, taken_at=1060)
    assert uses(before, after) == {STATEMENT: a_use(8)}


def test_use_after_a_reset_in_between_is_the_value_even_when_it_grew() -> None:
    """A reset between two readings makes every value new, also one larger than before."""
    before = a_reading({ROW: an_entry(5)})
    after = a_reading({ROW: an_entry(8)}, taken_at=1060, reset_at=1030)
    assert uses(before, after) == {STATEMENT: a_use(8)}


def test_use_goes_by_the_rows_own_start_where_it_is_known() -> None:
    """A row made anew since the last reading counts whole, though it has more calls than the old one had."""
    before = a_reading({ROW: an_entry(5, since=200)})
    after = a_reading({ROW: an_entry(8, since=1010)}, taken_at=1060)
    assert uses(before, after) == {STATEMENT: a_use(8)}


def test_use_of_a_row_that_began_earlier_and_was_not_seen_is_unknown() -> None:
    """A row older than the last reading, which did not have it, had been hidden: no spike."""
    assert uses(a_reading({}), a_reading({ROW: an_entry(8, since=500)}, taken_at=1060)) == {}


def test_rows_from_clients_and_functions_are_one_statement() -> None:
    """Both rows of a statement are taken together."""
    nested = (10, 5, 77, False)
    before = a_reading({ROW: an_entry(5), nested: an_entry(5)})
    after = a_reading({ROW: an_entry(8), nested: an_entry(6)}, taken_at=1060)
    assert uses(before, after)[STATEMENT].calls == 4
    assert totals(after.entries)[STATEMENT].calls == 14


def test_readings_of_two_servers_are_not_compared() -> None:
    """A reset that lies before the last reading, and was not there then, is another server's."""
    assert not comparable(a_reading({}, reset_at=100), a_reading({}, taken_at=1060, reset_at=600))
    assert comparable(a_reading({}, reset_at=100), a_reading({}, taken_at=1060, reset_at=1030))


def test_readings_without_resets_are_compared_while_the_server_runs_on() -> None:
    """Extension 1.8 knows no resets: a restart, or an update of the extension, begins anew."""
    old = a_reading({}, reset_at=None)
    assert comparable(old, a_reading({}, reset_at=None))
    assert not comparable(old, a_reading({}, reset_at=None, started_at=990))
    assert not comparable(old, a_reading({}))


def test_mean_of_an_unused_statement_is_zero() -> None:
    """Nothing is divided by no calls."""
    assert Use().mean_seconds == 0
    assert Use(calls=4, seconds=2).mean_seconds == 0.5


@st.composite
def entries(draw: st.DrawFn) -> dict[tuple[int, int, int, bool], Entry]:
    """A few rows, with or without a known start."""
    rows = st.tuples(st.just(1), st.integers(1, 2), st.integers(1, 4), st.booleans())
    counters = st.builds(an_entry, st.integers(0, 1000), since=st.sampled_from([0.0, 500.0, 1030.0]))
    return draw(st.dictionaries(rows, counters, max_size=8))


@given(entries(), entries(), st.sampled_from([100.0, 1030.0]), st.integers(0, 1))
def test_use_is_never_negative_nor_above_the_counter(
    before: dict[tuple[int, int, int, bool], Entry],
    after: dict[tuple[int, int, int, bool], Entry],
    reset_at: float,
    hidden: int,
) -> None:
    """Whatever two readings hold, a use lies between nothing and what the server counted."""
    found = uses(a_reading(before, hidden=hidden), a_reading(after, taken_at=1060, reset_at=reset_at))
    counted = totals(after)
    for statement, use in found.items():
        assert all(0 <= part <= whole + 1e-9 for part, whole in zip(use, counted[statement], strict=True))


def test_a_row_fell_when_any_counter_did() -> None:
    """A row may be made anew and called more often than before; its other counters tell."""
    assert fell((5, 9.0, 5, 5, 5, 5, 0), (6, 0.1, 6, 6, 6, 6, 0))
    assert not fell((5, 0.1, 5, 5, 5, 5, 0), (6, 0.2, 6, 6, 6, 6, 0))
