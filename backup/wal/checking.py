"""The chain read through: every segment is whole, of this server and where its name says; every record in its place."""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.wal.chain import Listing, gaps, ranges
from backup.wal.fetching import Walk
from backup.wal.listing import look
from backup.wal.manner import Manner
from backup.wal.pushing import clear
from backup.wal.reading import lay_out, trouble_of, unreadable
from backup.wal.segments import Named, parse, segment_number, stored, variants
from toban.backups import Check, GapKind, Progress, Trouble, WalRange

TOGETHER_BYTES: Final = 128 * 1024**2  # of segments in the workspace at once, and the one that they end with
MOST_SAID: Final = 10
Tell = Callable[[Progress], None]


NO_DAMAGE: Final = frozenset(
    {Trouble.PROGRAM, Trouble.CONFIGURATION, Trouble.SPACE, Trouble.TIMEOUT, Trouble.REPOSITORY}
)
"""What keeps us from reading says nothing of what lies there."""


@dataclass(slots=True)
class Findings:
    """What was found, in sentences."""

    unreadable: list[str] = field(default_factory=list)
    unopened: list[str] = field(default_factory=list)  # why some could not be looked at
    broken: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # why records could not be looked at
    lost: list[str] = field(default_factory=list)
    doubles: list[str] = field(default_factory=list)
    read: int = 0

    @property
    def damage(self) -> tuple[str, ...]:
        """What is not as it was written; what is not there at all is another matter."""
        return (*self.unreadable, *self.broken, *self.doubles)

    def checks(self) -> tuple[Check, ...]:
        """All of it, to be shown."""
        return (
            _said("wal segments", self.unreadable, f"{self.read} read through", unknown=self.unopened),
            _said("wal records", self.broken, "every record is whole", unknown=self.unknown or self.unopened),
            _said("wal chain", self.lost, "no segment is missing in between"),
            _said("wal doubles", self.doubles, "no two of a name differ"),
        )


async def check(
    place: Path, manner: Manner, around: Surroundings, tell: Tell, *, from_segment: str = ""
) -> tuple[Check, ...]:
    """Read all of it, or of each timeline what begins with a segment; what was found."""
    return (await read_through(place, manner, around, tell, from_segment=from_segment)).checks()


async def read_through(
    place: Path, manner: Manner, around: Surroundings, tell: Tell, *, from_segment: str = ""
) -> Findings:
    """The same, as it is."""
    listing = await asyncio.to_thread(look, place)
    found = Findings()
    total = sum(file.size_bytes for file in listing.segments.values())
    done = 0
    for stretch in ranges(listing):
        for names in _windows(listing, stretch, from_segment):
            await _read(names, place, manner, around, found)
            done += sum(listing.segments[name].size_bytes for name in names[1:] or names)
            tell(Progress(phase="wal", done_bytes=min(done, total), total_bytes=total, what=names[-1]))
    found.doubles = await asyncio.to_thread(_differing, listing, place, manner)
    found.lost = [
        f"{gap.segments} from {gap.from_lsn} on timeline {gap.timeline}"
        for gap in gaps(listing, now=0.0)
        if gap.kind is GapKind.LOST
    ]
    return found


async def _read(names: Sequence[str], place: Path, manner: Manner, around: Surroundings, found: Findings) -> None:
    """Some segments in a row: each by itself first, then their records over the seams."""
    with tempfile.TemporaryDirectory(dir=around.workspace, prefix="wal-") as folder:
        readable: list[str] = []
        for name in names:
            try:
                await lay_out([name], place, manner, Path(folder))
                await asyncio.to_thread(_walk, Path(folder) / name, place, name)
                readable.append(name)
            except BackupError as error:
                if error.trouble is Trouble.MISSING and await asyncio.to_thread(stored, place, name) is None:
                    continue  # retention has let it go meanwhile
                reasons = found.unopened if error.trouble in NO_DAMAGE else found.unreadable
                if error.reason not in reasons:
                    reasons.append(error.reason)
        found.read += len(readable)
        if len(readable) == len(names):
            await _records(Path(folder), names, around, found)


async def _records(folder: Path, names: Sequence[str], around: Surroundings, found: Findings) -> None:
    try:
        trouble = await trouble_of(folder, names[0], names[-1], around)
    except BackupError as error:
        if error.trouble is not Trouble.PROGRAM:
            raise
        found.unknown.append(error.reason)
        return
    if trouble:
        found.broken.append(f"{names[0]} to {names[-1]}: {trouble}")


def _walk(path: Path, place: Path, name: str) -> None:
    """Look at the header and at each page of a segment that lies there in the clear."""
    named = parse(name)
    assert named is not None  # noqa: S101 - names come from a listing
    walk = Walk(named, str(place))
    try:
        with path.open("rb") as file:
            while piece := file.read(1024 * 1024):
                walk.take(piece)
    except OSError as error:
        raise unreadable(error, place / name) from error
    walk.done()


def _windows(listing: Listing, stretch: WalRange, from_segment: str) -> list[list[str]]:
    """A stretch in pieces that share their ends, so that no seam goes unread."""
    first = segment_number(stretch.first_segment, listing.segment_bytes)
    last = segment_number(stretch.last_segment, listing.segment_bytes)
    if from_segment:
        first = max(first, segment_number(from_segment, listing.segment_bytes))
    names = [listing.name(stretch.timeline, number) for number in range(first, last + 1)]
    together = max(1, TOGETHER_BYTES // listing.segment_bytes)
    return [names[at : at + together + 1] for at in range(0, max(len(names) - 1, min(len(names), 1)), together)]


def _differing(listing: Listing, place: Path, manner: Manner) -> list[str]:
    """Segments that are there under several names and are not the same."""
    found = []
    for segment in listing.doubles:
        there = [named for name in variants(segment) if (place / name).exists() and (named := parse(name)) is not None]
        if len({_fingerprint(named, place, manner) for named in there}) > 1:
            found.append(" and ".join(named.name for named in there))
    return found


def _fingerprint(named: Named, place: Path, manner: Manner) -> str:
    digest = sha256()
    try:
        for piece in clear(named, str(place), manner):
            digest.update(piece)
    except BackupError as error:
        return error.reason
    return digest.hexdigest()


def _said(name: str, troubles: list[str], well: str, *, unknown: Sequence[str] = ()) -> Check:
    if troubles:
        more = f" and {len(troubles) - MOST_SAID} more" if len(troubles) > MOST_SAID else ""
        return Check(name=name, ok=False, detail="; ".join(troubles[:MOST_SAID]) + more)
    if unknown:
        return Check(name=name, ok=None, detail=unknown[0])
    return Check(name=name, ok=True, detail=well)
