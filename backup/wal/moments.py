"""The map of moments that can be restored to: from which backup, on which timeline, and up to when the WAL leads.

A restore to a time ends at the first transaction after it, so that the last committed one is the newest moment that
can be asked for. Its time is read out of the newest WAL, and remembered.
"""

import asyncio
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.wal.chain import LATE_AFTER_SECONDS, File, Lead, Listing, Position, gaps, leads, ranges
from backup.wal.listing import look
from backup.wal.manner import Manner
from backup.wal.reading import last_commit, lay_out
from backup.wal.segments import PARTIAL, lsn_number
from toban.backups import BackupRecord, Method, Reachable, Status, WalStanding

LOOK_BACK: Final = 4  # segments without a single commit that are read before we give up and take when they came
REMEMBERED: Final = 256
QUIET_BYTES: Final = 8192  # what a server writes though nobody does anything: less than any work leaves behind
Found = tuple[float, str] | None  # a commit's time and its position


class Moments:
    """Knows how the WAL of one target stands. It remembers what it has read."""

    def __init__(self, target: str, place: Path, manner: Manner, around: Surroundings) -> None:
        self._target = target
        self._place = place
        self._manner = manner
        self._around = around
        self._seen: OrderedDict[tuple[str, int, float], Found] = OrderedDict()
        self._partly: dict[str, Found] = {}
        self._level_at: float | None = None  # when we last had all that the server had written

    async def standing(
        self,
        records: Iterable[BackupRecord],
        *,
        position: Position | None = None,
        late_after_seconds: float = LATE_AFTER_SECONDS,
        notes: Sequence[str] = (),
    ) -> WalStanding:
        """How it stands now. `position` is where the server stands, as far as it could be asked."""
        listing = await asyncio.to_thread(look, self._place)
        now = self._around.clock.now()
        said = [*notes, *_remarks(listing)]
        reachable = []
        try:
            for record in records:
                reachable += await self._reachable(listing, record)
        except BackupError as error:  # no pg_waldump, a damaged segment: the map is what is lacking, and not the WAL
            said.append(error.reason)
        missing = await asyncio.to_thread(
            gaps, listing, now=now, position=position, late_after_seconds=late_after_seconds
        )
        return WalStanding(
            target=self._target,
            ranges=await asyncio.to_thread(ranges, listing),
            gaps=missing,
            reachable=tuple(reachable),
            newest_at=listing.newest_at,
            lag_seconds=self._lag(listing, position, now),
            size_bytes=listing.size_bytes,
            notes=tuple(dict.fromkeys(said)),
        )

    async def reaches(self, listing: Listing, lead: Lead) -> float | None:
        """When the last transaction was committed that a way leads to; None where there is none."""
        if lead.partial is not None:
            found = await self._in_partial(lead.partial, listing.partials[lead.partial])
            if found is not None:
                return found[0]
        for segment in lead.segments[: -LOOK_BACK - 1 : -1]:
            found = await self._in_segment(segment, listing.segments[segment])
            if found is not None:
                return found[0]
        last = lead.segments[-1:]
        return listing.segments[last[0]].modified_at if len(lead.segments) > LOOK_BACK else None

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _reachable(self, listing: Listing, record: BackupRecord) -> list[Reachable]:
        """From one backup, on every timeline that descends from it."""
        told = record.manifest
        if told.method is not Method.BASE or record.status is not Status.OK or not (told.stop_lsn or told.start_lsn):
            return []
        stop = lsn_number(told.stop_lsn or told.start_lsn or "0/0")
        held_to = stop if told.stop_lsn else None
        found = []
        for lead in await asyncio.to_thread(leads, listing, told.timeline or 1, stop, held_to=held_to):
            reaches = await self.reaches(listing, lead)
            to_at = max(reaches if reaches is not None else told.finished_at, told.finished_at)
            if reaches is not None or lead.timeline == (told.timeline or 1):
                found.append(Reachable(timeline=lead.timeline, from_at=told.finished_at, to_at=to_at, backup=record.id))
        return found

    async def _in_segment(self, segment: str, file: File) -> Found:
        key = (file.name, file.size_bytes, file.modified_at)
        if key not in self._seen:
            self._seen[key] = await self._read(segment)
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        return self._seen[key]

    async def _in_partial(self, segment: str, file: File) -> Found:
        """What is still being received is read on from the last commit that was found in it."""
        key = (file.name, file.size_bytes, file.modified_at)
        if key not in self._seen:
            before = self._partly.get(segment)
            try:
                found = await self._read(segment + PARTIAL, start=before[1] if before is not None else None)
            except BackupError:  # nothing stands in it yet, or it has just been finished
                found = None
            self._partly = {segment: found or before}
            self._seen[key] = found or before
        return self._seen[key]

    async def _read(self, name: str, *, start: str | None = None) -> Found:
        with tempfile.TemporaryDirectory(dir=self._around.workspace, prefix="wal-") as folder:
            await lay_out([name], self._place, self._manner, Path(folder))
            return await last_commit(Path(folder) / name.removesuffix(PARTIAL), self._around, start=start)

    def _lag(self, listing: Listing, position: Position | None, now: float) -> float | None:
        """How much of the latest past would be lost if the server were gone now."""
        if position is not None and position.behind_seconds is not None:
            return position.behind_seconds
        if position is None:
            return None if listing.newest_at is None else max(0.0, now - listing.newest_at)
        numbers = listing.numbers(position.timeline)
        ends_at = (numbers[-1] + 1) * listing.segment_bytes if numbers else 0
        steady = self._around.clock.monotonic()  # the wall clock may be set while we watch
        if position.written_to <= ends_at + QUIET_BYTES:
            self._level_at = steady
        ages = [] if self._level_at is None else [steady - self._level_at]
        ages += [] if listing.newest_at is None else [max(0.0, now - listing.newest_at)]
        return min(ages, default=None)


def _remarks(listing: Listing) -> list[str]:
    """What else there is to say of a place."""
    found = []
    if listing.doubles:
        found.append(f"{len(listing.doubles)} segments are there under two names")
    orphans = [one for one in listing.timelines if one > 1 and one not in listing.histories]
    if orphans:
        named = ", ".join(str(one) for one in orphans)
        found.append(f"the history of timeline {named} is not there: nothing can be restored along it")
    return found
