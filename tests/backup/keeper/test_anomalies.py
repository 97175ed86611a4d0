"""What is far off the usual."""

import pytest

from backup.anomalies import FEWEST_EARLIER, anomalies, standings
from tests.backup.keeper.records import DAY, a_record
from tests.builders import START
from toban.backups import BackupRecord, Scope, Status

MB = 1024**2


def a_past(
    *, days: int = 7, size: int = 100 * MB, seconds: float = 600.0, rows: int | None = 10_000
) -> list[BackupRecord]:
    """A week of the same."""
    return [a_record(at=START - day * DAY, size=size, seconds=seconds, rows=rows) for day in range(1, days + 1)]


def whys(record: BackupRecord, past: list[BackupRecord]) -> list[tuple[str, str]]:
    """What is said of it."""
    return [(found.of, found.why) for found in anomalies(record, past)]


def test_backup_like_the_others_is_none() -> None:
    """A third more or less, twice as long: that happens."""
    record = a_record(at=START, size=130 * MB, seconds=1200.0, rows=11_000)
    assert whys(record, a_past()) == []
    assert {found.of: round(found.ratio, 2) for found in standings(record, a_past())} == {
        "size": 1.3,
        "duration": 2.0,
        "rows": 1.1,
    }


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (a_record(size=10 * MB, seconds=600.0, rows=10_000), ("size", "takes 10 MB, which is 10% of the usual 100 MB")),
        (
            a_record(size=400 * MB, seconds=600.0, rows=10_000),
            ("size", "takes 400 MB, which is 4.0 times the usual 100 MB"),
        ),
        (
            a_record(size=100 * MB, seconds=3000.0, rows=10_000),
            ("duration", "took 50 min, which is 5.0 times the usual 10 min"),
        ),
        (a_record(size=100 * MB, seconds=600.0, rows=100), ("rows", "holds 100 rows, which is 1% of the usual 10,000")),
    ],
)
def test_backup_far_off_the_usual_is_told_with_both_figures(record: BackupRecord, why: tuple[str, str]) -> None:
    """Last night's dump is a tenth of the usual."""
    assert whys(record, a_past()) == [why]


def test_one_odd_night_is_no_usual() -> None:
    """The median does not see it."""
    past = [a_record(at=START - 8 * DAY, size=MB), *a_past()]
    assert whys(a_record(size=100 * MB, seconds=600.0), past) == []


def test_nothing_is_said_before_there_is_a_past() -> None:
    """Of two nights nobody knows what is usual."""
    assert standings(a_record(size=1), a_past(days=FEWEST_EARLIER - 1)) == ()
    assert standings(a_record(size=1), a_past(days=FEWEST_EARLIER)) != ()


def test_only_good_ones_of_the_same_kind_are_a_past() -> None:
    """An increment is small beside a full backup, and a failed one says nothing."""
    full = [a_record(at=START - day * DAY, scope=Scope.FULL) for day in (1, 2, 3)]
    assert standings(a_record(scope=Scope.INCREMENTAL), full) == ()
    failed = [a_record(at=START - day * DAY, status=Status.FAILED) for day in (1, 2, 3)]
    assert standings(a_record(), failed) == ()
    later = [a_record(at=START + day * DAY) for day in (1, 2, 3)]
    assert standings(a_record(), later) == ()


def test_what_is_small_may_vary() -> None:
    """Three rows and a few seconds are no reason to wake anybody."""
    past = a_past(size=10_000, seconds=2.0, rows=100)
    assert whys(a_record(size=1000, seconds=20.0, rows=3), past) == []


def test_figures_that_were_nothing_are_held_against_nothing() -> None:
    """Empty databases, backups in no time, rows that were not counted."""
    past = a_past(size=0, seconds=0.0, rows=0)
    assert standings(a_record(size=5, seconds=5.0, rows=5), past) == ()
    assert [found.of for found in standings(a_record(rows=None), a_past(rows=None))] == ["size", "duration"]
