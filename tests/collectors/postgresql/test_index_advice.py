"""What is advised about indexes, decided from rows alone: every rule that keeps one from being dropped."""

from typing import Any

import pytest

from collectors.postgresql.index_advice import index_advice
from toban.advice import Advice
from toban.catalogue import CATALOGUE, say
from toban.indexes import Fault, IndexFinding, IndexSurvey, MissingIndex, Place
from toban.language import Language

DAY = 86400.0


def a_survey(**overrides: Any) -> IndexSurvey:  # noqa: ANN401 - whatever the field takes
    """A primary without standbys, whose counters are thirty days old."""
    told: dict[str, Any] = {
        "database": "app",
        "system_identifier": "7",
        "in_recovery": False,
        "standbys": 0,
        "counted_seconds": 30 * DAY,
        "enough_seconds": 7 * DAY,
        "complete": True,
    }
    return IndexSurvey(**{**told, **overrides})


def a_finding(fault: Fault, oid: int, **overrides: Any) -> IndexFinding:  # noqa: ANN401 - whatever the field takes
    """An index called by its number."""
    told: dict[str, Any] = {
        "fault": fault,
        "database": "app",
        "oid": oid,
        "index": Place(schema="public", name=f"i{oid}"),
        "table": "t",
        "size_bytes": 8192.0,
        "scans": 0,
    }
    other = overrides.get("other_oid")
    if other:
        told["other"] = Place(schema="public", name=f"i{other}")
    return IndexFinding(**{**told, **overrides})


def told(*rows: object, target: str = "main") -> list[tuple[str, str]]:
    """Action and subject of each piece of advice on one target."""
    return [(a.action, a.subject.removeprefix("public.")) for a in advised(*((target, row) for row in rows))]


def advised(*rows: tuple[str, object]) -> list[Advice]:
    """All of it, each with a sentence in both languages."""
    found = index_advice(rows)
    for advice in found:
        assert all(say(f"advice.{advice.reason}", language, **advice.values) for language in Language)
    return found


def test_an_index_that_another_gives_way_to_is_not_dropped_too() -> None:
    """The twin that stays is not called unused, nor redundant, in the same breath."""
    rows = (
        a_finding(Fault.DUPLICATE, 1, other_oid=2),
        a_finding(Fault.REDUNDANT, 2, other_oid=3, scans=5),
        a_finding(Fault.UNUSED, 1),
        a_finding(Fault.UNUSED, 2),
    )
    assert told(a_survey(), *rows) == [("drop", "i1")]


def test_an_index_that_is_read_does_not_give_way_to_one_that_is_not() -> None:
    """The longer one goes; where neither is read, the shorter one goes first."""
    longer = a_finding(Fault.UNUSED, 2)
    assert told(a_survey(), a_finding(Fault.REDUNDANT, 1, other_oid=2, scans=9), longer) == [("drop", "i2")]
    assert told(a_survey(), a_finding(Fault.REDUNDANT, 1, other_oid=2), longer) == [("drop", "i1")]


def test_an_index_is_not_redundant_to_one_that_goes() -> None:
    """What it would rely on is dropped already."""
    rows = (a_finding(Fault.DUPLICATE, 2, other_oid=3), a_finding(Fault.REDUNDANT, 1, other_oid=2, scans=4))
    assert told(a_survey(), *rows) == [("drop", "i2")]


def test_a_duplicate_that_is_needed_is_for_a_person() -> None:
    """Nothing to run: a foreign key may rest on it."""
    (advice,) = advised(("main", a_survey()), ("main", a_finding(Fault.DUPLICATE, 1, other_oid=2, needed=True)))
    assert (advice.action, advice.run) == ("check", "")


def test_an_index_on_a_standby_is_never_advised_on() -> None:
    """It can only be dropped on its primary."""
    assert told(a_survey(in_recovery=True), a_finding(Fault.UNUSED, 1), a_finding(Fault.INVALID, 2)) == []


