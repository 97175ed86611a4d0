"""When a job is due."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.keeping.due import MOST_ATTEMPTS, Due, is_open, moments_around, next_due
from backup.settings import Window
from tests.backup.keeper.records import DAY, HOUR

TOKYO = ZoneInfo("Asia/Tokyo")
BERLIN = ZoneInfo("Europe/Berlin")
LINES = ("0 2 * * *", "30 2 * * *", "*/5 * * * *", "0 3 * * 0", "15 1,2,3 * * *", "0 0 1 1,4,7,10 *", "0 4 * * SUN#1")


def at(text: str, zone: object = UTC) -> float:
    """An epoch second; without an offset in the zone."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()  # type: ignore[arg-type]


def due_at(
    line: str, now: str, *, zone: object = UTC, begun: str | None = None, since: str = "2026-01-01T00:00"
) -> Due:
    """The answer for times as people write them."""
    found = next_due(
        line,
        now=at(now, zone),
        zone=zone,  # type: ignore[arg-type]
        last_begun=None if begun is None else at(begun, zone),
        known_since=at(since, zone),
    )
    assert found is not None
    return found


def test_job_that_has_run_waits_for_its_next_moment() -> None:
    """In the configured zone."""
    found = due_at("0 2 * * *", "2026-11-21T12:00", zone=TOKYO, begun="2026-11-21T02:00")
    assert found == Due(
        at=at("2026-11-22T02:00+09:00"), moment=at("2026-11-22T02:00+09:00"), reason="its time has come"
    )


def test_missed_run_is_caught_up_once_however_many_were_missed() -> None:
    """A daemon that was down for a week makes one backup, not seven; the next is at its usual time."""
    missed = due_at("0 2 * * *", "2026-11-21T12:00", begun="2026-11-14T02:00")
    assert (missed.at, missed.moment) == (at("2026-11-21T12:00"), at("2026-11-21T02:00"))
    assert missed.reason == "missed, and caught up"
    after = due_at("0 2 * * *", "2026-11-21T12:30", begun="2026-11-21T12:00")
    assert after.at == at("2026-11-22T02:00")


def test_new_job_waits_for_its_first_moment() -> None:
    """What was not there yet cannot have been missed; what was there and has never run was."""
    assert due_at("0 2 * * *", "2026-11-21T12:00", since="2026-11-21T11:00").at == at("2026-11-22T02:00")
    assert due_at("0 2 * * *", "2026-11-22T12:00", since="2026-11-21T11:00").at == at("2026-11-22T12:00")


def test_first_one_that_something_waits_for_does_not_wait_itself() -> None:
    """As the base backup that WAL needs: soon, once, within its window; a run that killed us thrice is left alone."""
    weekly, now, soon = "0 4 * * 0", at("2026-11-18T12:00"), at("2026-11-18T12:05")
    window = Window.model_validate({"cron": "0 22 * * *", "for": "8h"})

    def due(begun: float | None = None, attempts: int = 0, *, now: float = now, window: Window | None = None) -> float:
        found = next_due(
            weekly,
            now=now,
            zone=UTC,
            last_begun=begun,
            known_since=at("2026-11-18T11:59"),
            window=window,
            attempts=lambda _: attempts,
            first_at=soon,
        )
        assert found is not None
        return found.at

    sunday = at("2026-11-22T04:00")
    assert due() == soon
    assert due(now=soon + 30) == soon + 30
    assert due(window=window) == at("2026-11-18T22:00")
    assert (due(soon), due(attempts=MOST_ATTEMPTS)) == (sunday, sunday)


def test_sunday_is_sunday() -> None:
    """0 and 7 are Sunday, as cron counts: not Monday, and not never."""
    for line in ("0 3 * * 0", "0 3 * * 7", "0 3 * * SUN"):
        assert due_at(line, "2026-11-18T12:00", begun="2026-11-18T11:00").at == at("2026-11-22T03:00")


def test_moment_that_summer_time_skips_comes_right_after_the_gap() -> None:
    """2026-03-29 has no 02:30 in Berlin."""
    found = due_at("30 2 * * *", "2026-03-29T01:00", zone=BERLIN, begun="2026-03-28T02:30")
    assert found.at == at("2026-03-29T03:00+02:00")


def test_moment_that_winter_repeats_comes_once() -> None:
    """2026-10-25 has 02:30 twice in Berlin."""
    first = at("2026-10-25T02:30+02:00")
    assert due_at("30 2 * * *", "2026-10-25T02:00+02:00", zone=BERLIN, begun="2026-10-24T02:30").at == first
    between = due_at("30 2 * * *", "2026-10-25T02:15+01:00", zone=BERLIN, begun="2026-10-25T02:30+02:00")
    assert between.at == at("2026-10-26T02:30+01:00")


