"""What a daemon would hold of one target in memory, for the tests of evidence: sessions, queries, figures, events."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from alerting.evidence import gather, written
from tests.builders import START, a_metric, a_sample
from toban.events import Event, EventKind
from toban.locks import LockSession
from toban.samples import Sample, Unit
from toban.statements import RunningQuery, StatementText, StatementUse

RowT = TypeVar("RowT")
CPU = a_metric("toban_host_cpu_ratio", unit=Unit.RATIO)
LOAD = a_metric("toban_host_load1")
DISK = a_metric("toban_host_disk_used_ratio", unit=Unit.RATIO, labels=("mount",))


@dataclass
class Memory:
    """What a daemon would hold of one target; it counts how often it is asked."""

    held: list[object] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    happened: list[Event] = field(default_factory=list)
    asked: int = 0

    def rows(self, target: str, kind: type[RowT]) -> Iterable[RowT]:
        """The rows of one kind."""
        return [row for row in self.held if isinstance(row, kind)]

    def host(self, target: str) -> Iterable[Sample]:
        """The host's values."""
        self.asked += 1
        return self.samples

    def events(self, target: str, since: float) -> Iterable[Event]:
        """What happened since."""
        return [event for event in self.happened if event.at >= since]


def a_session(pid: int, *blocked_by: int, **changes: Any) -> LockSession:  # noqa: ANN401 - any field of a session
    """A session that waits for others, or is in their way."""
    fields: dict[str, Any] = {
        "key": str(pid),
        "pid": pid,
        "prepared": "",
        "blocked_by": tuple(map(str, blocked_by)),
        "database": "shop",
        "user": "app",
        "application": "web",
        "state": "active" if blocked_by else "idle in transaction",
        "wait_event": "Lock:relation" if blocked_by else "",
        "wait_seconds": 40.0 if blocked_by else None,
        "transaction_seconds": 300.0,
        "lock_type": "relation",
        "lock_mode": "AccessExclusiveLock" if blocked_by else "",
        "relation": "orders" if blocked_by else "",
        "query": "select * from orders where id = 4711 and name = 'Müller'",
    }
    return LockSession(**fields | changes)


def a_query(pid: int, seconds: float, **changes: Any) -> RunningQuery:  # noqa: ANN401 - any field of a query
    """A session at work."""
    fields: dict[str, Any] = {
        "pid": pid,
        "datname": "shop",
        "usename": "app",
        "application_name": "report",
        "state": "active",
        "queryid": "77",
        "query_seconds": seconds,
        "transaction_seconds": None,
        "wait_event": "IO:DataFileRead",
    }
    return RunningQuery(**fields | changes)


def a_use(queryid: str, seconds: float, calls: float = 100.0) -> StatementUse:
    """What a statement cost."""
    return StatementUse(
        queryid=queryid,
        datname="shop",
        usename="app",
        interval_seconds=60.0,
        calls=calls,
        seconds=seconds,
        rows=0,
        hit_blocks=0,
        read_blocks=0,
        temp_blocks=0,
    )


def a_scene() -> Memory:
    """A blocked chain, a long query, two statements, a busy host and a changed setting."""
    return Memory(
        held=[
            a_session(12, 11),
            a_session(11, 10),
            a_session(10),
            a_query(21, 5.0),
            a_query(20, 720.0),
            a_use("77", 30.0),
            a_use("78", 90.0, 45.0),
            StatementText(queryid="77", text="select  sum(x)\n from t where y = $1"),
            StatementText(queryid="78", text="update t set x = $1"),
        ],
        samples=[
            a_sample(LOAD, 12.3),
            a_sample(DISK, 0.5, labels=("/",)),
            a_sample(DISK, 0.96, labels=("/srv",)),
            a_sample(CPU, 0.97),
            a_sample(a_metric("toban_host_cpus"), 4),
        ],
        happened=[
            Event(kind=EventKind.SETTING_CHANGED, subject="work_mem", before="4MB", after="1GB", at=START - 600),
            Event(kind=EventKind.RESTARTED, at=START - 60),
            Event(kind=EventKind.RESTARTED, at=START - 100_000),
        ],
    )


def a_document(scene: Memory | None = None) -> str:
    """The evidence of a scene, as it is kept."""
    return written(gather(scene or a_scene(), "main", START))
