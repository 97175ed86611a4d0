"""How long a restore will take at today's size, from those that were done: drills, and proofs.

A restore has a part that does not grow (starting a server, asking it) and one that does: where sizes differ enough, a
line is laid through them; else it is taken as growing with the size.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Final

from toban.backups import BackupRecord, DrillRecord, Method, RestoreProof, Verdict
from toban.language import Language
from toban.units import seconds_text, size_text

MOST_PACES: Final = 20  # the newest: machines and data change
APART: Final = 1.5  # sizes that differ by less than that tell no slope
RESTORING: Final = ("start", "restore", "recovery")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """One restore: so much came back in so long."""

    at: float
    size_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What it will take, and by what that is known."""

    seconds: float | None
    reason: str


def forecast(paces: Sequence[Pace], size_bytes: int | None) -> Forecast:
    """What a restore of so much will take; without any done before, nobody knows."""
    known = [pace for pace in paces if pace.size_bytes > 0 and pace.seconds > 0]
    newest = sorted(known, key=lambda pace: pace.at)[-MOST_PACES:]
    if not newest:
        return Forecast(seconds=None, reason="nothing like it has been restored yet")
    if not size_bytes:
        return Forecast(seconds=None, reason="nobody knows how much it is today")
    fixed, slope = _line(newest)
    seconds = fixed + slope * size_bytes
    rate = f"{size_text(1 / slope)}/s" if slope else "any size"
    told = f"{rate} and {seconds_text(fixed, Language.EN)} beside" if fixed else rate
    count = len(newest)
    reason = f"{size_text(size_bytes)} at {told}, by the last {'restore' if count == 1 else f'{count} restores'}"
    return Forecast(seconds=seconds, reason=reason)


def _line(paces: Sequence[Pace]) -> tuple[float, float]:
    """Seconds that every restore takes, and seconds for each byte: neither is below nothing.

    The medians bear with single ones that were disturbed.
    """
    slopes = [
        (two.seconds - one.seconds) / (two.size_bytes - one.size_bytes)
        for one, two in combinations(sorted(paces, key=lambda pace: pace.size_bytes), 2)
        if two.size_bytes >= one.size_bytes * APART
    ]
    slope = median(slopes) if slopes else 0.0
    fixed = median(pace.seconds - slope * pace.size_bytes for pace in paces) if slope > 0 else 0.0
    if slope <= 0 or fixed < 0:
        return 0.0, median(pace.seconds / pace.size_bytes for pace in paces)
    return fixed, slope


def paces_of(
    drills: Iterable[DrillRecord],
    records: Iterable[BackupRecord],
    *,
    target: str,
    method: Method,
) -> tuple[Pace, ...]:
    """The restores of this kind that came to an end: drills of the target, and proofs of its backups."""
    kept = [record for record in records if record.manifest.target == target and record.manifest.method is method]
    ids = {record.id for record in kept}
    found = [
        Pace(at=drill.at, size_bytes=drill.restored_bytes, seconds=drill.rto_seconds)
        for drill in drills
        if drill.target == target and drill.backup in ids and drill.rto_seconds is not None
    ]
    for record in kept:
        proof = record.marks.proof
        if proof is not None and proof.verdict is Verdict.PROVEN and record.manifest.source_bytes:
            seconds = restoring_seconds(proof)
            found.append(Pace(at=proof.proved_at, size_bytes=record.manifest.source_bytes, seconds=seconds))
    return tuple(found)


def restoring_seconds(proof: RestoreProof) -> float:
    """What of a proof was the restore itself."""
    if proof.rto_seconds is not None:
        return proof.rto_seconds
    return sum(proof.phases.get(phase, 0.0) for phase in RESTORING)
