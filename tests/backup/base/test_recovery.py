"""Which way a recovery goes, and what PostgreSQL is told: from a moment and what WAL there is."""

from collections.abc import Mapping
from typing import Any

import pytest

from backup.restore.contract import Aim, Moment
from backup.restore.recovery import CLEARED, STOPS, Course, Facts, course, quoted, settings, staged, written
from backup.wal.chain import Lead
from backup.wal.segments import lsn_number
from tests.builders import START
from toban.backups import GapKind, WalGap
from toban.clock import moment as at_moment

LATEST = Moment(aim=Aim.LATEST)
GAP = WalGap(
    timeline=1,
    from_lsn="0/5000000",
    to_lsn="0/6000000",
    kind=GapKind.LOST,
    segments=1,
    why="later WAL is there",
)
GAP_SAID = "WAL is missing from 0/5000000 to 0/6000000 on timeline 1 (1 segments, lost): later WAL is there"


def segments(timeline: int, *numbers: int) -> tuple[str, ...]:
    """Names of segments."""
    return tuple(f"{timeline:08X}{0:08X}{number:08X}" for number in numbers)


def a_lead(
    timeline: int = 1,
    names: tuple[str, ...] = segments(1, 2, 3, 4),
    gap: WalGap | None = None,
    partial: str | None = None,
) -> Lead:
    """How far WAL leads on; to the end of the fourth segment when nothing else is said."""
    ends_at = (int(names[-1][16:], 16) + 1) * 0x1000000 if names else lsn_number("0/2000100")
    return Lead(
        timeline=timeline,
        ends_at=ends_at,
        last_segment=names[-1] if names else None,
        segments=names,
        gap=gap,
        partial=partial,
    )


def facts(*leads: Lead, newest_at: Mapping[int, float] | None = None, **changed: Any) -> Facts:  # noqa: ANN401 - any field
    """A backup of timeline 1 that ended in its second segment."""
    told: dict[str, Any] = {
        "timeline": 1,
        "stop_lsn": lsn_number("0/2000100"),
        "created_at": START,
        "copied_at": START + 60,
        "leads": leads,
        "segment_bytes": 0x1000000,
        "newest_at": newest_at,
    }
    return Facts(**(told | changed))


def shown(at: float) -> str:
    """A moment as the sentences have it."""
    return at_moment(at).isoformat(sep=" ", timespec="milliseconds")


def said(found: Course) -> tuple[bool | None, str]:
    """The verdict and its reason."""
    return found.allowed, found.reason


# --- which way --------------------------------------------------------------------------------------------------------


def test_recovery_to_the_backup_itself_needs_no_other_wal() -> None:
    """Whatever is missing of the archive: it brings its own."""
    found = course(facts(a_lead(gap=GAP)), Moment())
    assert said(found) == (True, "the backup brings the WAL of its own end along")
    assert (found.timeline, found.segments, found.reaches_at) == (1, (), START + 60)


def test_recovery_to_the_latest_moment_takes_the_newest_timeline() -> None:
    """After a promotion the new timeline is the one that counts; the old one by its number alone."""
    newer = a_lead(2, (*segments(1, 2, 3), *segments(2, 4)))
    found = course(facts(newer, a_lead()), LATEST)
    assert said(found) == (True, "the WAL leads on without a gap on timeline 2")
    assert found.segments == newer.segments
    assert course(facts(newer, a_lead()), Moment(aim=Aim.LATEST, timeline=1)).timeline == 1


def test_recovery_to_the_latest_moment_is_refused_at_a_gap() -> None:
    """PostgreSQL would promote there without a word, and what comes after would be lost."""
    found = course(facts(a_lead(gap=GAP)), LATEST)
    assert said(found) == (False, f"{GAP_SAID}: PostgreSQL would end there without a word")
    assert (
        found.hint == "restore to a moment before the gap, or accept the gap (--accept-gap) and lose what is behind it"
    )