def test_moment_that_was_missed_in_the_repeated_hour_is_caught_up() -> None:
    """The daemon came up when the clock showed 02:15 for the second time."""
    found = due_at("45 2 * * *", "2026-10-25T02:15+01:00", zone=BERLIN, begun="2026-10-24T02:45")
    assert (found.at, found.moment) == (at("2026-10-25T02:15+01:00"), at("2026-10-25T02:45+02:00"))


def test_run_of_the_future_was_made_by_a_clock_that_went_wrong() -> None:
    """It keeps nothing from being made until then."""
    found = due_at("0 2 * * *", "2026-11-21T12:00", begun="2031-01-01T02:00")
    assert found.at == at("2026-11-21T12:00")


def test_run_that_keeps_killing_us_is_given_up_until_its_next_moment() -> None:
    """Begun three times for one moment, and never seen to end."""
    now, moment = at("2026-11-21T12:00"), at("2026-11-21T02:00")
    times = {moment: MOST_ATTEMPTS - 1}

    def due() -> Due | None:
        return next_due(
            "0 2 * * *",
            now=now,
            zone=UTC,
            last_begun=at("2026-11-20T02:00"),
            known_since=0.0,
            attempts=lambda one: times.get(one, 0),
        )

    before = due()
    assert before is not None
    assert before.at == now
    times[moment] += 1
    after = due()
    assert after is not None
    assert after.at == at("2026-11-22T02:00")


def test_missed_run_waits_for_its_window() -> None:
    """At noon the window of the night is closed: it runs when it opens."""
    window = Window(cron="0 1 * * *", for_=4 * HOUR)
    found = next_due(
        "0 2 * * *",
        now=at("2026-11-21T12:00"),
        zone=UTC,
        last_begun=at("2026-11-20T02:00"),
        known_since=0.0,
        window=window,
    )
    assert found == Due(
        at=at("2026-11-22T01:00"), moment=at("2026-11-21T02:00"), reason="missed, and caught up, in its window"
    )
    inside = next_due(
        "0 2 * * *",
        now=at("2026-11-21T04:59"),
        zone=UTC,
        last_begun=at("2026-11-20T02:00"),
        known_since=0.0,
        window=window,
    )
    assert inside is not None
    assert inside.at == at("2026-11-21T04:59")


def test_moments_may_lie_years_apart() -> None:
    """The next 29th of February."""
    assert moments_around("0 0 29 2 *", at("2026-11-21T12:00"), UTC) == (at("2024-02-29T00:00"), at("2028-02-29T00:00"))


@pytest.mark.parametrize(("text", "open_"), [("00:59", False), ("01:00", True), ("04:59", True), ("05:00", False)])
def test_window_is_open_from_its_moment_for_so_long(text: str, open_: bool) -> None:  # noqa: FBT001 - expected
    """And no longer. Without a window it is always open."""
    window = Window(cron="0 1 * * *", for_=4 * HOUR)
    assert is_open(window, at(f"2026-11-21T{text}"), UTC) is open_
    assert is_open(None, at(f"2026-11-21T{text}"), UTC)


@given(
    line=st.sampled_from(LINES),
    now=st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2028, 1, 1)),  # noqa: DTZ001 - made aware below
    zone=st.sampled_from([UTC, TOKYO, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")]),
)
def test_moments_lie_around_now_and_nothing_lies_between(line: str, now: datetime, zone: object) -> None:
    """In every zone, also when clocks are put forward or back."""
    here = now.replace(tzinfo=UTC).timestamp()
    last, following = moments_around(line, here, zone)  # type: ignore[arg-type]
    assert last is not None
    assert following is not None
    assert last <= here < following
    between = moments_around(line, (last + following) / 2, zone)  # type: ignore[arg-type]
    assert between == (last, following)
    assert following - last <= 367 * DAY


@given(
    now=st.datetimes(min_value=datetime(2026, 10, 20), max_value=datetime(2026, 10, 30)),  # noqa: DTZ001 - as above
)
def test_daily_job_runs_once_for_each_day_of_the_change(now: datetime) -> None:
    """Whenever it is asked and whenever it then runs, the moment after that run is another day's."""
    here = now.replace(tzinfo=UTC).timestamp()
    due = next_due("30 2 * * *", now=here, zone=BERLIN, last_begun=None, known_since=here - 2 * DAY)
    assert due is not None
    after = next_due("30 2 * * *", now=due.at, zone=BERLIN, last_begun=due.at, known_since=here - 2 * DAY)
    assert after is not None
    days = [datetime.fromtimestamp(one.moment, BERLIN).date() for one in (due, after)]
    assert days[1] - days[0] == timedelta(days=1)
