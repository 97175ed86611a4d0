"""A notice on its way: what is known of it besides what the book keeps. Moments are of a clock that never jumps."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from toban.alerts import Alert, Notice, Severity, What

ANSWERS = frozenset({What.ACKNOWLEDGED, What.RESOLVED, What.EASED})
"""They say something only to whoever has heard of the trouble before."""
LONE = frozenset({What.DIGEST, What.UNDELIVERED, What.TEST})
"""They belong to no episode: nothing waits for them, and no digest takes them in."""
_FINITE = ANSWERS | {What.TEST, What.UNDELIVERED}
"""They are given up in time, however bad the alert: what nothing ever overtakes would be tried for ever."""
MOST_NAMED = 1000  # notices that an UNDELIVERED knows of


@dataclass(slots=True, eq=False, kw_only=True)
class Entry:
    """One notice in memory."""

    notice: Notice
    arrived: float
    due: float
    deadline: float
    members: tuple[Notice, ...] | None = None  # what a digest stands for; None: the book knows
    plain: bool = False  # its letter could not be written as it should be
    cried: bool = False  # another channel has been told of it

    @property
    def lane(self) -> str:
        """What it keeps its order with: its episode."""
        return self.notice.key if self.notice.what in LONE else self.notice.alert.episode

    @property
    def urgent(self) -> bool:
        """Whether it is tried until somebody answers, or it is over."""
        alert, what = self.notice.alert, self.notice.what
        return alert.severity is Severity.CRITICAL and not alert.test and what not in _FINITE

    @property
    def turn(self) -> tuple[int, float]:
        """Who comes first: the worst, then the oldest."""
        return -self.notice.alert.severity.rank, self.notice.created_at


def digest_of(channel: str, members: Sequence[Notice], now: float) -> Notice:
    """One notice for many. The same ones give the same key."""
    keys = "/".join(sorted(member.key for member in members))
    key = sha256(f"digest/{channel}/{keys}".encode()).hexdigest()
    return Notice(key=key, channel=channel, what=What.DIGEST, alert=_worst(members), created_at=now)


def undelivered(through: str, lost: Sequence[Notice], why: str, now: float) -> Notice:
    """What another channel is told of one that could not be reached."""
    first, alert = lost[0], _worst(lost)
    named = f"{first.alert.episode}/{through}/undelivered/{first.key}/{first.created_at}"  # a retry by hand renews it
    return Notice(
        key=sha256(named.encode()).hexdigest(),
        channel=through,
        what=What.UNDELIVERED,
        alert=alert,
        created_at=now,
        detail=why,
        receipt={"channel": first.channel},
    )


def _worst(notices: Sequence[Notice]) -> Alert:
    worst = min(notices, key=lambda one: (not one.alert.open, -one.alert.severity.rank, one.alert.started_at))
    return worst.alert
