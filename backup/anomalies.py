"""What is far off the usual: size, duration or rows of a backup against the earlier ones of its job."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from toban.backups import BackupRecord, Manifest, Status
from toban.language import Language
from toban.units import count_text, seconds_text, size_text

FEWEST_EARLIER: Final = 3
MOST_EARLIER: Final = 14
SHRUNK: Final = 0.5  # half of the usual is gone
GROWN: Final = 3.0
SLOW: Final = 3.0
HARDLY_SECONDS: Final = 60.0  # below that nobody minds
HARDLY_BYTES: Final = 1024 * 1024
HARDLY_ROWS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One figure of a backup against what is usual. `why` says what is wrong with it; empty where it is as usual."""

    of: str
    ratio: float
    why: str = ""


def standings(record: BackupRecord, earlier: Iterable[BackupRecord]) -> tuple[Standing, ...]:
    """Every figure that can be compared: with the median of the last good ones of the same job and scope."""
    before = [
        one.manifest
        for one in sorted(earlier, key=lambda one: one.manifest.created_at, reverse=True)
        if _comparable(one, record)
    ][:MOST_EARLIER]
    if len(before) < FEWEST_EARLIER:
        return ()
    return tuple(
        found for figure in (_size, _duration, _rows) if (found := figure(record.manifest, before)) is not None
    )


def anomalies(record: BackupRecord, earlier: Iterable[BackupRecord]) -> tuple[Standing, ...]:
    """Those of them that are far off."""
    return tuple(found for found in standings(record, earlier) if found.why)


def _comparable(one: BackupRecord, record: BackupRecord) -> bool:
    ours, theirs = record.manifest, one.manifest
    return (
        one.status is Status.OK
        and theirs.id != ours.id
        and theirs.created_at < ours.created_at
        and (theirs.name, theirs.target, theirs.scope) == (ours.name, ours.target, ours.scope)
    )


def _size(manifest: Manifest, before: Sequence[Manifest]) -> Standing | None:
    value, usual, ratio = _held(manifest, before, lambda one: float(one.size_bytes))
    if ratio is None:
        return None
    why = ""
    if not SHRUNK <= ratio <= GROWN and max(value, usual) >= HARDLY_BYTES:
        why = f"takes {size_text(value)}, which is {_times(ratio)} the usual {size_text(usual)}"
    return Standing(of="size", ratio=ratio, why=why)


def _duration(manifest: Manifest, before: Sequence[Manifest]) -> Standing | None:
    value, usual, ratio = _held(manifest, before, lambda one: one.duration_seconds)
    if ratio is None:
        return None
    why = ""
    if ratio > SLOW and value > HARDLY_SECONDS:
        took, used_to = (seconds_text(seconds, Language.EN) for seconds in (value, usual))
        why = f"took {took}, which is {_times(ratio)} the usual {used_to}"
    return Standing(of="duration", ratio=ratio, why=why)


def _rows(manifest: Manifest, before: Sequence[Manifest]) -> Standing | None:
    counted = [one for one in before if one.rows]
    if not manifest.rows or len(counted) < FEWEST_EARLIER:
        return None
    value, usual, ratio = _held(manifest, counted, lambda one: float(sum(table.rows for table in one.rows)))
    if ratio is None:
        return None
    why = ""
    if ratio < SHRUNK and usual >= HARDLY_ROWS:
        why = f"holds {count_text(value)} rows, which is {_times(ratio)} the usual {count_text(usual)}"
    return Standing(of="rows", ratio=ratio, why=why)


def _held(
    manifest: Manifest, before: Sequence[Manifest], figure: Callable[[Manifest], float]
) -> tuple[float, float, float | None]:
    """The value, what is usual, and the one against the other; None where nothing is usual."""
    value, usual = figure(manifest), median(figure(one) for one in before)
    return value, usual, value / usual if usual > 0 else None


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times" if ratio >= 1 else f"{ratio:.0%} of"
