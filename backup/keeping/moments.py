"""The moment that somebody names, for a drill: latest, a time, or so long ago."""

import re
from datetime import datetime, tzinfo
from typing import Final

from backup.restore.contract import Aim, Moment
from toban.config import parse_duration

_AGO: Final = re.compile(r"-\s*(\S+)")


def moment_of(text: str, now: float, zone: tzinfo) -> Moment:
    """`latest`, a time in ISO 8601 (in the zone given where it names no offset), or `-2h`: so long before now."""
    if text == "latest":
        return Moment(aim=Aim.LATEST)
    ago = _AGO.fullmatch(text)
    try:
        at = now - parse_duration(ago[1]) if ago else _local(datetime.fromisoformat(text), zone).timestamp()
    except ValueError:
        raise ValueError(f"{text!r} is neither latest, nor a time as 2026-11-21T02:00:00+09:00, nor -2h") from None
    return Moment(aim=Aim.TIME, value=text, at=at)


def _local(moment: datetime, zone: tzinfo) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
