"""How long a backup is overdue, by its job's moments."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from backup.keeping.overdue import overdue_seconds

HOUR = 3600.0
DAY = 24 * HOUR


def at(day: int, hour: int) -> float:
    """In November 2026; the 23rd is a Monday."""
    return datetime(2026, 11, day, hour, 30, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("line", "age_hours", "now", "expected_hours"),
    [
        ("0 2 * * *", 23, at(21, 1), 0),
        ("0 2 * * *", 26, at(21, 4), 2),
        ("0 3 * * 0", 6 * 24, at(21, 4), 0),
        ("0 3 * * 0", 8 * 24, at(23, 4), 24),
        ("0 2 * * 1-5", 71, at(23, 1), 0),  # Friday's, on Monday before its time
        ("0 2 * * 1-5", 72, at(23, 2), 0),  # and while Monday's is made
        ("0 2 * * 1-5", 96, at(24, 2), 72),  # Monday's never came
        ("0 0 29 2 *", 100, at(21, 1), 0),
    ],
)
def test_backup_is_overdue_after_the_time_between_two(
    line: str, age_hours: float, now: float, expected_hours: float
) -> None:
    """A day for a daily one, a week for a weekly one, a weekend for one of working days."""
    assert overdue_seconds(line, age_hours * HOUR, now, UTC) == expected_hours * HOUR


@pytest.mark.parametrize(("zone", "expected_hours"), [("Europe/Berlin", 0), ("UTC", 1)])
def test_day_on_which_summer_time_ends_is_longer(zone: str, expected_hours: float) -> None:
    """25 hours lie between the two nights: the one of 25 October 2026 is not late for it."""
    now = datetime(2026, 10, 26, 0, 59, tzinfo=UTC).timestamp()  # just before the next is begun
    assert overdue_seconds("0 2 * * *", 25 * HOUR, now, ZoneInfo(zone)) == expected_hours * HOUR
