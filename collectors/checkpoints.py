"""What a collector remembers across restarts: named texts, written together or not at all.

A collector that counts what it reads must remember how far it has read and what it has counted in one breath; else a
crash between the two would count something twice, or never. SQLite does that: one transaction, forced to the disk.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

BUSY_SECONDS = 5.0
_SCHEMA = "CREATE TABLE IF NOT EXISTS checkpoint (owner TEXT, name TEXT, body TEXT, PRIMARY KEY (owner, name))"


class Checkpoints:
    """The memory of one target's collectors. Without a file it lasts as long as the process.

    What only reads (`keeps` is false) sees what the daemon has written, and leaves it as it is.
    """

    def __init__(self, path: Path | None = None, scope: str = "", *, keeps: bool = True) -> None:
        self.path = path
        self.scope = scope
        self.keeps = keeps
        self._unkept: dict[str, dict[str, str]] = {}

    def load(self, owner: str) -> dict[str, str]:
        """All that was last saved for an owner; nothing if it never was."""
        if owner in self._unkept or self.path is None or not self.path.exists():
            return dict(self._unkept.get(owner, {}))
        with closing(self._open()) as file:
            rows = file.execute("SELECT name, body FROM checkpoint WHERE owner = ?", (self._key(owner),))
            return dict(rows.fetchall())

    def save(self, owner: str, pieces: Mapping[str, str | None]) -> None:
        """Write these pieces, remove those that are None, leave the others: all of it or nothing."""
        if self.path is None or not self.keeps:
            kept = self._unkept.setdefault(owner, {} if self.path is None else self.load(owner))
            kept |= {name: body for name, body in pieces.items() if body is not None}
            for name in [name for name, body in pieces.items() if body is None]:
                kept.pop(name, None)
            return
        key = self._key(owner)
        with closing(self._open()) as file, file:
            file.executemany(
                "INSERT INTO checkpoint VALUES (?, ?, ?) ON CONFLICT (owner, name) DO UPDATE SET body = excluded.body",
                [(key, name, body) for name, body in pieces.items() if body is not None],
            )
            gone = [(key, name) for name, body in pieces.items() if body is None]
            file.executemany("DELETE FROM checkpoint WHERE owner = ? AND name = ?", gone)

    def forget(self, owner: str) -> None:
        """Remove all that was saved for an owner."""
        self.save(owner, dict.fromkeys(self.load(owner)))

    def set_aside(self) -> Path | None:
        """Put a file that cannot be read out of the way, so that a new one can begin; where it is now."""
        if self.path is None or not self.keeps or not self.path.exists():
            return None
        aside = self.path.with_name(f"{self.path.name}.broken")
        for ending in ("-journal", "-wal", "-shm"):  # what belongs to the broken file would spoil the new one
            beside = self.path.with_name(f"{self.path.name}{ending}")
            if beside.exists():
                beside.replace(aside.with_name(f"{aside.name}{ending}"))
        return self.path.replace(aside)

    def _key(self, owner: str) -> str:
        return f"{self.scope}/{owner}"

    def _open(self) -> sqlite3.Connection:
        assert self.path is not None  # noqa: S101 - both callers have looked
        if not self.keeps:
            return sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        file = sqlite3.connect(self.path, timeout=BUSY_SECONDS)
        try:
            self.path.chmod(0o600)  # a half-written line of somebody's log may stand in it
            file.execute("PRAGMA synchronous = FULL")
            file.execute(_SCHEMA)
        except BaseException:  # raised again, once what was begun is cleared away
            file.close()
            raise
        return file
