"""What a schedule has to remember besides the backups: since when each thing is known, and which moments were begun.

It lies among what is ours in the repository, one file a node. Where that cannot be written it is kept in memory: then a
restart knows less, which is no harm.
"""

import asyncio
import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
import structlog

from backup.repository.durable import make_folders, write_durably
from backup.repository.layout import DESCRIPTION, below
from toban.clock import Clock

MOST_BYTES: Final = 1024 * 1024
FOLDER: Final = "schedules"

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is remembered of one thing that is scheduled."""

    known_since: float
    moment: float = 0.0  # the last one that was begun
    times: int = 0  # how often that was
    done_at: float = 0.0  # when a run last came to an end that counts: proofs and drills have no folder to tell it by
    good_since: float = 0.0  # since when there is a good backup of it: those of then are let go in time


class Ledger:
    """The lines of one node."""

    def __init__(self, repository: Path, node: str, clock: Clock) -> None:
        self.of = (repository, node)
        self._path = below(repository, FOLDER, f"{quote(node, safe='') or 'node'}.json")
        self._clock = clock
        self._lines: dict[str, Line] = {}

    async def open(self, keys: Iterable[str]) -> None:
        """Take up what is written; what is new is known from now on, what is no longer there is forgotten."""
        written = await asyncio.to_thread(_read, self._path)
        now = self._clock.now()
        known = written | self._lines
        self._lines = {key: known.get(key, Line(known_since=now)) for key in keys}
        if self._lines != written:
            await self._write()

    def known_since(self, key: str) -> float:
        """Since when it is to be done."""
        line = self._lines.get(key)
        return self._clock.now() if line is None else min(line.known_since, self._clock.now())

    def attempts(self, key: str, moment: float) -> int:
        """How often a moment was begun that was not seen to end."""
        line = self._lines.get(key)
        return line.times if line is not None and line.moment == moment else 0

    def done_at(self, key: str) -> float | None:
        """When it last came to an end."""
        line = self._lines.get(key)
        return line.done_at or None if line is not None else None

    def good_since(self, key: str) -> float | None:
        """Since when there is a good backup of a job, as far as anybody has seen."""
        line = self._lines.get(key)
        return line.good_since or None if line is not None else None

    async def saw_good(self, finished: Mapping[str, float]) -> None:
        """When the oldest good backup of each of these jobs was finished; the earliest that was seen is remembered."""
        new = {
            key: replace(line, good_since=at)
            for key, at in finished.items()
            if (line := self._lines.get(key)) is not None and not 0.0 < line.good_since <= at
        }
        if new:
            self._lines |= new
            await self._write()

    async def begin(self, key: str, moment: float) -> None:
        """It is begun for a moment; written before, so that what kills us is known of afterwards."""
        line = self._lines.get(key) or Line(known_since=self._clock.now())
        self._lines[key] = replace(line, moment=moment, times=self.attempts(key, moment) + 1)
        await self._write()

    async def withdraw(self, key: str) -> None:
        """What was begun is not to count: it was ended by us, or was nobody's to do."""
        line = self._lines.get(key)
        if line is not None and line.times:
            self._lines[key] = replace(line, times=line.times - 1)
            await self._write()

    async def done(self, key: str) -> None:
        """It came to an end, whichever."""
        line = self._lines.get(key) or Line(known_since=self._clock.now())
        self._lines[key] = replace(line, done_at=self._clock.now())
        await self._write()

    async def _write(self) -> None:
        content = msgspec.json.encode(self._lines)
        try:
            await asyncio.to_thread(_written, self.of[0], self._path, content)
        except OSError as error:
            logger.warning("ledger_not_written", path=str(self._path), why=error.strerror or str(error))


def _read(path: Path) -> dict[str, Line]:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MOST_BYTES), type=dict[str, Line])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        logger.warning("ledger_not_read", path=str(path), why=str(error))
        return {}


def _written(repository: Path, path: Path, content: bytes) -> None:
    """Where its disk is not there, nothing is made in its place."""
    if not (repository / DESCRIPTION).is_file():
        raise FileNotFoundError(errno.ENOENT, "it is no repository; is its disk mounted?")
    make_folders(path.parent)
    write_durably(path, content)
