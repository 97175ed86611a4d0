"""Whether an SQLite file is sound: quick_check at a slow cadence, which no writer ever feels."""

import sqlite3
from dataclasses import dataclass
from typing import ClassVar

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.sqlite.file import SqliteFile
from collectors.sqlite.looking import MEND, Look, UnusableError, explain
from collectors.sqlite.stamp import PARAMETERS, stamp_of
from collectors.sqlite.survey import NOT_SHARED, Access, rows_of
from toban.config import Duration
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Unit

ATTEMPTS = 3
SHOWN_CHARACTERS = 300
DEADLINE_SHARE = 0.95  # of the timeout: so that there is time left to say so

QUICK_CHECK_OK = Metric(name="toban_sqlite_quick_check_ok", help="1 when the last quick_check found no error, else 0.")
QUICK_CHECK_DURATION = Metric(
    name="toban_sqlite_quick_check_duration_seconds", help="How long the last quick_check took.", unit=Unit.SECONDS
)


class SqliteCheckSettings(CollectorSettings):
    """Cadence of the check, and how long it may take."""

    every: Duration = 6 * 3600.0
    timeout: Duration = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the check says, or that the file was written to each time."""

    errors: tuple[str, ...] = ()
    settled: bool = True


class SqliteCheckCollector(Collector[SqliteFile, SqliteCheckSettings]):
    """quick_check in a thread, interrupted at its deadline."""

    name = "sqlite_check"
    purpose = "Whether the file is sound, before somebody needs it."
    kind = Kind.SQLITE
    lane = "check"
    metrics: ClassVar = (QUICK_CHECK_OK, QUICK_CHECK_DURATION)
    settings_model = SqliteCheckSettings

    async def collect(self) -> Findings:
        """Check once."""
        started = self.clock.monotonic()
        try:
            verdict = await self.source.look(self.name, check, timeout_seconds=self.settings.timeout * DEADLINE_SHARE)
        except TimeoutError:
            return Findings(samples=(), gaps=(_OVERRUN,))
        if not verdict.settled:
            return Findings(samples=(), gaps=(_WRITTEN,))
        batch = Batch(self.clock.now())
        batch.add(QUICK_CHECK_OK, not verdict.errors)
        batch.add(QUICK_CHECK_DURATION, self.clock.monotonic() - started)
        return Findings(samples=batch.samples, gaps=_damage(verdict))


_OVERRUN = Gap(
    what="quick_check",
    reason=Reason.TIMEOUT,
    detail="it was not through at its time limit",
    hint="raise `timeout` of `collect: sqlite_check`",
)
_WRITTEN = Gap(
    what="quick_check",
    reason=Reason.LOCKED,
    detail="the file was written to during every attempt",
    hint="in WAL mode (PRAGMA journal_mode=wal) readers and writers do not meet",
)


def _damage(verdict: Verdict) -> tuple[Gap, ...]:
    if not verdict.errors:
        return ()
    detail = "; ".join(verdict.errors)[:SHOWN_CHARACTERS]
    return (
        Gap(
            what="quick_check",
            reason=Reason.CORRUPT,
            count=len(verdict.errors),
            detail=detail,
            hint=MEND,
        ),
    )


def check(look: Look) -> Verdict:
    """Check under no lock that a writer could meet; where that means no lock at all, only while nobody writes."""
    for _ in range(ATTEMPTS):
        before = stamp_of(look)
        if before.access is Access.ALONE:
            raise UnusableError(NOT_SHARED)
        if before.access is Access.SHARED:
            return Verdict(errors=errors_of(look, before.access))
        if before.write_locked:
            continue
        try:
            errors = errors_of(look, before.access)
        except sqlite3.OperationalError:
            if stamp_of(look) == before:
                raise
            continue
        if stamp_of(look) == before:
            return Verdict(errors=errors)
    return Verdict(settled=False)


def errors_of(look: Look, access: Access) -> tuple[str, ...]:
    """What quick_check has to say. Damage may also keep it from saying anything."""
    with look.connection(PARAMETERS[access]) as connection:
        try:
            lines = [str(row[0]) for row in rows_of(connection, "quick_check")]
        except sqlite3.DatabaseError as error:
            if explain(error).reason is not Reason.CORRUPT:
                raise
            return (str(error),)
    return () if lines == ["ok"] else tuple(" ".join(line.split()) for line in lines)
