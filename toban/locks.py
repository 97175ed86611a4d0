"""Who blocks whom: sessions that wait for locks and those in their way, and the trees that they form. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LockSession:
    """A session, or a prepared transaction (whose pid is 0), that waits for a lock or is in the way of one who does.

    `key` tells it apart: its pid as text, or `prepared NAME`. What it waits for is empty where it does not wait.
    """

    key: str
    pid: int
    prepared: str
    blocked_by: tuple[str, ...]
    database: str
    user: str
    application: str
    state: str
    wait_event: str
    wait_seconds: float | None
    transaction_seconds: float | None
    lock_type: str
    lock_mode: str
    relation: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockNode:
    """One session at its place in the tree. `victims` are all who wait, directly or not, until it lets go.

    It hangs below `parent`, the last of those it waits for. `cycle` marks those who wait for each other in a ring:
    the one of them that has waited longest stands as the root.
    """

    session: LockSession
    parent: str
    depth: int
    roots: tuple[str, ...]
    victims: int
    cycle: bool

    @property
    def root(self) -> bool:
        """Whether a tree begins here."""
        return self.depth == 0


def lock_forest(sessions: Iterable[LockSession]) -> tuple[LockNode, ...]:
    """The trees in the order of drawing: each session once, behind its parent; the worst root and branch first."""
    known = {session.key: session for session in sessions}
    blockers = {key: frozenset(known[key].blocked_by) & (known.keys() - {key}) for key in known}
    depths, parents, ring = _placed(known, blockers)
    victims = _victims(depths, blockers)
    roots = _roots(depths, parents, blockers)
    nodes = [
        LockNode(
            session=known[key],
            parent=parents[key],
            depth=depth,
            roots=tuple(sorted(roots[key])),
            victims=victims[key].bit_count(),
            cycle=key in ring,
        )
        for key, depth in depths.items()
    ]
    return tuple(_drawn(nodes))


def _placed(
    known: Mapping[str, LockSession], blockers: Mapping[str, frozenset[str]]
) -> tuple[dict[str, int], dict[str, str], set[str]]:
    """Each one's depth and parent, blockers before those they block; and who waits in a ring."""
    depths: dict[str, int] = {}
    parents: dict[str, str] = {}
    ring: set[str] = set()
    waiting = dict(blockers)
    while waiting:
        free = [key for key, whom in waiting.items() if whom <= depths.keys()]
        if free:
            found = {key: max(waiting[key], key=lambda k: (depths[k], _urgency(known[k])), default="") for key in free}
        else:
            round_of = _ring(waiting, depths)
            ring |= round_of
            found = {max(round_of, key=lambda k: _urgency(known[k])): ""}
        for key, parent in found.items():
            depths[key], parents[key] = (depths[parent] + 1 if parent else 0), parent
            del waiting[key]
    return depths, parents, ring


def _ring(waiting: Mapping[str, frozenset[str]], placed: Mapping[str, int]) -> set[str]:
    """A ring among those that wait, when each of them waits for another of them."""
    path = [min(waiting)]
    while (following := min(waiting[path[-1]] - placed.keys())) not in path:
        path.append(following)
    return set(path[path.index(following) :])


def _urgency(session: LockSession) -> tuple[float, str]:
    return (session.wait_seconds or 0.0, session.key)


def _victims(depths: dict[str, int], blockers: Mapping[str, frozenset[str]]) -> dict[str, int]:
    """For each one the set of those that it holds up, a bit each; a ring needs more than one pass."""
    bit = {key: 1 << place for place, key in enumerate(depths)}
    found = dict.fromkeys(depths, 0)
    changed = True
    while changed:
        changed = False
        for key in reversed(depths):
            for blocker in blockers[key]:
                grown = (found[blocker] | found[key] | bit[key]) & ~bit[blocker]
                changed |= grown != found[blocker]
                found[blocker] = grown
    return found


def _roots(
    depths: Mapping[str, int], parents: Mapping[str, str], blockers: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    """For each one the roots that it waits for in the end; a root's is itself."""
    found: dict[str, frozenset[str]] = {}
    for key in depths:
        above = blockers[key] & found.keys() if parents[key] else frozenset()
        found[key] = frozenset().union(*(found[blocker] for blocker in above)) or frozenset({key})
    return found


def _drawn(nodes: list[LockNode]) -> list[LockNode]:
    """Depth first, without recursion: a queue may be hundreds deep."""
    below: dict[str, list[LockNode]] = {}
    for node in sorted(nodes, key=lambda n: (n.victims, _urgency(n.session))):
        below.setdefault(node.parent, []).append(node)
    drawn: list[LockNode] = []
    stack = below.pop("", [])
    while stack:
        drawn.append(stack.pop())
        stack += below.pop(drawn[-1].session.key, [])
    return drawn
