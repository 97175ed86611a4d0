from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from alerting.quiet import Span, Window, cron_fault, in_force, last_start, maintenance, next_start, window_span
from tests.alerting.builders import HOUR, MINUTE, a_silence, an_alert
from tests.builders import START
from toban.alerts import Key, Severity

BERLIN, TOKYO, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Tokyo"), ZoneInfo("UTC")
DAY = 24 * HOUR
NEVER = "0 0 */30 * MON#2"


def at(text: str, zone: ZoneInfo = UTC, *, fold: int = 0) -> float:
    """A local time as epoch seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def openings(cron: str, for_seconds: float, begin: float, end: float, zone: ZoneInfo) -> list[tuple[float, float]]:
    """When a window opened and how long it was open, looked at every minute."""
    spans: list[tuple[float, float]] = []
    now, was_open = begin, False
    while now < end:
        is_open = window_span(cron, for_seconds, now=now, zone=zone) is not None
        if is_open and not was_open:
            spans.append((now, 0.0))
        if is_open:
            spans[-1] = (spans[-1][0], now + MINUTE - spans[-1][0])
        now, was_open = now + MINUTE, is_open
    return spans


def test_window_opens_at_its_cron_line_and_lasts_its_length() -> None:
    """From one to two in the night, the last second outside."""
    one = at("2026-11-21 01:00", TOKYO)
    span = Span(one, one + HOUR)
    for offset, expected in ((-1, None), (0, span), (0.5, span), (HOUR - 0.5, span), (HOUR, None)):
        assert window_span("0 1 * * *", HOUR, now=one + offset, zone=TOKYO) == expected


def test_window_follows_the_zone() -> None:
    """One in the night of Tokyo is four in the afternoon of the day before in UTC."""
    assert next_start("0 1 * * *", now=at("2026-11-20 12:00"), zone=TOKYO) == at("2026-11-20 16:00")
    assert last_start("0 1 * * *", now=at("2026-11-20 12:00"), zone=TOKYO) == at("2026-11-19 16:00")


@pytest.mark.parametrize(
    ("cron", "length", "first"),
    [
        ("30 2 * * *", HOUR, "2026-03-29 03:00"),  # does not exist: begins when the skipped hour is over
        ("0 2 * * *", HOUR, "2026-03-29 03:00"),
        ("0 1 * * *", 2 * HOUR, "2026-03-29 01:00"),
        ("15 3 * * *", HOUR, "2026-03-29 03:15"),
    ],
)
def test_nightly_window_is_not_skipped_when_summer_time_begins(cron: str, length: float, first: str) -> None:
    """In the night with 23 hours it opens once, for its full length."""
    begin, end = at("2026-03-29 00:00", BERLIN), at("2026-03-29 12:00", BERLIN)
    assert openings(cron, length, begin, end, BERLIN) == [(at(first, BERLIN), length)]


@pytest.mark.parametrize(
    ("cron", "length", "first"),
    [
        ("30 2 * * *", HOUR, "2026-10-25 02:30"),  # comes twice: the first counts
        ("0 2 * * *", HOUR, "2026-10-25 02:00"),
        ("0 2 * * *", 10 * MINUTE, "2026-10-25 02:00"),
        ("30 1 * * *", 2 * HOUR, "2026-10-25 01:30"),
        ("0 3 * * *", HOUR, "2026-10-25 03:00"),
    ],
)
def test_nightly_window_is_not_doubled_when_summer_time_ends(cron: str, length: float, first: str) -> None:
    """In the night with 25 hours it opens once, for its full length."""
    begin, end = at("2026-10-25 00:00", BERLIN), at("2026-10-25 12:00", BERLIN)
    assert openings(cron, length, begin, end, BERLIN) == [(at(first, BERLIN), length)]


@pytest.mark.parametrize("zone", [BERLIN, TOKYO])
def test_nightly_window_comes_once_a_day_all_the_year(zone: ZoneInfo) -> None:
    """366 starts, each on a day of its own, found forwards and back."""
    now, starts = at("2027-12-31 12:00", zone), []
    for _ in range(366):
        following = next_start("30 2 * * *", now=now, zone=zone)
        assert following is not None
        assert last_start("30 2 * * *", now=following + 1, zone=zone) == following
        starts.append(following)
        now = following
    days = [datetime.fromtimestamp(start, zone).date() for start in starts]
    assert all((later - earlier).days == 1 for earlier, later in pairwise(days))


def test_hourly_window_goes_by_real_hours() -> None:
    """The hour that comes twice has two of them."""
    begin = at("2026-10-25 01:30", BERLIN)
    found = openings("0 * * * *", 10 * MINUTE, begin, begin + 3 * HOUR, BERLIN)
    assert found == [(begin + 30 * MINUTE + n * HOUR, 10 * MINUTE) for n in range(3)]


def test_windows_that_overlap_are_one_quiet_time() -> None:
    """Longer than its distance: it is open all the time."""
    assert openings("0 * * * *", 2 * HOUR, START, START + 5 * HOUR, UTC) == [(START, 5 * HOUR)]


def test_cron_line_that_never_comes_true_never_opens() -> None:
    """The 1st or 31st is never a second Monday: such a window is closed for good, and a fault."""
    assert window_span(NEVER, HOUR, now=START, zone=UTC) is None
    force = in_force([Window(name="never", cron=NEVER, for_seconds=HOUR)], [], now=START, zone=UTC)
    assert (force.hushes, force.until) == ((), START + 3 * HOUR)
    assert cron_fault(NEVER) == "never comes true"


@pytest.mark.parametrize(
    ("cron", "fault"),
    [
        ("0 1 * * *", ""),
        ("*/5 8-17 * * mon-fri", ""),
        ("0 1 * *", "is no cron line; write minute hour day month weekday, as in `0 1 * * *`"),
        ("0 0 1 * * *", "is no cron line; write minute hour day month weekday, as in `0 1 * * *`"),
        ("0 25 * * *", "is no cron line: Bad hour"),
        ("0 0 30 2 *", "is no cron line: Bad day-of-month"),
    ],
)
def test_cron_line_is_checked(cron: str, fault: str) -> None:
    """What cannot be read, or has seconds, is refused with a reason."""
    assert cron_fault(cron) == fault


def test_window_mutes_only_what_it_matches() -> None:
    """Labels, rule, target, severity by shell patterns; of one name any, and all names."""
    disk = an_alert(key=Key("disk_full", "main", (("mount", "/srv/a"),)))
    cases: list[tuple[dict[str, tuple[str, ...]], bool]] = [
        ({}, True),
        ({"rule": ("disk_*",)}, True),
        ({"rule": ("disk_*",), "target": ("main", "other")}, True),
        ({"rule": ("disk_*",), "target": ("other",)}, False),
        ({"mount": ("/srv*",)}, True),
        ({"mount": ("/var*",)}, False),
        ({"device": ("*",)}, False),
        ({"target": ("!main",)}, False),
        ({"target": ("!other",), "severity": ("warning",)}, True),
        ({"severity": ("critical",)}, False),
    ]
    for match, expected in cases:
        pairs = tuple((name, pattern) for name, patterns in match.items() for pattern in patterns)
        window = Window(name="nightly", cron="* * * * *", for_seconds=60, match=pairs)
        force = in_force([window], [], now=START, zone=UTC)
        assert (force.mutes(disk) == "quiet nightly") is expected, match


def test_label_cannot_pretend_to_be_a_target() -> None:
    """Labels are somebody else's words."""
    alert = an_alert(key=Key("disk_full", "main", (("target", "other"),)))
    assert in_force([], [a_silence(match=(("target", "other"),))], now=START, zone=UTC).mutes(alert) == ""


