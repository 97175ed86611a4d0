from dataclasses import replace

from history.current import Current
from tests.builders import a_collection, a_metric, a_sample
from toban.outcomes import Failure, Reason
from toban.statements import StatementText

DOWN = Failure(reason=Reason.UNREACHABLE, detail="refused")
DENIED = Failure(reason=Reason.PRIVILEGE, detail="no")


def names(current: Current, now: float = 0.0, **asked: str) -> list[tuple[str, str]]:
    """Targets with the names of their metrics."""
    return [(target, s.metric.name) for target, s in current.samples(now, **asked)]


def test_a_new_collection_replaces_the_last_one_of_its_pair() -> None:
    """The present has one value for a series, not two."""
    current = Current()
    for value in (1.0, 2.0):
        current.accept(a_collection(a_sample(value=value), target="main"), expires_at=9)
    assert [s.value for _, s in current.samples(0.0)] == [2.0]


def test_a_target_that_goes_down_takes_all_its_values_along() -> None:
    """Nobody reads yesterday's connections off a dead server; the other targets keep theirs."""
    current = Current()
    current.accept(a_collection(a_sample(), target="main", collector="activity"), expires_at=9)
    current.accept(a_collection(a_sample(), target="main", collector="sizes"), expires_at=9)
    current.accept(a_collection(a_sample(), target="other"), expires_at=9)
    current.accept(a_collection(target="main", collector="activity", failure=DOWN), expires_at=9)
    assert [target for target, _ in names(current)] == ["other"]


def test_a_collector_that_does_not_ask_the_target_says_nothing_of_it() -> None:
    """Somebody's own SQL that finds no slot left, or a history whose disk hangs, is no server that is down."""
    current = Current()
    current.accept(a_collection(a_sample(), target="main", collector="activity"), expires_at=9)
    current.accept(replace(a_collection(target="main", collector="custom:x", failure=DOWN), asks=False), expires_at=9)
    assert len(names(current)) == 1


def test_a_failure_of_one_collector_leaves_the_last_values_until_they_expire() -> None:
    """One missed turn is no reason to forget; too old a value is."""
    current = Current()
    current.accept(a_collection(a_sample()), expires_at=9)
    current.accept(a_collection(failure=DENIED), expires_at=20)
    assert len(names(current, now=8)) == 1
    assert names(current, now=10) == []


def test_samples_are_found_by_pattern_and_target() -> None:
    """What `toban metrics 'pg_*' --target main` asks."""
    current = Current()
    wanted, other = a_metric(name="pg_up"), a_metric(name="toban_up")
    current.accept(a_collection(a_sample(wanted), a_sample(other), target="main"), expires_at=9)
    current.accept(a_collection(a_sample(wanted), target="second"), expires_at=9)
    assert names(current, pattern="pg_*", target="main") == [("main", "pg_up")]


def test_rows_are_found_by_their_type() -> None:
    """Statements and running queries travel in the same collection."""
    text = StatementText(queryid="1", text="SELECT $1")
    current = Current()
    current.accept(a_collection(target="main", rows=(text, "something else")), expires_at=9)
    assert list(current.rows(0.0, StatementText)) == [("main", text)]
    assert list(current.rows(0.0, StatementText, target="other")) == []


def test_forgetting_one_pair_leaves_the_others() -> None:
    """A collector that was switched off leaves alone."""
    current = Current()
    current.accept(a_collection(a_sample(), target="main", collector="a"), expires_at=9)
    current.accept(a_collection(a_sample(), target="main", collector="b"), expires_at=9)
    current.forget("main", "a")
    assert [c.collector for c in current.collections(0.0)] == ["b"]
