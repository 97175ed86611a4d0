"""What people may ask of the desk. What cannot be done comes back as a `Failure` that says why."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Final

from alerting import lifecycle, quiet
from alerting.desk.hushing import Hushing
from alerting.desk.outgoing import Outgoing
from alerting.desk.roster import Roster
from alerting.episodes import LENGTH, beginning, matching, minted
from alerting.lifecycle import Change
from history.book.contract import Page
from toban.alerts import Alert, Silence, State
from toban.outcomes import Failure, Reason
from toban.printable import printable

MOST_SILENCES: Final = 1000
MOST_LETTERS: Final = 1000  # of a note or a reason
FOREVER_SECONDS: Final = 10 * 366 * 86400.0  # how long a recurring silence holds where nobody says
MARKS: Final = ("real", "false")


class Orders(ABC):
    """The part of the desk that listens to people."""

    _roster: Roster
    _hushing: Hushing
    _outgoing: Outgoing
    _random: Random

    def acknowledge(self, typed: str, *, who: str, note: str = "", for_seconds: float | None = None) -> Alert | Failure:
        """Somebody is at it: the ladder rests for the lease. `typed` is any beginning that fits one open alert."""
        now = self._now()
        alert = self._meant(typed)
        if isinstance(alert, Failure):
            return alert
        if alert.state is State.PENDING:
            return _refusal(f"{alert.episode} is only pending: nobody was told of it yet", "wait until it fires")
        change = lifecycle.acknowledged(alert, now=now, who=_clean(who), note=_clean(note), for_seconds=for_seconds)
        return self._settle(alert, change, now)

    def resolve(self, typed: str, *, who: str, note: str = "") -> Alert | Failure:
        """Somebody says that it is over. Where it is not, the next value opens another episode."""
        now = self._now()
        alert = self._meant(typed)
        if isinstance(alert, Failure):
            return alert
        reason = f"resolved by {_clean(who)}" + (f": {_clean(note)}" if note else "")
        return self._settle(alert, lifecycle.resolved(alert, now, reason, by=_clean(who)), now)

    def mark(self, typed: str, verdict: str, *, who: str) -> str | Failure:
        """Whether an alert was real or false, for the review; one that is over by its whole name."""
        if verdict not in MARKS:
            return _refusal(f"{verdict!r} is no mark", f"say {' or '.join(MARKS)}")
        found = matching(typed, self._roster.episodes)
        episode = found[0] if len(found) == 1 else beginning(typed)
        if len(episode) != LENGTH:
            return _unknown(typed, found)
        self._outgoing.add(Page(marks={episode: (verdict, _clean(who))}))
        return episode

    def silence(
        self,
        match: Iterable[tuple[str, str]],
        *,
        why: str,
        who: str,
        for_seconds: float,
        begins_at: float | None = None,
        ends_at: float | None = None,
        cron: str = "",
    ) -> Silence | Failure:
        """Keep quiet what matches: once, for so long; or for so long at each time of a cron line, until `ends_at`."""
        now = self._now()
        begins = now if begins_at is None else begins_at
        last = begins + (FOREVER_SECONDS if cron else for_seconds)
        silence = Silence(
            id=minted(self._random, taken=self._hushing.silences.__contains__),
            match=tuple((_clean(name), _clean(pattern)) for name, pattern in match),
            begins_at=begins,
            ends_at=last if ends_at is None else ends_at,
            cron=cron,
            for_seconds=for_seconds if cron else 0.0,
            why=_clean(why),
            who=_clean(who),
            created_at=now,
        )
        fault = self._fault(silence, for_seconds, now)
        if fault is not None:
            return fault
        self._quieten(silence, now)
        return silence

    def end_silence(self, typed: str, *, who: str) -> Silence | Failure:
        """End one before its time."""
        now = self._now()
        found = matching(typed, self._hushing.silences)
        if len(found) != 1:
            return _unknown(typed, found, what="silence")
        ended = replace(self._hushing.silences[found[0]], ended_by=_clean(who), ends_at=now)
        self._quieten(ended, now)
        return ended

    def silences(self) -> tuple[Silence, ...]:
        """All that have not ended."""
        self._hushing.refresh(self._now())
        return tuple(self._hushing.silences.values())

    def _quieten(self, silence: Silence, now: float) -> None:
        self._hushing.silences[silence.id] = silence
        self._hushing.changed()
        self._outgoing.add(Page(silences=(silence,)))
        self._look_at_all(now)

    def _fault(self, silence: Silence, for_seconds: float, now: float) -> Failure | None:
        if len(self._hushing.silences) >= MOST_SILENCES:
            return _refusal(f"there are {MOST_SILENCES} silences already", "end some")
        if silence.ends_at <= max(now, silence.begins_at) or for_seconds <= 0:
            return _refusal("the silence would be over before it begins", "give it a later end")
        fault = quiet.cron_fault(silence.cron) if silence.cron else ""
        return _refusal(f"{silence.cron!r} {fault}", "") if fault else None

    def _meant(self, typed: str) -> Alert | Failure:
        found = matching(typed, self._roster.episodes)
        alert = self._roster.called(found[0]) if len(found) == 1 else None
        return alert or _unknown(typed, found)

    @abstractmethod
    def _now(self) -> float: ...

    @abstractmethod
    def _settle(self, before: Alert | None, change: Change, now: float, *, rung: int = 0) -> Alert: ...

    @abstractmethod
    def _look_at_all(self, at: float) -> None: ...


def _clean(text: str) -> str:
    return printable(text.strip())[:MOST_LETTERS]


def _refusal(detail: str, hint: str) -> Failure:
    return Failure(reason=Reason.UNEXPECTED, detail=detail, hint=hint)


def _unknown(typed: str, found: list[str], *, what: str = "open alert") -> Failure:
    shown = printable(typed[:LENGTH])
    if found:
        several = f"{shown!r} begins {len(found)} names: {', '.join(sorted(found)[:5])}"
        return Failure(reason=Reason.NOT_FOUND, detail=several, hint="type more of it")
    return Failure(reason=Reason.NOT_FOUND, detail=f"no {what} begins with {shown!r}", hint="`toban alerts` lists them")
