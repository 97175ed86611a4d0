"""Since when an unread index has been there, and that a restart of the daemon does not forget it."""

import pytest

from collectors.postgresql.index_ages import Ages, recalled
from collectors.postgresql.indexes import Indexes, IndexesSettings
from collectors.postgresql.server import Databases
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import watching
from toban.indexes import IndexFinding
from toban.memories import Memory


def toured(*oids: int) -> Ages:
    """One database, seen once."""
    ages = Ages()
    ages.look("app", oids, 100.0)
    ages.toured = True
    return ages


def test_what_the_first_tour_finds_is_old() -> None:
    """Nobody knows since when it is there."""
    assert Ages().look("app", [1, 2], 100.0) == {}


def test_what_comes_later_is_young() -> None:
    """An index, and every index of a database that was not there; one that went and comes again begins anew."""
    ages = toured(1)
    assert ages.look("app", [1, 2], 160.0) == {2: 0.0}
    assert ages.look("new", [7], 160.0) == {7: 0.0}
    assert ages.look("app", [2], 200.0) == {2: 40.0}
    assert ages.look("app", [1, 2], 300.0) == {1: 0.0, 2: 140.0}


def test_a_clock_that_was_set_back_makes_nothing_younger_than_new() -> None:
    """No index is there for less than no time."""
    ages = toured()
    ages.look("app", [1], 160.0)
    assert ages.look("app", [1], 90.0) == {1: 0.0}


def test_ages_outlive_the_daemon() -> None:
    """The old stays old, the young grows on, and a first tour is not made again."""
    ages = toured(1)
    ages.look("app", [1, 2], 160.0)
    after = recalled(ages.body)
    assert after.look("app", [1, 2, 3], 200.0) == {2: 40.0, 3: 0.0}
    after.forget(["other"])
    assert recalled(after.body).look("app", [1], 300.0) == {1: 0.0}


@pytest.mark.parametrize("body", [None, "", "no", "[]", '{"app": 1}', '{"app": {"x": 1}}', '{"app": {"1": []}}'])
def test_ages_that_cannot_be_read_are_begun_anew(body: str | None) -> None:
    """As before the first tour."""
    ages = recalled(body)
    assert not ages.toured
    assert ages.look("app", [1], 5.0) == {}


@pytest.mark.integration
async def test_an_index_stays_young_over_a_restart_of_the_daemon(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """What was seen is remembered when it has changed, and once; without an answer from the history all is new."""
    memory: list[str] = []

    async def recall(name: str) -> str | None:
        assert name == "indexes"
        if memory == ["no answer"]:
            raise TimeoutError
        return memory[-1] if memory else None

    async def look(collector: Indexes) -> dict[str, float | None]:
        findings = await collector.collect()
        memory.extend(row.body for row in findings.rows if isinstance(row, Memory))
        return {row.index.name: row.young_seconds for row in findings.rows if isinstance(row, IndexFinding)}

    await postgres15.execute("CREATE TABLE t (a int, b int); CREATE INDEX t_a ON t (a)", unique_database)
    async with watching(postgres15, manual_clock, databases=Databases(include=(unique_database,))) as server:

        def a_daemon() -> Indexes:
            collector = Indexes(server, IndexesSettings(pause=0.0), manual_clock)
            collector.recall = recall
            return collector

        first = a_daemon()
        assert await look(first) == {"t_a": None}
        await postgres15.execute("CREATE INDEX t_b ON t (b)", unique_database)
        assert await look(first) == {"t_a": None, "t_b": 0.0}
        await look(first)
        assert len(memory) == 2
        manual_clock.advance(3600)
        assert await look(a_daemon()) == {"t_a": None, "t_b": 3600.0}
        memory[:] = ["no answer"]
        assert await look(a_daemon()) == {"t_a": 0.0, "t_b": 0.0}
