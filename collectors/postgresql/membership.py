"""Which statements get series of their own: the cardinality budget, decided purely.

A statement that once had series keeps them while it is used, so that labels do not churn. At most twice `top` are
members; then a newcomer takes the place of one that lies idle, or of one that it clearly outweighs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from heapq import nlargest
from itertools import chain

from collectors.postgresql.differencing import Statement, Use

IDLE_SECONDS = 3600.0  # unused for that long, a member leaves
FADE = 0.9  # how much of its weight a member keeps from one turn to the next
OUTWEIGHS = 2.0
_RANKINGS: tuple[Callable[[Use], float], ...] = (
    lambda use: use.seconds,
    lambda use: use.calls,
    lambda use: use.mean_seconds,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """When a member was last used, and how much time it takes lately."""

    used_at: float
    weight: float


def leaders(uses: Mapping[Statement, Use], top: int) -> list[Statement]:
    """At most `top` statements: the first by time, by calls and by mean time, then the second of each, and so on."""

    def first(by: Callable[[Use], float]) -> list[Statement]:
        return nlargest(top, uses, key=lambda statement: by(uses[statement]))

    ranked = [first(by) for by in _RANKINGS]
    return list(dict.fromkeys(chain.from_iterable(zip(*ranked, strict=True))))[:top]


def revised(
    members: Mapping[Statement, Standing], uses: Mapping[Statement, Use], *, top: int, at: float
) -> dict[Statement, Standing]:
    """The members after a turn in which `uses` was used."""
    kept = {
        statement: _used(standing, uses.get(statement), at)
        for statement, standing in members.items()
        if statement in uses or at - standing.used_at < IDLE_SECONDS
    }
    for newcomer in leaders(uses, top):
        if newcomer not in kept and _has_room(kept, uses[newcomer].seconds, top=top, at=at):
            kept[newcomer] = Standing(used_at=at, weight=uses[newcomer].seconds)
    return kept


def _used(standing: Standing, use: Use | None, at: float) -> Standing:
    if use is None:
        return Standing(used_at=standing.used_at, weight=standing.weight * FADE)
    return Standing(used_at=at, weight=standing.weight * FADE + use.seconds)


def _has_room(members: dict[Statement, Standing], weight: float, *, top: int, at: float) -> bool:
    """Whether a newcomer of this weight may come in; the member that has to go for it is gone then."""
    if len(members) < 2 * top:
        return True
    weakest = min(members, key=lambda s: (members[s].used_at, members[s].weight))
    standing = members[weakest]
    if standing.used_at == at and weight < OUTWEIGHS * standing.weight:
        return False
    del members[weakest]
    return True
