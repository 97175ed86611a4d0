"""The books on statements."""

from hypothesis import given
from hypothesis import strategies as st

from collectors.postgresql.differencing import Entry, Reading, Statement
from collectors.postgresql.ledger import Ledger

TOP, NESTED = (1, 1, 77, True), (1, 1, 77, False)
STATEMENT = Statement(1, 1, 77)


def a_reading(*rows: tuple[tuple[int, int, int, bool], int], at: float, reset_at: float = 1.0) -> Reading:
    """Rows with so many calls."""
    entries: dict[tuple[int, int, int, bool], Entry] = {row: (calls, calls, 0, 0, 0, 0, 0) for row, calls in rows}
    return Reading(taken_at=at, started_at=0, reset_at=reset_at, hidden=0, entries=entries)


def test_first_reading_has_counters_and_no_use() -> None:
    """There is nothing to compare with, but the server's counters stand."""
    account = Ledger(5).enter(a_reading((TOP, 7), at=100), 100)
    assert account.counters[STATEMENT].calls == 7
    assert account.interval_seconds is None
    assert account.used == {}


def test_second_reading_has_the_use_and_its_interval() -> None:
    """From the second reading on there is a difference, and the seconds it took."""
    ledger = Ledger(5)
    ledger.enter(a_reading((TOP, 7), at=100), 100)
    account = ledger.enter(a_reading((TOP, 9), at=160), 160)
    assert (account.used[STATEMENT].calls, account.interval_seconds) == (2, 60)


def test_another_servers_reading_has_no_use() -> None:
    """Behind a failover the counters are others: nothing is compared, nothing is added to the rest."""
    ledger = Ledger(1)
    ledger.enter(a_reading((TOP, 7), at=100), 100)
    account = ledger.enter(a_reading((TOP, 900), ((1, 1, 78, True), 5), at=160, reset_at=50), 160)
    assert account.interval_seconds is None
    assert account.other.calls == 0


def test_counter_does_not_fall_when_half_a_statement_is_evicted() -> None:
    """The row for calls from functions goes: the sum stays, or it would be read as a reset, and then as a spike."""
    ledger = Ledger(5)
    ledger.enter(a_reading((TOP, 1000), (NESTED, 10), at=100), 100)
    account = ledger.enter(a_reading((TOP, 1001), at=160), 160)
    assert account.counters[STATEMENT].calls == 1011
    account = ledger.enter(a_reading((TOP, 1001), (NESTED, 2), at=220), 220)
    assert account.counters[STATEMENT].calls == 1013


def test_counter_falls_to_the_servers_after_a_reset() -> None:
    """A statement that starts from zero is shown so, and nothing lost before is added to it."""
    ledger = Ledger(5)
    ledger.enter(a_reading((TOP, 1000), (NESTED, 10), at=100), 100)
    ledger.enter(a_reading((TOP, 1001), at=160), 160)
    account = ledger.enter(a_reading((TOP, 3), at=220), 220)
    assert account.counters[STATEMENT].calls == 3


def test_a_member_that_is_evicted_has_no_counter() -> None:
    """What the server no longer counts is absent, not frozen."""
    ledger = Ledger(5)
    ledger.enter(a_reading((TOP, 7), at=100), 100)
    assert ledger.enter(a_reading(at=160), 160).counters == {}


rows = st.tuples(st.just(1), st.just(1), st.integers(1, 12), st.booleans())
turns = st.lists(st.dictionaries(rows, st.integers(1, 50), max_size=12), min_size=1, max_size=12)


@given(turns, st.integers(1, 3))
def test_other_never_falls_and_no_row_is_lost(readings: list[dict[tuple[int, int, int, bool], int]], top: int) -> None:
    """Through evictions, returns and changes of members, `other` only grows, and members and others are all rows."""
    ledger, last = Ledger(top), 0.0
    for turn, entries in enumerate(readings):
        account = ledger.enter(a_reading(*entries.items(), at=100 + 60 * turn), 60 * turn)
        assert account.other.calls >= last
        last = account.other.calls
        shown = sum((*statement, half) in entries for statement in account.counters for half in (True, False))
        assert shown + account.others == len(entries)
