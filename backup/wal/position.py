"""Where a server stands with its WAL: asked of the server itself."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from backup.sql import query
from backup.wal.chain import Position
from backup.wal.segments import lsn_number, segment_number
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
                waiting = await _allowed(connection, "waiting")
                oldest = await _allowed(connection, "oldest") if row["wal_status"] == "lost" else None
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise way.unreachable(error) from error
    return Server(
        system_identifier=row["system_identifier"],
        segment_bytes=row["segment_bytes"],
        version=row["version"],
        in_recovery=row["in_recovery"],
        slot_status=row["wal_status"],
        position=_position(row, waiting, oldest),
    )


async def _allowed(connection: Any, name: str) -> Any:  # noqa: ANN401 - asyncpg ships no types
    """What a query says that takes more rights than our role may have; None where it has them not."""
    try:
        return await connection.fetchval(query(__package__ or "", name))
    except asyncpg.InsufficientPrivilegeError:
        return None


def _position(row: Mapping[str, Any], waiting: float | None, oldest: str | None) -> Position | None:
    """A slot that is lost keeps nothing: what the server still has it has by chance."""
    if row["written_to"] is None:
        return None
    kept_from = None if row["wal_status"] == "lost" else _number(row["kept_from"])
    if oldest is not None:
        kept_from = segment_number(f"{0:08X}{oldest}", row["segment_bytes"]) * row["segment_bytes"]
    return Position(
        timeline=row["timeline"],
        written_to=lsn_number(row["written_to"]),
        kept_from=kept_from,
        waiting_since=waiting,
        receiving=row["active"],
        behind_seconds=row["behind_seconds"],
    )


def _number(lsn: str | None) -> int | None:
    return None if lsn is None else lsn_number(lsn)
