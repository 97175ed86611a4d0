"""How old a standby's data may be: decided purely, and honest about idle clusters and broken links."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Standby:
    """What a standby says of itself at one moment."""

    replay_age_seconds: (
        float | None
    )  # since the last replayed commit was made; None when there was none since the start
    replayed_bytes: float | None
    received_bytes: float | None  # None when nothing was streamed since the start
    announced_bytes: float | None  # where its primary's WAL ended at the last message; None when none came or is seen
    receiving: bool  # a WAL receiver runs and streams
    message_age_seconds: float | None  # since its primary was last heard; None when we may not know
    silence_seconds: float  # how long a primary may be silent before the standby hangs up; 0 is for ever


def current(standby: Standby) -> bool:
    """Whether the standby has replayed all that there is: it listens, the primary speaks, and nothing waits.

    The age of the last commit says nothing here: on an idle cluster it grows while nothing is missing. Nor does it
    suffice that all that was received is replayed: over a slow link the primary may be minutes ahead of that.
    """
    if not standby.receiving or standby.replayed_bytes is None or standby.received_bytes is None:
        return False
    silent = standby.silence_seconds > 0 and (standby.message_age_seconds or 0.0) > standby.silence_seconds
    if standby.announced_bytes is None:  # of a receiver that begins anew, at its segment's first byte, nothing follows
        return not silent and standby.replayed_bytes == standby.received_bytes
    return not silent and standby.replayed_bytes >= max(standby.received_bytes, standby.announced_bytes)


def lag_seconds(standby: Standby, current_ago_seconds: float | None) -> float | None:
    """The lag, given how long ago we last saw the standby to be current. None when nobody can tell.

    A standby that was current a moment ago cannot be further behind than that, though its last commit be hours old.
    """
    if current(standby):
        return 0.0
    bounds = [age for age in (standby.replay_age_seconds, current_ago_seconds) if age is not None]
    return max(min(bounds), 0.0) if bounds else None


def backlog_bytes(standby: Standby) -> float | None:
    """What has been received and waits to be replayed."""
    if standby.replayed_bytes is None or standby.received_bytes is None:
        return None
    return max(standby.received_bytes - standby.replayed_bytes, 0.0)
