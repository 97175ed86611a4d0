"""The two whom the surface asks to act: who judges and tells, and who keeps backups."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from daemon.asked_alerts import SilenceAsked
from daemon.http.links import Links
from toban.alerts import Alert, Delivery, Severity, Silence, What
from toban.backups import BackupRecord, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One message of a drill: which step of the ladder, which channel, and what became of it."""

    level: int
    after_seconds: float
    channel: str
    delivery: Delivery
    took_seconds: float
    what: What = What.FIRED


class Duty(Protocol):
    """What the surface asks of whoever is on duty. What is not there is a `NotFoundError`, all else a `UsageError`."""

    @property
    def book_path(self) -> Path:
        """Where the book lies."""
        ...

    @property
    def links(self) -> Links:
        """What acknowledge links are made and read with."""
        ...

    def active(self) -> Sequence[Alert]:
        """All that are not over."""
        ...

    async def acknowledge(self, episode: str, *, who: str, note: str, for_seconds: float | None) -> Alert:
        """Somebody is at it."""
        ...

    async def resolve(self, episode: str, *, who: str, note: str) -> Alert:
        """Somebody says that it is over."""
        ...

    async def silence(self, asked: SilenceAsked, *, who: str) -> Silence:
        """Tell nobody of what matches."""
        ...

    async def end_silence(self, silence: str, *, who: str) -> Silence:
        """Tell of it again."""
        ...

    async def mark(self, episode: str, verdict: str, *, who: str) -> None:
        """Whether it told of something real: `real` or `false`."""
        ...

    async def test(self, channel: str) -> Delivery:
        """Send one marked message through a channel, now."""
        ...

    def drill(self, severity: Severity) -> AsyncIterator[Rung]:
        """Send a marked alert through each rung of the ladder, one after the other."""
        ...

    async def retry(self, key: str | None) -> int:
        """Put a dead letter, or all of them, back into the outbox; how many there were."""
        ...

    def problems(self) -> Sequence[str]:
        """What of the alerting does not work at present."""
        ...


class Keeping(Protocol):
    """What the surface asks of whoever keeps backups in the running daemon."""

    def records(self) -> Sequence[BackupRecord]:
        """Every backup there is, newest first. It reads a disk: called in a thread."""
        ...

    def begin(
        self, job: str, *, tag: str | None, why: str, tell: Callable[[Progress], None]
    ) -> asyncio.Task[BackupRecord]:
        """Make one now. The work is the keeper's own, who ends it when the daemon stops, and not before.

        NotFoundError where no job is called so. `tell` is called from the loop.
        """
        ...
