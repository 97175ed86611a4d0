"""What may be asked of backups is understood, or refused with the reason."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from backup.restore.contract import Aim, Moment
from daemon.asked_backups import dsn_asked, method_asked, moment_asked, status_asked, tag_asked, time_asked
from toban.backups import Method, Status
from toban.errors import UsageError

TOKYO = ZoneInfo("Asia/Tokyo")
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    """A moment with its offset."""
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ({}, Moment()),
        ({"latest": True}, Moment(aim=Aim.LATEST)),
        ({"latest": True, "timeline": 2}, Moment(aim=Aim.LATEST, timeline=2)),
        ({"xid": "740"}, Moment(aim=Aim.XID, value="740")),
        ({"name": "before 出荷"}, Moment(aim=Aim.NAME, value="before 出荷")),
        ({"lsn": "0/16b3748"}, Moment(aim=Aim.LSN, value="0/16B3748")),
        ({"xid": "740", "exclusive": True}, Moment(aim=Aim.XID, value="740", inclusive=False)),
        (
            {"time": "2026-11-21T09:00:00"},
            Moment(aim=Aim.TIME, value="2026-11-21T09:00:00", at=at("2026-11-21T09:00:00+09:00")),
        ),
    ],
)
def test_a_moment_is_taken_by_what_names_it(written: dict[str, Any], moment: Moment) -> None:
    """A time without an offset is of the configured zone."""
    assert moment_asked(**written, zone=TOKYO) == moment


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ({"time": "2026-11-21T09:00", "latest": True}, "toban: --to-latest: does not go with --to-time"),
        ({"xid": "1", "lsn": "0/1"}, "toban: --to-lsn: does not go with --to-xid"),
        ({"time": "yesterday"}, "toban: --to-time: 'yesterday' is no time"),
        ({"time": "2026-11-21"}, "toban: --to-time: 2026-11-21 has no time of day"),
        ({"xid": "0"}, "toban: --to-xid: '0' is no transaction"),
        ({"xid": "x"}, "toban: --to-xid: 'x' is no transaction"),
        ({"xid": "9" * 5000}, f"toban: --to-xid: '{'9' * 80}' is no transaction"),
        ({"lsn": "16B3748"}, "toban: --to-lsn: '16B3748' is no LSN"),
        ({"name": " "}, "toban: --to-name: a restore point's name has 1 to 63 bytes on one line"),
        ({"name": "点" * 22}, "toban: --to-name: a restore point's name has 1 to 63 bytes on one line"),
        ({"timeline": 0}, "toban: --timeline: 0 is no timeline"),
        ({"latest": True, "exclusive": True}, "toban: --exclusive: goes with --to-time, --to-xid or --to-lsn alone"),
    ],
)
def test_a_moment_that_is_none_is_refused(written: dict[str, Any], line: str) -> None:
    """With one line that says what, why and the mend."""
    with pytest.raises(UsageError) as refused:
        moment_asked(**written, zone=TOKYO)
    assert refused.value.line.startswith(line)
    assert refused.value.exit_status == 2


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21T09:00:00Z", "2026-11-21T09:00:00+00:00"),
        ("2026-11-21 09:00:00.5+05:30", "2026-11-21T09:00:00.5+05:30"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00+01:00"),
        ("2026-10-25T01:30:00", "2026-10-25T01:30:00+02:00"),
        ("2026-10-25T03:30:00", "2026-10-25T03:30:00+01:00"),
    ],
)
def test_a_time_with_an_offset_is_what_it_says(text: str, moment: str) -> None:
    """Whatever the zone; around a change of clocks too."""
    assert time_asked("--to-time", text, BERLIN) == at(moment)


def test_a_time_that_is_two_moments_is_refused() -> None:
    """Clocks are put back: half past two comes twice, and both are named."""
    with pytest.raises(UsageError) as refused:
        time_asked("--to-time", "2026-10-25T02:30:00", BERLIN)
    assert refused.value.line == (
        "toban: --to-time: 2026-10-25T02:30:00 is two moments in Europe/Berlin: clocks were put back "
        "(write one of 2026-10-25T02:30:00+02:00 and 2026-10-25T02:30:00+01:00)"
    )


def test_a_time_that_does_not_exist_is_refused() -> None:
    """Clocks are put forward: half past two is left out."""
    with pytest.raises(UsageError, match="does not exist in Europe/Berlin: clocks were put forward"):
        time_asked("--to-time", "2026-03-29T02:30:00", BERLIN)


def test_a_day_begins_at_midnight_where_it_is_written_so() -> None:
    """Midnight is a time of day like any other."""
    assert time_asked("--to-time", "2026-11-21T00:00", UTC) == at("2026-11-21T00:00:00+00:00")


def test_a_choice_is_one_of_those_that_there_are() -> None:
    """Or any."""
    assert (method_asked("base"), method_asked(None), status_asked("damaged")) == (Method.BASE, None, Status.DAMAGED)
    with pytest.raises(UsageError, match="'tape' is none"):
        method_asked("tape")


def test_a_tag_is_a_word_or_a_few() -> None:
    """No path, no control character, not endless."""
    assert (tag_asked("emergency"), tag_asked("出荷 前"), tag_asked(None)) == ("emergency", "出荷 前", None)
    for wrong in ("", "../x", "a\nb", "x" * 64):
        with pytest.raises(UsageError, match="is no tag"):
            tag_asked(wrong)


def test_a_connection_string_is_never_quoted_back() -> None:
    """Neither when it is wrong."""
    dsn = dsn_asked("--into", "postgresql://me:geheim@127.0.0.1/x")
    assert dsn is not None
    assert dsn.masked == "postgresql://me:********@127.0.0.1/x"
    assert dsn_asked("--into", None) is None
    with pytest.raises(UsageError) as refused:
        dsn_asked("--into", "me:geheim@127.0.0.1")
    assert "geheim" not in refused.value.line
