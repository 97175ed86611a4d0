"""What may be asked of backups, by the command line and over HTTP alike: which ones, and which moment."""

import re
from datetime import UTC, datetime, tzinfo
from typing import TypeVar

from backup.restore.contract import Aim, Moment
from toban.backups import Method, Status
from toban.errors import UsageError
from toban.printable import printable
from toban.secrets import Dsn

TAG = re.compile(r"[\w][\w .:+-]{0,62}")
LSN = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")
XID = re.compile(r"[0-9]{1,20}")
MOST_XID = 2**64
MOST_TIMELINE = 2**32
NAME_BYTES = 63  # of a restore point: PostgreSQL cuts longer ones
ChoiceT = TypeVar("ChoiceT", Method, Status)


def method_asked(text: str | None) -> Method | None:
    """One method, or any."""
    return _choice("--method", text, Method)


def status_asked(text: str | None) -> Status | None:
    """One status, or any."""
    return _choice("--status", text, Status)


def tag_asked(text: str | None) -> str | None:
    """A word or a few for a backup made on demand."""
    if text is None:
        return None
    if not TAG.fullmatch(text):
        raise UsageError("--tag", f"{printable(text)[:80]!r} is no tag", "a few letters and digits: emergency")
    return text


def dsn_asked(option: str, text: str | None) -> Dsn | None:
    """A connection string, which is never quoted back."""
    if text is None:
        return None
    dsn = Dsn(text)
    if dsn.fault:
        raise UsageError(option, dsn.fault, "write postgresql://user@host:port/database")
    return dsn


def moment_asked(  # noqa: PLR0913 - an option each
    *,
    time: str | None = None,
    xid: str | None = None,
    name: str | None = None,
    lsn: str | None = None,
    latest: bool = False,
    timeline: int | None = None,
    exclusive: bool = False,
    zone: tzinfo,
) -> Moment:
    """Which moment to restore to; without any the backup's own end."""
    given: dict[str, object] = {
        "--to-time": time,
        "--to-xid": xid,
        "--to-name": name,
        "--to-lsn": lsn,
        "--to-latest": latest or None,
    }
    named = [option for option, value in given.items() if value is not None]
    if len(named) > 1:
        raise UsageError(named[1], f"does not go with {named[0]}", "one moment alone can be restored to")
    if timeline is not None and not 0 < timeline < MOST_TIMELINE:
        raise UsageError("--timeline", f"{timeline} is no timeline", "toban wal status shows them")
    if exclusive and (time or xid or lsn) is None:
        raise UsageError("--exclusive", "goes with --to-time, --to-xid or --to-lsn alone")
    moment = _aimed(time, xid, name, lsn, latest=latest, zone=zone)
    return Moment(aim=moment.aim, value=moment.value, at=moment.at, inclusive=not exclusive, timeline=timeline)


def _aimed(
    time: str | None, xid: str | None, name: str | None, lsn: str | None, *, latest: bool, zone: tzinfo
) -> Moment:
    if time is not None:
        at = time_asked("--to-time", time, zone)
        return Moment(aim=Aim.TIME, value=time, at=at)
    if xid is not None:
        return Moment(aim=Aim.XID, value=_xid(xid))
    if name is not None:
        return Moment(aim=Aim.NAME, value=_name(name))
    if lsn is not None:
        return Moment(aim=Aim.LSN, value=_lsn(lsn))
    return Moment(aim=Aim.LATEST if latest else Aim.BACKUP)


def time_asked(option: str, text: str, zone: tzinfo) -> float:
    """A time of day in ISO 8601, with its own offset or in the configured zone; refused where that is two moments."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(option, f"{printable(text)[:80]!r} is no time", _example(zone)) from error
    if not re.search(r"[T ]", text.strip()):
        raise UsageError(option, f"{text.strip()} has no time of day", _example(zone))
    if at.tzinfo is not None:
        return at.timestamp()
    first, second = (at.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first.timestamp()
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != at:
        raise UsageError(option, f"{text} does not exist in {zone}: clocks were put forward", "write its offset")
    both = f"{first.isoformat()} and {second.isoformat()}"
    raise UsageError(option, f"{text} is two moments in {zone}: clocks were put back", f"write one of {both}")


def _example(zone: tzinfo) -> str:
    return f"write 2026-11-21T09:00:00+09:00, or without an offset in {zone}"


def _xid(text: str) -> str:
    if not (XID.fullmatch(text) and 0 < int(text) < MOST_XID):
        raise UsageError("--to-xid", f"{printable(text)[:80]!r} is no transaction", "SELECT pg_current_xact_id()")
    return text


def _name(text: str) -> str:
    if not text.strip() or len(text.encode()) > NAME_BYTES or printable(text) != text:
        raise UsageError("--to-name", f"a restore point's name has 1 to {NAME_BYTES} bytes on one line")
    return text


def _lsn(text: str) -> str:
    if not LSN.fullmatch(text):
        raise UsageError("--to-lsn", f"{printable(text)[:80]!r} is no LSN", "write it as 0/16B3748")
    return text.upper()


def _choice(option: str, text: str | None, choices: type[ChoiceT]) -> ChoiceT | None:
    if text is None:
        return None
    if text not in set(choices):
        raise UsageError(option, f"{printable(text)[:80]!r} is none", f"there are: {', '.join(choices)}")
    return choices(text)