@pytest.mark.parametrize(
    ("standby", "finding", "action"),
    [
        (a_survey(in_recovery=True), a_finding(Fault.UNUSED, 1), "drop"),
        (a_survey(in_recovery=True), a_finding(Fault.UNUSED, 9), None),  # read there
        (a_survey(in_recovery=True, complete=False), a_finding(Fault.UNUSED, 1), "check"),
        (a_survey(in_recovery=True, counted_seconds=DAY), a_finding(Fault.UNUSED, 1), "check"),
        (a_survey(in_recovery=True, system_identifier="8"), a_finding(Fault.UNUSED, 1), "check"),
        (a_survey(in_recovery=True, database="web"), None, "check"),
    ],
)
def test_a_standby_that_is_watched_bears_witness(
    standby: IndexSurvey, finding: IndexFinding | None, action: str | None
) -> None:
    """Of the same cluster and database, with counters old enough; one that reads it keeps it."""
    rows: list[tuple[str, object]] = [("main", a_survey(standbys=1)), ("main", a_finding(Fault.UNUSED, 1))]
    rows += [("copy", row) for row in (standby, finding) if row is not None]
    assert [advice.action for advice in advised(*rows)] == ([action] if action else [])


def test_one_standby_of_two_is_not_all() -> None:
    """The other one might read it."""
    standby = (("copy", a_survey(in_recovery=True)), ("copy", a_finding(Fault.UNUSED, 1)))
    (advice,) = advised(("main", a_survey(standbys=2)), ("main", a_finding(Fault.UNUSED, 1)), *standby)
    assert advice.reason == "index_unused_standbys"
    assert advice.run == ('SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelid = \'"public"."i1"\'::regclass;')


def test_a_young_index_is_left_its_time() -> None:
    """However old the counters are; the old ones are told beside it."""
    young = a_finding(Fault.UNUSED, 1, young_seconds=DAY)
    found = advised(("main", a_survey()), ("main", young), ("main", a_finding(Fault.UNUSED, 2)))
    assert [(a.action, a.subject) for a in found] == [("drop", "public.i2"), ("wait", "app")]
    assert dict(found[1].values) == {"count": "1", "days": "1", "enough": "7"}


def test_advice_goes_by_target_and_database() -> None:
    """Each place together, whatever order the rows came in."""
    rows = [
        (target, row)
        for target, database in (("b", "x"), ("a", "y"), ("a", "x"))
        for row in (a_survey(database=database), a_finding(Fault.UNUSED, 1, database=database))
    ]
    assert [(a.target, a.database) for a in advised(*rows)] == [("a", "x"), ("a", "y"), ("b", "x")]
    assert advised(("a", "a row of another kind")) == []


@pytest.mark.parametrize("fault", [Fault.UNUSED, Fault.REDUNDANT, Fault.DUPLICATE])
def test_an_index_of_a_partitioned_table_is_dropped_with_its_lock_told(fault: Fault) -> None:
    """CONCURRENTLY is not to be had there."""
    (advice,) = advised(("main", a_survey()), ("main", a_finding(fault, 1, other_oid=2, partitioned=True)))
    assert advice.run == 'DROP INDEX "public"."i1";'
    assert "locks t" in say(f"advice.{advice.reason}", Language.EN, **advice.values)


def test_a_partitioned_foreign_key_is_indexed_with_its_lock_told() -> None:
    """And what is scanned has nothing to run, since nobody told the columns."""
    table = Place(schema="s", name="t")
    key = MissingIndex(
        fault=Fault.UNINDEXED_KEY, database="app", table=table, size_bytes=1.0, columns=("a", 'b"'), partitioned=True
    )
    scanned = MissingIndex(fault=Fault.SCANNED, database="app", table=table, size_bytes=1.0, scans=2, rows_read=10)
    found = advised(("main", a_survey()), ("main", key), ("main", scanned))
    assert [(a.action, a.run) for a in found] == [
        ("create", 'CREATE INDEX ON "s"."t" ("a", "b""");'),
        ("check", ""),
    ]
    assert found[0].gain_bytes is None


def test_each_reason_for_advice_on_indexes_has_its_sentence() -> None:
    """All that the drops can say of a partitioned table, too."""
    drops = {"index_duplicate", "index_redundant", "index_unused", "index_unused_everywhere"}
    assert all(f"advice.{reason}{ending}" in CATALOGUE for reason in drops for ending in ("", "_partitioned"))
