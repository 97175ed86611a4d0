"""How long a restore will take: as the way back says, else by the drills and proofs that there were."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from backup.forecast import RESTORING, forecast, paces_of
from backup.restore.restoring import Seen
from toban.backups import BackupRecord, DrillRecord, Verdict


class Past(Protocol):
    """What is asked of a repository."""

    def records(self, *, target: str | None = None) -> tuple[BackupRecord, ...]:
        """Newest first."""
        ...

    def drills(self, target: str | None = None) -> tuple[DrillRecord, ...]:
        """Newest first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """None where nobody has ever done it; `phases` are the newest such restore's, brought to this length."""

    seconds: float | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""


def foretold(past: Past, seen: Seen) -> Foretold:
    """The way back's own word comes first; the phases are those of the newest proof of the kind."""
    told = seen.record.manifest
    records = past.records(target=told.target)
    paces = paces_of(past.drills(told.target), records, target=told.target, method=told.method)
    found = forecast(paces, told.source_bytes)
    own = seen.preflight.forecast_seconds if seen.preflight is not None else None
    seconds = own if own is not None else found.seconds
    phases = _phases([one for one in records if one.manifest.method is told.method])
    length = sum(phases.values())
    if seconds is None or not length:
        return Foretold(seconds=seconds, reason=found.reason)
    scaled = {name: spent * seconds / length for name, spent in phases.items()}
    return Foretold(seconds=seconds, phases=scaled, reason=found.reason)


def _phases(records: list[BackupRecord]) -> dict[str, float]:
    """What the newest proof that came to its end spent on restoring."""
    proofs = [one.marks.proof for one in records if one.marks.proof is not None]
    proven = [proof for proof in proofs if proof.verdict is Verdict.PROVEN]
    newest = max(proven, key=lambda proof: proof.proved_at, default=None)
    return {} if newest is None else {name: newest.phases[name] for name in RESTORING if name in newest.phases}
