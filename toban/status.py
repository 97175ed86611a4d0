"""What state all of it is in, judged from what is known. Pure, and each verdict with its reason."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from toban.outcomes import Reason


class Health(StrEnum):
    """How a thing is, from fine to worst."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARNING = "warning"
    CRITICAL = "critical"


SEVERITY = {Health.OK: 0, Health.UNKNOWN: 1, Health.WARNING: 2, Health.CRITICAL: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One part of the whole and the sentence that says why it is so."""

    name: str
    state: Health
    reason: str = ""


NOT_OFFERED = frozenset({Reason.UNSUPPORTED, Reason.VERSION, Reason.HISTORY_SHORT})


@dataclass(frozen=True, slots=True, kw_only=True)
class PairStanding:
    """Where one collector at one target stands."""

    collector: str
    last_success_at: float | None
    reason: str = ""  # of the failure; empty when the last turn was good
    detail: str = ""
    hint: str = ""
    gaps: tuple[str, ...] = ()
    not_offered: tuple[str, ...] = ()
    """Those of the gaps that nobody need mend: this host or version has it not, or it only wants time."""

    @property
    def wanting(self) -> bool:
        """Whether something is missing that could be had."""
        return self.reason != "" and Reason(self.reason) not in NOT_OFFERED


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStanding:
    """Where one target stands. `up` is None until it was tried."""

    name: str
    kind: str
    up: bool | None
    reason: str = ""
    hint: str = ""
    last_success_at: float | None = None
    pairs: tuple[PairStanding, ...] = ()
    asked: bool = True
    """Whether any collector asks it: of one that none does it can be told neither that it is up nor that it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The whole, at one moment."""

    health: Health
    components: tuple[Component, ...]
    targets: tuple[TargetStanding, ...]
    taken_at: float


def judge_target(target: TargetStanding) -> Component:
    """A target that is down is critical; one whose collectors miss something is a warning; one untried is unknown."""
    if target.up is None and target.asked:
        return Component(name=target.name, state=Health.UNKNOWN, reason="not tried yet")
    if target.up is False:
        return Component(name=target.name, state=Health.CRITICAL, reason=target.reason)
    failing = [pair for pair in target.pairs if pair.wanting]
    if failing:
        said = "; ".join(f"{pair.collector}: {pair.detail or pair.reason}" for pair in failing)
        return Component(name=target.name, state=Health.WARNING, reason=said)
    too_old = next((pair.detail for pair in target.pairs if pair.reason == Reason.VERSION), None)
    if too_old is not None and target.last_success_at is None:  # nothing of it is measured at all
        return Component(name=target.name, state=Health.WARNING, reason=too_old)
    return Component(name=target.name, state=Health.OK)


def judge(targets: Iterable[TargetStanding], own: Iterable[Component], taken_at: float) -> Status:
    """The whole is as bad as its worst part."""
    standing = tuple(targets)
    components = (*own, *(judge_target(target) for target in standing))
    worst = max((c.state for c in components), key=SEVERITY.__getitem__, default=Health.UNKNOWN)
    return Status(health=worst, components=components, targets=standing, taken_at=taken_at)