def test_silence_holds_from_its_beginning_to_its_end() -> None:
    """Planned for later, in force, over; and one that was ended never."""
    silence = a_silence(begins_at=START + 10, ends_at=START + 20)
    for now, expected in ((START + 9, ""), (START + 10, "silence s1ence00"), (START + 20, "")):
        assert in_force([], [silence], now=now, zone=UTC).mutes(an_alert()) == expected
    ended = a_silence(ended_by="kim")
    assert in_force([], [ended], now=START, zone=UTC).mutes(an_alert()) == ""


def test_silence_matches_pairs_of_one_name_as_any() -> None:
    """`--match target=main --match target=other` means either."""
    silence = a_silence(match=(("target", "other"), ("target", "m*"), ("rule", "conn*")))
    assert in_force([], [silence], now=START, zone=UTC).mutes(an_alert()) == "silence s1ence00"
    other = a_silence(match=(("severity", Severity.CRITICAL.value),))
    assert in_force([], [other], now=START, zone=UTC).mutes(an_alert()) == ""


def test_recurring_silence_holds_at_each_of_its_times_until_its_end() -> None:
    """Every night at one for an hour, this week."""
    midnight = at("2026-11-21 00:00")
    silence = a_silence(begins_at=midnight, ends_at=midnight + 2 * DAY + 1.5 * HOUR, cron="0 1 * * *", for_seconds=HOUR)
    for hours, expected in (
        (0.5, False),
        (1, True),
        (2, False),
        (25.5, True),
        (49.2, True),
        (49.6, False),
        (73, False),
    ):
        force = in_force([], [silence], now=midnight + hours * HOUR, zone=UTC)
        assert bool(force.mutes(an_alert())) is expected, hours


def test_what_is_in_force_says_until_when() -> None:
    """The next opening or closing, at the latest some hours on, and never after the clock was set back."""
    one = at("2026-11-21 01:00")
    window = Window(name="nightly", cron="0 1 * * *", for_seconds=HOUR)
    assert in_force([window], [], now=one - 60, zone=UTC).until == one
    assert in_force([window], [], now=one + 60, zone=UTC).until == one + HOUR
    assert in_force([window], [], now=one + 6 * HOUR, zone=UTC).until == one + 9 * HOUR
    planned = a_silence(begins_at=one + 30, ends_at=one + 90)
    assert in_force([window], [planned], now=one, zone=UTC).until == one + 30
    assert in_force([], [planned], now=one + 31, zone=UTC).until == one + 90
    force = in_force([], [], now=one, zone=UTC)
    assert (force.holds(one), force.holds(one - 1), force.holds(force.until)) == (True, False, False)


def test_maintenance_excuses_what_it_causes() -> None:
    """A vacuum excuses a busy disk where the rule says so, and nothing else."""
    assert maintenance(("vacuum", "create_index"), ("analyze", "create_index")) == "maintenance create_index"
    assert maintenance(("vacuum",), ("analyze",)) == ""
    assert maintenance((), ("vacuum",)) == ""
