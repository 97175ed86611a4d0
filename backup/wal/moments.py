"""The map of moments that can be restored to: from which backup, on which timeline, and up to when the WAL leads.

A restore to a time ends at the first transaction after it, so that the last committed one is the newest moment that
can be asked for. Its time is read out of the newest WAL, and remembered. What cannot be read is never promised.
"""

import asyncio
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.wal.chain import LATE_AFTER_SECONDS, File, Lead, Listing, Position, gaps, leads, ranges
from backup.wal.listing import look
from backup.wal.manner import Manner
from backup.wal.reading import last_commit, lay_out
from backup.wal.segments import PARTIAL, lsn_number
from toban.backups import BackupRecord, Method, Reachable, Status, Trouble, WalStanding

LOOK_BACK: Final = 16  # segments without a single commit that are read one by one; then the steps grow
MOST_READ: Final = 512  # by whoever is about to go there
UNREADABLE: Final = frozenset({Trouble.PROGRAM, Trouble.CONFIGURATION, Trouble.SPACE, Trouble.TIMEOUT})  # any, not one
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
        bases = [record for record in records if _leads_on(record)]
        reachable, whole = [], True
        for record in bases:
            try:
                reachable += await self._reachable(listing, record, bases, said)
            except BackupError as error:  # no pg_waldump, no key: the map is what is lacking, and not the WAL
                reachable += [_its_end(record)]
                said.append(error.reason)
                whole = False
        missing = await asyncio.to_thread(
            gaps, listing, now=now, position=position, late_after_seconds=late_after_seconds
        )
        return WalStanding(
            target=self._target,
            ranges=await asyncio.to_thread(ranges, listing),
            gaps=missing,
            reachable=tuple(reachable),
            map_whole=whole,
            newest_at=listing.newest_at,
            lag_seconds=self._lag(listing, position, now),
            size_bytes=listing.size_bytes,
            notes=tuple(dict.fromkeys(said)),
        )

    async def reaches(self, listing: Listing, lead: Lead) -> float | None:
        """When the last transaction was committed that a way leads to; None where none is found, however far back."""
        found = await self._in_partial(listing, lead)
        for segment in lead.segments[: -MOST_READ - 1 : -1]:
            if found is not None:
                break
            found = await self._in_segment(segment, listing.segments[segment])
        return found[0] if found is not None else None

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _reaches_at_least(self, listing: Listing, lead: Lead, said: list[str]) -> float | None:
        """The same, found in few steps: in a long load without any commit they grow, and then it is read more closely.

        What is found may not be the very last, but it is there. Damaged segments are passed over, and `said`.
        """
        found = await self._in_partial(listing, lead)
        if found is not None:
            return found[0]
        without, step = 0, 1  # segments from the end: so far there is none
        while without < len(lead.segments):
            back = min(without + step, len(lead.segments))
            found = await self._looked_into(listing, lead.segments[-back], said)
            if found is not None:
                return await self._nearer(listing, lead, (without, back), found[0], said)
            without = back
            step = 1 if without < LOOK_BACK else without
        return None

    async def _nearer(
        self, listing: Listing, lead: Lead, between: tuple[int, int], at: float, said: list[str]
    ) -> float:
        """The newest commit that is found between one segment without any and one with one."""
        without, back = between
        while back - without > 1:
            middle = (without + back) // 2
            found = await self._looked_into(listing, lead.segments[-middle], said)
            if found is None:
                without = middle
            else:
                back, at = middle, found[0]
        return at

    async def _reachable(
        self, listing: Listing, record: BackupRecord, bases: Sequence[BackupRecord], said: list[str]
    ) -> list[Reachable]:
        """From one backup, on every timeline that descends from it; its own end at least."""
        told, own = record.manifest, _its_end(record)
        if None not in (theirs := (listing.system_identifier, told.system_identifier)) and len(set(theirs)) > 1:
            said.append(f"{record.id} is of another server, or of before an upgrade: none of the WAL leads on from it")
            return [own]
        held_to = _stop(record) if told.stop_lsn and not told.detail.get("from_standby") else None
        found = {own.timeline: own}
        for lead in await asyncio.to_thread(leads, listing, own.timeline, _stop(record), held_to=held_to):
            reaches = await self._reaches_at_least(listing, lead, said)
            if reaches is None and lead.timeline != own.timeline:
                continue
            to_at = max(own.to_at, reaches or 0.0)
            passed = [_its_end(one) for one in bases if _stop(one) <= lead.ends_at]
            ends = [one.to_at for one in passed if one.timeline == lead.timeline]
            found[lead.timeline] = replace(own, timeline=lead.timeline, to_at=to_at, unbroken_to=max(to_at, *ends, 0.0))
        return sorted(found.values(), key=lambda one: one.timeline, reverse=True)

    async def _looked_into(self, listing: Listing, segment: str, said: list[str]) -> Found:
        try:
            return await self._in_segment(segment, listing.segments[segment])
        except BackupError as error:
            if error.trouble in UNREADABLE:
                raise
            said.append(error.reason)
            return None

    async def _in_segment(self, segment: str, file: File) -> Found:
        key = (file.name, file.size_bytes, file.modified_at)
        if key not in self._seen:
            self._remember(key, await self._read(segment))
        return self._seen[key]

    async def _in_partial(self, listing: Listing, lead: Lead) -> Found:
        """What is still being received is read on from the last commit that was found in it."""
        if lead.partial is None:
            return None
        segment, file = lead.partial, listing.partials[lead.partial]
        key = (file.name, file.size_bytes, file.modified_at)
        if key not in self._seen:
            before = self._partly.get(segment)
            try:
                found = await self._read(segment + PARTIAL, start=before[1] if before is not None else None)
            except BackupError:  # nothing stands in it yet, or it has just been finished
                found = None
            self._partly = {segment: found or before}
            self._remember(key, found or before)
        return self._seen[key]

    def _remember(self, key: tuple[str, int, float], found: Found) -> None:
        self._seen[key] = found
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

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


def _leads_on(record: BackupRecord) -> bool:
    """Whether it is a base backup that WAL can lead on from."""
    told = record.manifest
    return told.method is Method.BASE and record.status is Status.OK and bool(told.stop_lsn or told.start_lsn)


def _stop(record: BackupRecord) -> int:
    return lsn_number(record.manifest.stop_lsn or record.manifest.start_lsn or "0/0")


def _its_end(record: BackupRecord) -> Reachable:
    """The one moment that a backup brings by itself."""
    told = record.manifest
    return Reachable(timeline=told.timeline or 1, from_at=told.finished_at, to_at=told.finished_at, backup=record.id)


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
