"""Where a server stands with its WAL: asked of the server itself."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from backup.sql import query
from backup.wal.chain import Position
from backup.wal.segments import lsn_number
from backup.way import Way

ASK_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a server says of itself; `position` is None for one whose WAL has not begun to come."""

    system_identifier: str
    segment_bytes: int
    version: int
    in_recovery: bool
    slot_status: str | None  # reserved, extended, unreserved, lost; None where there is no such slot
    position: Position | None

    @property
    def major(self) -> int:
        """Its major version."""
        return self.version // 10000


async def ask(way: Way, slot: str | None = None) -> Server:
    """Ask it. Raises when there is no way in."""
    async with way.connected() as connection:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                row = await connection.fetchrow(query(__package__ or "", "position"), slot or "")
                waiting = await _waiting(connection)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise way.unreachable(error) from error
    return Server(
        system_identifier=row["system_identifier"],
        segment_bytes=row["segment_bytes"],
        version=row["version"],
        in_recovery=row["in_recovery"],
        slot_status=row["wal_status"],
        position=_position(row, waiting),
    )


async def _waiting(connection: Any) -> float | None:  # noqa: ANN401 - asyncpg ships no types
    try:
        since: float | None = await connection.fetchval(query(__package__ or "", "waiting"))
    except asyncpg.InsufficientPrivilegeError:
        return None
    return since


def _position(row: Mapping[str, Any], waiting: float | None) -> Position | None:
    if row["written_to"] is None:
        return None
    written_to = lsn_number(row["written_to"])
    lost = row["wal_status"] == "lost"
    return Position(
        timeline=row["timeline"],
        written_to=written_to,
        kept_from=written_to if lost else _number(row["kept_from"]),
        waiting_since=waiting,
        received_to=_number(row["received_to"]),
        behind_seconds=row["behind_seconds"],
    )


def _number(lsn: str | None) -> int | None:
    return None if lsn is None else lsn_number(lsn)