def test_recovery_to_the_latest_moment_goes_up_to_a_gap_that_is_accepted() -> None:
    """Somebody has read what is missing."""
    found = course(facts(a_lead(gap=GAP)), LATEST, accept_gap=True)
    assert said(found) == (True, f"{GAP_SAID}; that is accepted: what is before it comes back")
    assert found.moment == Moment(aim=Aim.LATEST, timeline=1)


def test_recovery_is_refused_when_a_newer_timeline_cannot_be_entered() -> None:
    """The old timeline is whole, but what counts is on the new one, behind a gap."""
    newer = a_lead(2, segments(1, 2), gap=GAP)
    found = course(facts(newer, a_lead()), LATEST)
    assert (found.allowed, found.timeline) == (False, 1)
    accepted = course(facts(newer, a_lead()), LATEST, accept_gap=True)
    assert (accepted.allowed, accepted.timeline) == (True, 1)


def test_recovery_stays_on_a_newer_timeline_up_to_its_own_gap() -> None:
    """Nobody is led back to the old timeline because the new one has a hole further on."""
    newer = a_lead(2, (*segments(1, 2, 3), *segments(2, 4)), gap=GAP)
    assert course(facts(newer, a_lead()), Moment(aim=Aim.TIME, at=START + 90)).timeline == 2


def test_recovery_without_any_wal_ends_with_the_backup() -> None:
    """That is all there is, and nothing says that there was more."""
    found = course(facts(), LATEST)
    assert (found.allowed, found.timeline, found.segments) == (True, 1, ())
    assert course(facts(), Moment(aim=Aim.LATEST, timeline=1)).allowed is True


def test_recovery_to_a_timeline_that_does_not_lead_on_is_refused() -> None:
    """The timelines that do are named."""
    found = course(facts(a_lead(2), a_lead()), Moment(aim=Aim.LATEST, timeline=3))
    assert said(found) == (False, "timeline 3 does not lead on from this backup, which ends on timeline 1")
    assert found.hint == "there is: 1, 2"


# --- time -------------------------------------------------------------------------------------------------------------


def judged(at: float, *leads: Lead, newest_at: float | None = None, accept_gap: bool = False, **changed: Any) -> Course:  # noqa: ANN401 - any field
    """The course to a time."""
    known = None if newest_at is None else {1: newest_at}
    return course(facts(*leads, newest_at=known, **changed), Moment(aim=Aim.TIME, at=at), accept_gap=accept_gap)


def test_time_before_the_last_commit_can_be_come_to() -> None:
    """A later commit is known to be in the WAL: PostgreSQL will find where to stop."""
    found = judged(START + 90, a_lead(), newest_at=START + 91)
    assert said(found) == (True, f"the WAL that is there reaches {shown(START + 91)} on timeline 1")


def test_time_after_the_last_commit_cannot_be_come_to() -> None:
    """Nothing in the WAL would show PostgreSQL that the time has passed: it would not start."""
    found = judged(START + 91, a_lead(), newest_at=START + 91)
    ends = f"what is there ends at {shown(START + 91)}; no later change is in the WAL that is there"
    assert said(found) == (False, f"{shown(START + 91)} cannot be come to: {ends}")
    assert found.hint == "--to-latest brings back all there is"


def test_time_behind_a_gap_cannot_be_come_to() -> None:
    """And the gap is named; accepted, all that is before it comes back, without a target that is never reached."""
    found = judged(START + 99, a_lead(gap=GAP), newest_at=START + 91)
    assert found.allowed is False
    assert GAP_SAID in found.reason
    accepted = judged(START + 99, a_lead(gap=GAP), newest_at=START + 91, accept_gap=True)
    assert (accepted.allowed, accepted.moment.aim) == (True, Aim.LATEST)


def test_time_before_a_gap_can_be_come_to() -> None:
    """A gap further on does not matter, and is not in the way of what is aimed at."""
    found = judged(START + 80, a_lead(gap=GAP), newest_at=START + 91, accept_gap=True)
    assert (found.allowed, found.moment.aim) == (True, Aim.TIME)


