"""Logs: lines by level, patterns, numbers and failed logins, each line counted exactly once.

A turn reads on in a thread, for a bounded time; what is left over is read in the next one. Positions and counts are
written before the counts are told, so that what was told once never goes back, not even after `kill -9`.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from threading import Event

from collectors.contract import Collector, Kind
from collectors.host.machine import HostMachine
from collectors.logs.following import FILES_MAX
from collectors.logs.journal import Journal
from collectors.logs.matching import compiled
from collectors.logs.metrics import (
    BEHIND,
    FILES,
    METRICS,
    PREFIX,
    add_counts,
    add_labelled,
    add_logins,
    add_spread,
    worst,
)
from collectors.logs.settings import LogsSettings
from collectors.logs.tally import Bucket
from toban.clock import Clock
from toban.logins import LoginFailures
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings

READ_SECONDS = 10.0  # at most in one turn: other logs wait for theirs
SHARE_OF_TIMEOUT = 0.5
UNREADABLE_TOLD = 3  # by name; the others by their number


class Logs(Collector[HostMachine, LogsSettings]):
    """One entry under `logs`."""

    name = "logs"
    purpose = "What programs say before they fail: errors by level, what a pattern finds, who tries passwords."
    kind = Kind.HOST
    listed = True
    lane = "logs"
    metrics = METRICS
    prefixes = (PREFIX,)
    settings_model = LogsSettings

    def __init__(self, source: HostMachine, settings: LogsSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._journal: Journal | None = None
        self._labels = {
            pattern.name: names
            for pattern in settings.patterns
            if (names := pattern.labels or _groups(pattern.match, settings.value))
        }

    async def collect(self) -> Findings:
        """Read on, in a thread. Whoever cancels this stops the thread behind the block it is at."""
        stopped = Event()
        try:
            return await self.source.blocking.run(
                self.title, lambda: self._turn(stopped), timeout_seconds=self.settings.timeout
            )
        finally:
            stopped.set()

    def _turn(self, stopped: Event) -> Findings:
        now, deadline = self.clock.now(), self.clock.monotonic() + self._read_seconds
        gaps = list[Gap]()
        journal, self._journal = self._journal, None  # after an unexpected end, what was written last counts
        if journal is None:
            journal, gaps = self._recalled()
        if journal is None:
            return Findings(samples=(), gaps=tuple(gaps))
        journal.read_on(now, lambda: not stopped.is_set() and self.clock.monotonic() < deadline)
        gaps += self._write(journal)
        self._journal = journal
        return self._findings(journal, now, [*gaps, *self._gaps(journal)])

    @property
    def _read_seconds(self) -> float:
        return min(READ_SECONDS, self.settings.timeout * SHARE_OF_TIMEOUT)

    def _recalled(self) -> tuple[Journal | None, list[Gap]]:
        """The journal as it was last written; an empty one when that is broken; none while it cannot be read.

        To go on without it would be to write an empty one over it.
        """
        checkpoints = self.source.checkpoints
        journal = Journal(self.settings, self.title, checkpoints)
        try:
            journal.recall()
        except (sqlite3.OperationalError, OSError) as error:
            reason = Reason.LOCKED if "locked" in str(error) else Reason.PRIVILEGE
            hint = f"let Toban's user read {checkpoints.path}; until then nothing is counted, and nothing lost"
            return None, [Gap(what="positions", reason=reason, detail=_plain(error), hint=hint)]
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            hint = f"{self._put_aside(error)}; the log is followed from its end"
            gap = Gap(what="positions", reason=Reason.CORRUPT, detail=_plain(error), hint=hint)
            return Journal(self.settings, self.title, checkpoints), [gap]
        return journal, []

    def _put_aside(self, error: Exception) -> str:
        """Out of the way with what is broken: the file, or in a sound file what was kept of this log."""
        checkpoints = self.source.checkpoints
        try:
            if isinstance(error, sqlite3.Error):
                return f"it was put aside as {checkpoints.set_aside()}"
            checkpoints.forget(self.title)
        except (sqlite3.Error, OSError) as trouble:
            return f"it stays where it is, {checkpoints.path}: {_plain(trouble)}"
        return f"what {checkpoints.path} had of this log was dropped"

    def _write(self, journal: Journal) -> Iterator[Gap]:
        try:
            journal.write()
        except (sqlite3.Error, OSError) as error:
            path = self.source.checkpoints.path
            hint = f"Toban's user must be able to write {path}, with room on its disk; else a crash counts lines again"
            yield Gap(what="positions", reason=Reason.PRIVILEGE, detail=_plain(error), hint=hint)

    def _gaps(self, journal: Journal) -> Iterator[Gap]:
        following = journal.following
        path = str(self.settings.path)
        for name, error in following.unreadable[:UNREADABLE_TOLD]:
            yield self.source.gap(name, error)
        for _, error in following.unreadable[UNREADABLE_TOLD : UNREADABLE_TOLD + 1]:
            gap = self.source.gap(f"other files of {path}", error)
            yield replace(gap, count=len(following.unreadable) - UNREADABLE_TOLD)
        if not following.matched and not following.unreadable:
            yield Gap(
                what=path,
                reason=Reason.NOT_FOUND,
                detail="no file is called so, or its folder cannot be looked into",
                hint="look at `path` of the entry, and at the rights of the folder",
            )
        if following.left_out:
            detail = f"only the {FILES_MAX} written last are followed"
            yield Gap(
                what=path, reason=Reason.UNSUPPORTED, count=following.left_out, detail=detail, hint="narrow `path`"
            )

    def _findings(self, journal: Journal, now: float, gaps: list[Gap]) -> Findings:
        settings, tally, following = self.settings, journal.tally, journal.following
        batch = Batch(now)
        day = tally.day()
        batch.add(FILES, following.matched, settings.name)
        batch.add(BEHIND, sum(position.behind_bytes for position in following.positions), settings.name)
        add_counts(batch, settings, tally, day)
        add_labelled(batch, settings, tally, self._labels)
        add_spread(batch, settings, tally)
        rows: tuple[LoginFailures, ...] = ()
        if settings.logins or settings.format in {"combined", "postgresql"}:
            top = settings.logins.top if settings.logins else 10
            over = tally.attempts.over(now)
            add_logins(batch, settings.name, day, over, top)
            rows = tuple(self._rows(journal, day, over, top))
        return Findings(samples=batch.samples, gaps=tuple(gaps), rows=rows)

    def _rows(self, journal: Journal, day: Bucket, over: set[str], top: int) -> Iterator[LoginFailures]:
        callers = journal.tally.attempts.callers
        for address, count in worst(day, over, top):
            if address in callers:
                yield LoginFailures(
                    log=self.settings.name,
                    address=address,
                    failures=count,
                    over=address in over,
                    first_at=callers[address].first_at,
                    last_at=callers[address].last_at,
                )


def _groups(match: object, value: str | None) -> tuple[str, ...]:
    """The named groups of an expression, in their order, without the one that is the value."""
    if not isinstance(match, str):
        return ()
    return tuple(name for name in compiled(match).groupindex if name != value)


def _plain(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
