"""A console that shows what a test says, for versions and crowds that no PgBouncer here has; and values by name."""

from collections.abc import Iterable, Mapping
from typing import Any

from collectors.pgbouncer.console import PgBouncerConsole, Row
from tests.builders import ManualClock
from toban.samples import Findings
from toban.secrets import Dsn


class Shown(PgBouncerConsole):
    """Answers out of a table."""

    def __init__(self, **views: Iterable[Row]) -> None:
        super().__init__(Dsn("postgresql://toban@127.0.0.1:1/pgbouncer"), ManualClock())
        self.views: dict[str, list[Row]] = {name: list(rows) for name, rows in views.items()}
        self.asked: list[str] = []

    async def show(self, what: str) -> list[Row]:
        """What the table has."""
        self.asked.append(what)
        return self.views[what]


def a_pool(database: str, user: str = "app", **columns: Any) -> Row:  # noqa: ANN401 - whatever a console shows
    """A row of SHOW POOLS of 1.18."""
    quiet = dict.fromkeys(
        ("cl_active", "cl_waiting", "cl_active_cancel_req", "cl_waiting_cancel_req", "sv_active", "sv_active_cancel",
         "sv_being_canceled", "sv_idle", "sv_used", "sv_tested", "sv_login", "maxwait", "maxwait_us"), 0)  # fmt: skip
    return {"database": database, "user": user, **quiet, **columns}


def a_database(name: str, **columns: Any) -> Row:  # noqa: ANN401 - whatever a console shows
    """A row of SHOW DATABASES of 1.18."""
    usual = {"host": "127.0.0.1", "port": "5432", "database": name, "force_user": None, "pool_size": 20,
             "min_pool_size": 0, "reserve_pool": 0, "pool_mode": None, "max_connections": 0, "current_connections": 0,
             "paused": 0, "disabled": 0}  # fmt: skip
    return {"name": name, **usual, **columns}


def stats_of(database: str, **columns: Any) -> Row:  # noqa: ANN401 - whatever a console shows
    """A row of SHOW STATS of 1.18."""
    zero = dict.fromkeys(
        ("total_xact_count", "total_query_count", "total_received", "total_sent", "total_xact_time", "total_query_time",
         "total_wait_time", "avg_xact_count"), 0)  # fmt: skip
    return {"database": database, **zero, **columns}


def values(findings: Findings, *labels: str) -> Mapping[str, float]:
    """The values of the series with these labels, by metric."""
    return {s.metric.name: s.value for s in findings.samples if s.labels == labels}
