"""The WAL read through, once a day: what came since the last time, and all of it once a week.

What was found is kept in the repository, so that a restart forgets no damage. Where there is any, all of it is read
again the next day: it may have been mended, or have gone by its age.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import structlog

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.keeping.happenings import Happening, Hear, Kind
from backup.repository.durable import make_folders, write_durably
from backup.repository.layout import DESCRIPTION, below
from backup.wal.checking import read_through
from backup.wal.listing import look
from daemon.backups.streams import Kept
from toban.backups import Progress

DAY_SECONDS: Final = 86400.0
WEEK_SECONDS: Final = 7 * DAY_SECONDS
LONGEST_SECONDS: Final = 4 * 3600.0
FIRST_SECONDS: Final = 600.0
BACK: Final = 10  # it stands back behind everything else
MOST_BYTES: Final = 64 * 1024
FOLDER: Final = "wal"
MOST_SAID: Final = 3

logger = structlog.get_logger(__name__)


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one target."""

    at: float
    wholly_at: float
    through: str = ""  # the last segment that was there
    damaged: int | None = None  # None where it could not be told


class Readings:
    """Reads, one target at a time."""

    def __init__(self, root: Path, around: Surroundings, hear: Hear) -> None:
        self.root = root
        self.around = around
        self._hear = hear
        self._known: dict[str, Read | None] = {}

    @property
    def damaged(self) -> Mapping[str, int]:
        """How many segments of each target are damaged, as far as they were read."""
        return {
            target: read.damaged
            for target, read in self._known.items()
            if read is not None and read.damaged is not None
        }

    async def recall(self, kept: Mapping[str, Kept]) -> None:
        """What an earlier life found; it is told again at once."""
        for target in kept:
            if target not in self._known:
                self._known[target] = await asyncio.to_thread(_recalled, self._path(target))

    async def look(self, kept: Mapping[str, Kept]) -> None:
        """Read what is due: the first time a while after the start, which is busy enough."""
        if not await asyncio.to_thread((self.root / DESCRIPTION).is_file):  # its disk is gone: nothing is written there
            return
        await self.recall(kept)
        for target, one in kept.items():
            before, now = self._known[target], self.around.clock.now()
            if before is None:
                self._known[target] = Read(at=now - DAY_SECONDS + FIRST_SECONDS, wholly_at=0.0)
                continue
            if 0 <= now - before.at < DAY_SECONDS:
                continue
            try:
                async with asyncio.timeout(LONGEST_SECONDS):
                    read = await self._read(one, before, now)
            except TimeoutError:
                logger.warning("wal_not_read_through", target=target, why=f"not done in {LONGEST_SECONDS:.0f} s")
                read = msgspec.structs.replace(before, at=now)
            except BackupError as error:
                logger.warning("wal_not_read_through", target=target, why=error.reason)
                read = msgspec.structs.replace(before, at=now)
            self._known[target] = read
            await asyncio.to_thread(_keep, self._path(target), read)

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _read(self, kept: Kept, before: Read, now: float) -> Read:
        wholly = bool(before.damaged) or now - before.wholly_at >= WEEK_SECONDS
        newest = max((await asyncio.to_thread(look, kept.place)).segments, default="")
        begin = "" if wholly else before.through
        around = replace(self.around, children=self.around.children.standing_back(BACK))
        found = await read_through(kept.place, kept.manner, around, _unheard, from_segment=begin)
        damage = found.damage
        if kept.manner.seal and damage and not found.read:  # the key for it is not here, more likely than not
            found.unopened += damage
            damage = ()
        for why in found.unopened[:1]:
            logger.warning("wal_not_read_through", target=kept.job.target, why=why)
        if damage:
            more = f"; and {len(damage) - MOST_SAID} more" if len(damage) > MOST_SAID else ""
            said = "; ".join(damage[:MOST_SAID]) + more
            self._hear(Happening(kind=Kind.DAMAGED, target=kept.job.target, subject=kept.job.name, sentence=said))
        else:
            logger.info("wal_read_through", target=kept.job.target, segments=found.read, wholly=wholly)
        return Read(
            at=now,
            wholly_at=now if wholly else before.wholly_at,
            through=newest,
            damaged=len(damage) if damage or not found.unopened else None,
        )

    def _path(self, target: str) -> Path:
        return below(self.root, FOLDER, f"{target}.json")


def _recalled(path: Path) -> Read | None:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MOST_BYTES), type=Read)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _keep(path: Path, read: Read) -> None:
    try:
        make_folders(path.parent)
        write_durably(path, msgspec.json.encode(read))
    except OSError as error:
        logger.warning("wal_reading_not_kept", path=str(path), why=error.strerror or str(error))


def _unheard(_: Progress) -> None:
    """Nobody watches."""