def test_time_before_the_backup_wants_an_earlier_one() -> None:
    """Even an accepted gap does not help."""
    found = judged(START - 1, a_lead(gap=GAP), accept_gap=True)
    assert said(found) == (False, f"{shown(START - 1)} is before this backup was begun, at {shown(START)}")
    assert found.hint == "choose an earlier backup"


@pytest.mark.parametrize(
    ("at", "lead", "words"),
    [
        (START + 30, a_lead(), "the backup may have ended later than that"),
        (START + 90, a_lead(), "is found while recovering: PostgreSQL stops, and does not promote"),
        (START + 90, a_lead(gap=GAP), f"{GAP_SAID}: if"),
    ],
)
def test_time_that_nobody_can_judge_is_neither_allowed_nor_refused(at: float, lead: Lead, words: str) -> None:
    """PostgreSQL stops by itself when it does not come to it; that is said."""
    found = judged(at, lead)
    assert found.allowed is None
    assert words in found.reason


def test_time_without_any_wal_cannot_be_come_to() -> None:
    """After the backup's end nothing is known."""
    assert said(judged(START + 90)) == (False, "no WAL that leads on from this backup is there")


# --- the other aims ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lsn", "lead", "allowed"),
    [
        ("0/5000000", a_lead(), True),
        ("0/5000001", a_lead(), False),
        ("0/5000001", a_lead(partial="000000010000000000000005"), None),
        ("0/6000001", a_lead(partial="000000010000000000000005"), False),
        ("0/20000FF", a_lead(), False),
        ("0/6000000", a_lead(gap=GAP), False),
    ],
)
def test_position_is_judged_by_what_is_there(lsn: str, lead: Lead, allowed: bool | None) -> None:  # noqa: FBT001 - a verdict
    """In the WAL, behind it, before the backup's end, in a segment that was never finished."""
    assert course(facts(lead), Moment(aim=Aim.LSN, value=lsn)).allowed is allowed


@pytest.mark.parametrize("aim", [Aim.XID, Aim.NAME])
def test_transaction_and_name_are_found_by_recovering_alone(aim: Aim) -> None:
    """Nobody knows before; that there is a gap is said."""
    found = course(facts(a_lead(gap=GAP)), Moment(aim=aim, value="77"))
    assert said(found) == (None, f"whether 77 is in the WAL is found while recovering: {STOPS}; {GAP_SAID}")


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        (Moment(aim=Aim.TIME), "a time is wanted, and none is given"),
        (Moment(aim=Aim.LSN, value="12345"), "'12345' is no position in the WAL; one is written as 0/16B3748"),
        (Moment(aim=Aim.XID, value="0x77"), "'0x77' is no transaction; one is a number"),
        (Moment(aim=Aim.NAME, value="夜" * 22), "a restore point has a name of at most 63 bytes"),
        (Moment(aim=Aim.NAME), "a restore point has a name of at most 63 bytes"),
    ],
)
def test_moment_that_is_none_is_refused(moment: Moment, why: str) -> None:
    """Before PostgreSQL refuses to start with it."""
    assert said(course(facts(a_lead()), moment)) == (False, why)


# --- what PostgreSQL is told ------------------------------------------------------------------------------------------


def told(moment: Moment) -> dict[str, str]:
    """What is set beyond what is always cleared."""
    found = settings(course(facts(a_lead(), newest_at={1: START + 999}), moment), "exit 1")
    return {name: value for name, value in found.items() if CLEARED.get(name) != value}


COMMON = {"restore_command": "exit 1", "recovery_target_timeline": "1", "recovery_target_action": "promote"}


@pytest.mark.parametrize(
    ("moment", "own"),
    [
        (Moment(), {"recovery_target": "immediate"}),
        (LATEST, {}),
        (
            Moment(aim=Aim.TIME, at=1795168799.123456),
            {"recovery_target_time": "2026-11-20 09:59:59.123456+00"},
        ),
        (
            Moment(aim=Aim.XID, value="77", inclusive=False),
            {"recovery_target_xid": "77", "recovery_target_inclusive": "off"},
        ),
        (Moment(aim=Aim.NAME, value="夜 '1'"), {"recovery_target_name": "夜 '1'"}),
        (Moment(aim=Aim.LSN, value="0/3000000"), {"recovery_target_lsn": "0/3000000"}),
    ],
)
def test_settings_name_the_target_with_its_zone_and_its_timeline(moment: Moment, own: dict[str, str]) -> None:
    """A number for the timeline, an offset for a time, promotion where it is reached; nothing else is aimed at."""
    assert told(moment) == {**COMMON, **own}


