"""Out of what the daemon holds in memory: the evidence for one target, chosen and bounded. It asks nobody anything."""

import math
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from alerting.evidence.record import Costly, Evidence, Figure, Happening, Locked, Running, written
from alerting.lines import one_line
from toban.clock import Clock
from toban.events import Event
from toban.locks import LockNode, LockSession, lock_forest
from toban.samples import Sample
from toban.statements import RunningQuery, StatementText, StatementUse, blot_literals

RowT = TypeVar("RowT")
MOST_LOCKS = 20
MOST_SESSIONS_WEIGHED = 500  # a forest of thousands would hold up the loop
MOST_RUNNING = 10
MOST_STATEMENTS = 5
MOST_PER_FIGURE = 3
MOST_HAPPENINGS = 10
MOST_NAME_LETTERS = 64
MOST_QUERY_LETTERS = 200
MOST_READ_LETTERS = 1000
RECENT_SECONDS = 86400.0
HELD_SECONDS = 1.0
MOST_TARGETS = 200
FIGURES = (
    "toban_host_cpu_ratio",
    "toban_host_memory_used_ratio",
    "toban_host_swap_used_ratio",
    "toban_host_load1",
    "toban_host_disk_used_ratio",
    "toban_host_disk_busy_ratio",
)


class Scene(Protocol):
    """What is known of a target now, and of its host; all of it out of memory."""

    def rows(self, target: str, kind: type[RowT]) -> Iterable[RowT]:
        """The typed rows of one kind: RunningQuery, LockSession, StatementUse, StatementText."""
        ...

    def host(self, target: str) -> Iterable[Sample]:
        """The values of the host that the target runs on."""
        ...

    def events(self, target: str, since: float) -> Iterable[Event]:
        """What has happened at the target."""
        ...


class Witness:
    """Gathers the evidence of a target at most once a second: a storm of alerts shares it."""

    def __init__(self, scene: Scene, clock: Clock) -> None:
        self._scene = scene
        self._clock = clock
        self._held: dict[str, tuple[float, str]] = {}

    def document(self, target: str) -> str:
        """The evidence as JSON."""
        now = self._clock.monotonic()
        held = self._held.get(target)
        if held is None or now - held[0] >= HELD_SECONDS:
            if len(self._held) >= MOST_TARGETS:
                self._held.clear()
            held = (now, written(gather(self._scene, target, self._clock.now())))
            self._held[target] = held
        return held[1]


def gather(scene: Scene, target: str, now: float) -> Evidence:
    """The evidence: the root blockers and the longest, the costliest and the fullest, the latest first."""
    left_out: dict[str, int] = {}

    def most(section: str, rows: list[RowT], count: int) -> tuple[RowT, ...]:
        if len(rows) > count:
            left_out[section] = len(rows) - count
        return tuple(rows[:count])

    locks = _forest(list(scene.rows(target, LockSession)), left_out)
    running = sorted(scene.rows(target, RunningQuery), key=_age, reverse=True)
    texts = {row.queryid: row.text for row in scene.rows(target, StatementText)}
    statements = sorted(scene.rows(target, StatementUse), key=lambda use: use.seconds, reverse=True)
    events = sorted(scene.events(target, now - RECENT_SECONDS), key=lambda event: event.at, reverse=True)
    return Evidence(
        target=_name(target),
        at=now,
        locks=tuple(map(_locked, locks)),
        running=tuple(_running(row, texts) for row in most("running", running, MOST_RUNNING)),
        statements=tuple(_costly(row, texts) for row in most("statements", statements, MOST_STATEMENTS)),
        figures=tuple(_figures(scene.host(target))),
        happenings=tuple(map(_happening, most("happenings", events, MOST_HAPPENINGS))),
        left_out=left_out,
    )


def _forest(sessions: list[LockSession], left_out: dict[str, int]) -> list[LockNode]:
    """The trees, roots before their victims; where there are too many, every root before the victims of any."""
    weighed = sessions
    if len(sessions) > MOST_SESSIONS_WEIGHED:
        weighed = sorted(sessions, key=lambda s: (bool(s.blocked_by), -(s.wait_seconds or 0.0)))[:MOST_SESSIONS_WEIGHED]
    nodes = lock_forest(weighed)
    chosen = {node.session.key for node in sorted(nodes, key=lambda node: node.depth)[:MOST_LOCKS]}
    if len(sessions) > len(chosen):
        left_out["locks"] = len(sessions) - len(chosen)
    return [node for node in nodes if node.session.key in chosen]


def _age(row: RunningQuery) -> float:
    return max(row.query_seconds or 0.0, row.transaction_seconds or 0.0)


def _name(text: str) -> str:
    return one_line(text, MOST_NAME_LETTERS)


def _query(text: str) -> str:
    """Normalised once more, whoever did it before: on one line, without literals."""
    return one_line(" ".join(blot_literals(text[:MOST_READ_LETTERS]).split()), MOST_QUERY_LETTERS)


def _running(row: RunningQuery, texts: dict[str, str]) -> Running:
    return Running(
        pid=row.pid,
        database=_name(row.datname),
        user=_name(row.usename),
        application=_name(row.application_name),
        state=_name(row.state),
        query_seconds=row.query_seconds,
        transaction_seconds=row.transaction_seconds,
        wait_event=_name(row.wait_event),
        query=_query(texts.get(row.queryid, "")),
    )


def _locked(node: LockNode) -> Locked:
    session = node.session
    return Locked(
        pid=session.pid,
        prepared=_name(session.prepared),
        depth=node.depth,
        victims=node.victims,
        cycle=node.cycle,
        database=_name(session.database),
        user=_name(session.user),
        application=_name(session.application),
        state=_name(session.state),
        wait_seconds=session.wait_seconds,
        transaction_seconds=session.transaction_seconds,
        lock=_name(session.lock_mode),
        thing=_name(session.relation or session.lock_type),
        query=_query(session.query),
    )


def _costly(use: StatementUse, texts: dict[str, str]) -> Costly:
    return Costly(
        queryid=_name(use.queryid),
        database=_name(use.datname),
        user=_name(use.usename),
        calls=use.calls,
        seconds=use.seconds,
        query=_query(texts.get(use.queryid, "")),
    )


def _figures(samples: Iterable[Sample]) -> Iterable[Figure]:
    """In the order of `FIGURES`; of what there is one for each disk, the highest."""
    by_name: dict[str, list[Sample]] = {name: [] for name in FIGURES}
    for sample in samples:
        if sample.metric.name in by_name and math.isfinite(sample.value):
            by_name[sample.metric.name].append(sample)
    highest: Callable[[Sample], float] = lambda sample: -sample.value  # noqa: E731 - a key, named for its type
    for name, found in by_name.items():
        for sample in sorted(found, key=highest)[:MOST_PER_FIGURE]:
            label = _name(" ".join(sample.labels))
            yield Figure(name=name, value=sample.value, unit=sample.unit, label=label)


def _happening(event: Event) -> Happening:
    return Happening(
        kind=event.kind, subject=_name(event.subject), before=_name(event.before), after=_name(event.after), at=event.at
    )
