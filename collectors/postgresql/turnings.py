"""What has happened to a server since it was last seen: restarted, replaced, promoted, demoted, upgraded. Pure."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from toban.clock import moment
from toban.events import Event, EventKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A server as it was seen: which release, running since when, on which side."""

    release: str
    version_num: int
    started_at: float
    standby: bool
    timeline: int | None = None
    """Of a primary: each promotion begins a new one."""

    @property
    def body(self) -> str:
        """As it is remembered."""
        return json.dumps(asdict(self))


def recalled(body: str | None) -> Sighting | None:
    """What was remembered; None where nothing was, or nothing that can be read."""
    try:
        told = json.loads(body or "")
        return Sighting(
            release=str(told["release"]),
            version_num=int(told["version_num"]),
            started_at=float(told["started_at"]),
            standby=bool(told["standby"]),
            timeline=None if told.get("timeline") is None else int(told["timeline"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def happened(before: Sighting, now: Sighting, at: float) -> tuple[Event, ...]:
    """The events between two sightings. Several restarts in between show as one."""
    return tuple(_happened(before, now, at))


def _happened(before: Sighting, now: Sighting, at: float) -> Iterator[Event]:
    if now.started_at != before.started_at:
        started = [moment(sighting.started_at).isoformat(timespec="seconds") for sighting in (before, now)]
        kind = EventKind.REPLACED if _is_another(before, now) else EventKind.RESTARTED
        yield Event(kind=kind, before=started[0], after=started[1], at=at)
    if now.version_num != before.version_num:
        yield Event(kind=EventKind.UPGRADED, before=before.release, after=now.release, at=at)
    if now.standby != before.standby:
        kind = EventKind.DEMOTED if now.standby else EventKind.PROMOTED
        yield Event(kind=kind, before=_side(before), after=_side(now), at=at)


def _is_another(before: Sighting, now: Sighting) -> bool:
    """Whether what was started at another moment is another server: behind one address a failover looks like that."""
    known = before.timeline is not None and now.timeline is not None
    return now.started_at < before.started_at or (known and before.timeline != now.timeline)


def _side(sighting: Sighting) -> str:
    return "standby" if sighting.standby else "primary"
