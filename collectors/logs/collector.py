"""Logs: lines by level, patterns, numbers and failed logins, each line counted exactly once.

A turn reads on in a thread, for a bounded time; what is left over is read in the next one. Positions and counts are
written before the counts are told, so that what was told once never goes back, not even after `kill -9`.
"""

import sqlite3
from collections.abc import Iterator
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
        gaps = []
        journal, self._journal = self._journal, None  # after an unexpected end, what was written last counts
        if journal is None:
            journal, trouble = self._recalled()
            gaps += trouble
        journal.read_on(now, lambda: not stopped.is_set() and self.clock.monotonic() < deadline)
        gaps += self._write(journal)
        self._journal = journal
        return self._findings(journal, now, [*gaps, *self._gaps(journal)])

    @property
    def _read_seconds(self) -> float:
        return min(READ_SECONDS, self.settings.timeout * SHARE_OF_TIMEOUT)

    def _recalled(self) -> tuple[Journal, list[Gap]]:
        """The journal as it was last written, or an empty one and why."""
        checkpoints = self.source.checkpoints
        journal = Journal(self.settings, self.title, checkpoints)
        try:
            journal.recall()
        except (sqlite3.Error, OSError, ValueError, KeyError, TypeError) as error:
            broken = not isinstance(error, sqlite3.OperationalError | OSError)
            aside = checkpoints.set_aside() if broken else None
            hint = (
                f"it was put aside as {aside}; the log is followed from its end" if aside else f"see {checkpoints.path}"
            )
            gap = Gap(what="positions", reason=Reason.CORRUPT, detail=_plain(error), hint=hint)
            return Journal(self.settings, self.title, checkpoints), [gap]
        return journal, []

    def _write(self, journal: Journal) -> Iterator[Gap]:
        try:
            journal.write()
        except (sqlite3.Error, OSError) as error:
            hint = f"let Toban's user write {self.source.checkpoints.path}; until then a crash would count lines again"
            yield Gap(what="positions", reason=Reason.PRIVILEGE, detail=_plain(error), hint=hint)

    def _gaps(self, journal: Journal) -> Iterator[Gap]:
        following = journal.following
        path = str(self.settings.path)
        for name, error in following.unreadable[:3]:
            yield self.source.gap(name, error)
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