def test_settings_clear_what_the_old_server_aimed_at() -> None:
    """Another target would make two; its archive, its standbys and its publishers are none of the new one's."""
    found = settings(course(facts(a_lead()), Moment(aim=Aim.XID, value="7")), "exit 1")
    assert {name for name, value in found.items() if not value} == {
        "recovery_target",
        "recovery_target_lsn",
        "recovery_target_name",
        "recovery_target_time",
        "recovery_end_command",
        "archive_cleanup_command",
        "primary_conninfo",
        "primary_slot_name",
        "synchronous_standby_names",
    }
    assert (found["archive_mode"], found["max_logical_replication_workers"]) == ("off", "0")
    assert next(reversed(found)) == "recovery_target_xid"


def test_settings_are_written_over_those_of_the_same_names() -> None:
    """What else stood there stays; the older versions' names go."""
    existing = (
        "# kept\nwork_mem = '64MB'\narchive_mode = 'on'\nprimary_conninfo = 'host=a password=b'\nstandby_mode=on\n"
    )
    assert written(existing, {"archive_mode": "off", "primary_conninfo": ""}) == (
        "# kept\nwork_mem = '64MB'\narchive_mode = 'off'\nprimary_conninfo = ''\n"
    )


def test_settings_of_the_old_server_end_where_its_lines_end() -> None:
    """A sign that ends a line elsewhere, within a value or a remark, makes no setting of what is behind it."""
    existing = "application_name = 'a\u2028restore_command = x'\n# a\x0carchive_mode = 'on'\n"
    assert written(existing, {"archive_mode": "off"}) == f"{existing}archive_mode = 'off'\n"
    assert written("", {"archive_mode": "off"}) == "archive_mode = 'off'\n"


def test_value_is_quoted_as_a_configuration_file_has_it() -> None:
    """Quotes doubled, backslashes too."""
    assert quoted("it's \\ 夜") == "'it''s \\\\ 夜'"


def test_staged_wal_is_copied_from_wherever_it_lies() -> None:
    """A folder whose name a shell and PostgreSQL would read otherwise."""
    assert staged("/a 100%'b") == (
        """if test -e '/a 100%%'"'"'b'/"%f"; then cp '/a 100%%'"'"'b'/"%f" "%p" || exit 200; else exit 1; fi"""
    )


# --- a backup that does not bring its WAL along -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lead", "allowed", "why"),
    [
        (a_lead(names=segments(1, 2)), True, "the WAL up to the backup's end is there"),
        (
            Lead(timeline=1, ends_at=lsn_number("0/2000000"), last_segment=None, segments=(), gap=GAP),
            False,
            f"what makes the backup consistent is not there: {GAP_SAID}",
        ),
        (
            Lead(timeline=1, ends_at=lsn_number("0/2000000"), last_segment=None, segments=(), gap=None),
            False,
            "what makes the backup consistent is not there: the WAL that is there ends at 0/2000000",
        ),
    ],
)
def test_backup_without_its_own_wal_wants_that_of_its_end(lead: Lead, allowed: bool, why: str) -> None:  # noqa: FBT001 - a verdict
    """As one of pgBackRest's: its archive has to have it."""
    assert said(course(facts(lead, brings_wal=False), Moment())) == (allowed, why)
    if not allowed:
        assert said(course(facts(lead, brings_wal=False), Moment(), accept_gap=True)) == (False, why)
        assert said(course(facts(lead, brings_wal=False), LATEST, accept_gap=True)) == (False, why)
        assert said(course(facts(lead, brings_wal=False), LATEST)) == (False, why)
