"""The backup of the demonstration: made, restored beside the original and compared, proven in a server of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import asyncpg

from daemon.demo.acts import Act, Typed, typed
from toban.catalogue import say
from toban.language import Language
from toban.units import count_text, size_text

JOB: Final = "nightly"
AGAIN: Final = "shop_restored"
DATABASE: Final = "shop"
MAKING_SECONDS: Final = 120.0
FLOOR: Final = "50MB"


def backing(home: Path) -> dict[str, object]:
    """What the configuration says of backups."""
    job = {"name": JOB, "target": DATABASE, "method": "dump", "databases": [DATABASE], "nice": 0}
    return {
        "backups": {"repository": str(home / "backups"), "floor": FLOOR, "jobs": [job], "proof": {"schedule": None}}
    }


class Keeping:
    """Its acts, one after the other; each is told when it is over. What fails ends the play."""

    def __init__(self, config: Path, owner: str, language: Language, tell: Callable[[Act], None]) -> None:
        self.acts: list[Act] = []
        self._config = config
        self._owner = owner
        self._language = language
        self._tell = tell

    async def run(self) -> list[Act]:
        """Make one, give it back, prove it."""
        made = await self._typed("backup", "run", JOB, "--json")
        backup = _document(made)
        if not self._noted("demo.backup.made", self._made(backup), made):
            return self.acts
        back = await self._typed(
            "restore", backup["id"], "--database", DATABASE, "--into", self._owner, "--as", AGAIN, "--json"
        )
        same = await self._compared(backup["id"]) if back.status == 0 else ""
        if self._noted("demo.backup.restored", same, back):
            proven = await self._typed("backup", "prove", backup["id"], "--json")
            self._noted("demo.backup.proven", self._proven(_document(proven)), proven)
        return self.acts

    async def _typed(self, *words: str) -> Typed:
        return await typed(self._config, *words, within_seconds=MAKING_SECONDS)

    def _noted(self, key: str, detail: str, ran: Typed) -> bool:
        done = ran.status == 0 and bool(detail)
        act = Act(key=key, done=done, detail=detail if done else ran.complaint or detail)
        self.acts.append(act)
        self._tell(act)
        return done

    def _made(self, backup: dict[str, Any]) -> str:
        return f"{backup['id']}, {size_text(backup['size_bytes'])}" if "id" in backup else ""

    async def _compared(self, backup: str) -> str:
        """The rows of every table of the restored database, held against those of the dump's own snapshot."""
        told = _document(await self._typed("backup", "show", backup, "--json"))
        wanted = {(one["schema"], one["table"]): one["rows"] for one in told.get("rows", [])}
        found = await _rows(self._owner, wanted)
        if not wanted or found != wanted:
            return ""
        rows = count_text(sum(wanted.values()))
        return say("demo.backup.same", self._language, tables=count_text(len(wanted)), rows=rows)

    def _proven(self, proof: dict[str, Any]) -> str:
        return str(proof.get("proof", proof).get("reason", "")) if proof else ""


async def _rows(owner: str, tables: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    connection = await asyncpg.connect(owner, database=AGAIN)
    try:
        return {
            (schema, table): await connection.fetchval(f'SELECT count(*) FROM "{schema}"."{table}"')  # noqa: S608 - the demonstration's own tables
            for schema, table in tables
        }
    finally:
        await connection.close()


def _document(ran: Typed) -> dict[str, Any]:
    """What a command has printed; nothing where that is no document."""
    try:
        found = json.loads(ran.printed)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
