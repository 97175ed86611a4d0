"""What each role has cost the server and holds of it, as the server itself keeps the books."""

from dataclasses import dataclass
from typing import Any

# Top level only: what a function runs inside is already in the time of its caller.
_SPENT = """
    select rolname, sum(total_exec_time) / 1000 as executing,
        sum(total_exec_time + total_plan_time) / 1000 as planning_too
    from pg_stat_statements(false) as s join pg_roles as r on r.oid = s.userid
    where toplevel
    group by rolname
"""
_HELD = "select usename, count(*) as held from pg_stat_activity where usename = any($1) group by usename"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Server seconds of one role so far."""

    executing_seconds: float = 0.0
    with_planning_seconds: float = 0.0

    def since(self, earlier: "Spent") -> "Spent":
        """What came on top of an earlier reading."""
        return Spent(
            executing_seconds=self.executing_seconds - earlier.executing_seconds,
            with_planning_seconds=self.with_planning_seconds - earlier.with_planning_seconds,
        )


async def spent(connection: Any) -> dict[str, Spent]:  # noqa: ANN401 - asyncpg ships no types
    """Server time by role."""
    rows = await connection.fetch(_SPENT)
    return {
        r["rolname"]: Spent(executing_seconds=r["executing"], with_planning_seconds=r["planning_too"]) for r in rows
    }


async def held(connection: Any, roles: list[str]) -> dict[str, int]:  # noqa: ANN401 - asyncpg ships no types
    """Connections by role, now."""
    rows = await connection.fetch(_HELD, roles)
    return {r["usename"]: r["held"] for r in rows}
