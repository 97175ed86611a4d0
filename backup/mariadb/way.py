"""The way to a MariaDB or MySQL server, by its own programs: no driver is needed, no secret stands in their words."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from backup.children import NO_SPACE, Children, Command, Output
from backup.errors import BackupError
from backup.programs import Programs
from backup.sql import query
from toban.backups import Trouble
from toban.secrets import Dsn

DEFAULTS: Final = "client.cnf"
CLIENT: Final = ("mariadb", "mysql")
ASK_SECONDS: Final = 60.0
QUIET: Final = ("--default-character-set=utf8mb4", "--connect-timeout=10")
PACKET: Final = "1G"  # the largest row there can be
ROLE: Final = "toban"
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b"}
_UNESCAPES: Final = {"n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
_REFUSED: Final = ("ERROR 1045", "ERROR 1698", "ERROR 1130", "ERROR 1044", "ERROR 1227", "ERROR 1142", "Access denied")
_SHUT: Final = (
    "ERROR 2002",
    "ERROR 2003",
    "ERROR 2005",
    "ERROR 2006",
    "ERROR 2013",
    "ERROR 2026",
    "ERROR 1040",
    "Got error: 20",
)
_LOCKED: Final = ("1205", "1213", "Table definition has changed")
GRANTS: Final = (
    "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES, PROCESS, RELOAD, BINLOG MONITOR ON *.* TO the role"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a server says of itself."""

    version: str
    comment: str
    data_dir: Path
    logs: bool  # it keeps a binary log

    @property
    def release(self) -> tuple[int, ...]:
        """10.11 of `10.11.19-MariaDB-1`."""
        return release_of(self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database, and what it is created by."""

    name: str
    character_set: str
    collation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table or a view."""

    database: str
    name: str
    kind: str
    engine: str
    size_bytes: int

    @property
    def is_view(self) -> bool:
        """Whether it has no rows of its own."""
        return "VIEW" in self.kind

    @property
    def transactional(self) -> bool:
        """Whether a snapshot holds for it."""
        return self.is_view or self.engine.lower() in ("innodb", "rocksdb", "tokudb", "")


class MariaDbWay:
    """How the programs reach a server. `folder` is private and goes with the work."""

    def __init__(self, dsn: Dsn, folder: Path, programs: Programs) -> None:
        self.dsn = dsn
        self.defaults = folder / DEFAULTS
        self._programs = programs
        self._write()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be blotted out of whatever a program says."""
        return self.dsn.secrets

    def command(self, names: tuple[str, ...], *words: str) -> Command:
        """A program of the server's, with the way in."""
        program = str(self._programs.other(*names))
        return Command(words=(program, f"--defaults-file={self.defaults}", *words), secrets=self.secrets)

    def client(self, *words: str) -> Command:
        """The client, for statements."""
        return self.command(CLIENT, "--batch", "--skip-column-names", *QUIET, *words)

    async def open(self, children: Children) -> Server:
        """Try the door. Where TLS is required it must be there: the programs go on without when a server has none."""
        ((version, comment, data_dir, logs),) = await self.ask(children, query(__package__, "server"))
        if self._mode not in ("disabled", "preferred"):
            ((_, cipher),) = await self.ask(children, query(__package__, "cipher"))
            if not cipher:
                why, hint = "the server offers no TLS, and `ssl-mode` requires it", "set the server up for it"
                raise BackupError(self.dsn.masked, why, hint, trouble=Trouble.UNREACHABLE)
        return Server(version=version, comment=comment, data_dir=Path(data_dir), logs=logs not in ("0", "OFF"))

    async def databases(self, children: Children) -> tuple[Database, ...]:
        """All but the server's own."""
        rows = await self.ask(children, query(__package__, "databases"))
        return tuple(Database(name=name, character_set=known, collation=by) for name, known, by in rows)

    async def tables(self, children: Children) -> tuple[Table, ...]:
        """All but the server's own."""
        rows = await self.ask(children, query(__package__, "tables"))
        return tuple(
            Table(database=database, name=name, kind=kind, engine=engine, size_bytes=int(size))
            for database, name, kind, engine, size in rows
        )

    async def with_events(self, children: Children) -> frozenset[str]:
        """The databases that have events."""
        return frozenset(name for (name,) in await self.ask(children, query(__package__, "events")))

    async def ask(
        self, children: Children, sql: str, database: str | None = None, *, within_seconds: float = ASK_SECONDS
    ) -> list[tuple[str, ...]]:
        """The rows of an answer, as text."""
        words = ("--execute", sql) if database is None else ("--execute", sql, "--", database)
        done = await children.run(self.client(*words), within_seconds=within_seconds)
        if not done.ok:
            raise self.failure(done.ended[-1].why, done.said)
        return [tuple(_plain(field) for field in line.split("\t")) for line in done.text.split("\n") if line]

    async def count(
        self, children: Children, database: str, tables: tuple[str, ...], *, within_seconds: float
    ) -> dict[str, int]:
        """How many rows tables have, counted."""
        counts: dict[str, int] = {}
        for table in tables:
            sql = f"SELECT COUNT(*) FROM {quoted(table)}"  # noqa: S608 - a table's own name
            done = await children.run(self.client("--execute", sql, "--", database), within_seconds=within_seconds)
            if not done.ok:
                raise self.failure(done.ended[-1].why, done.said)
            counts[table] = int(done.text)
        return counts

    def failure_of(self, done: Output) -> BackupError:
        """Why a pipeline that begins with a program of the server's failed: that one, unless another was the cause.

        It fails too where nobody takes what it writes, since the disk is full; and has words of its own for that.
        """
        first, *others = done.ended
        cause = next((one for one in others if not one.ok and not one.cut_off), first)
        return self.failure(cause.why, done.said)

    def failure(self, why: str, said: str = "") -> BackupError:
        """What a program of the server's complained of."""
        words = f"{why} {said}"
        if any(one in words for one in NO_SPACE):
            return BackupError(self.dsn.masked, why, trouble=Trouble.SPACE)
        if any(one in words for one in _REFUSED):
            return BackupError(self.dsn.masked, why, GRANTS, trouble=Trouble.PRIVILEGE)
        if any(one in words for one in _SHUT):
            return BackupError(self.dsn.masked, why, trouble=Trouble.UNREACHABLE)
        locked = any(one in words for one in _LOCKED)
        return BackupError(self.dsn.masked, why, trouble=Trouble.LOCKED if locked else Trouble.TOOL)

    @property
    def _mode(self) -> str:
        named = dict(self.dsn.parameters)
        return named.get("ssl-mode", "disabled" if self.dsn.local else "preferred").lower()

    def _write(self) -> None:
        text = "[client]\n" + "".join(
            f"{key}\n" if value is None else f"{key}={_escaped(value)}\n" for key, value in self._options()
        )
        handle = os.open(self.defaults, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)

    def _options(self) -> Iterator[tuple[str, str | None]]:
        parts, named = self.dsn.parts, dict(self.dsn.parameters)
        yield "user", unquote(parts.username or "") or ROLE
        if parts.password is not None:
            yield "password", unquote(parts.password)
        if "socket" in named:
            yield "socket", named["socket"]
        else:
            yield "host", unquote(parts.hostname or "127.0.0.1")
            yield "protocol", "tcp"
            if parts.port:
                yield "port", str(parts.port)
        yield "loose-max-allowed-packet", PACKET
        yield from self._tls(named)

    def _tls(self, named: dict[str, str]) -> Iterator[tuple[str, str | None]]:
        if self._mode == "disabled":
            yield "loose-skip-ssl", None
            return
        yield "loose-ssl", None
        for key in ("ssl-ca", "ssl-cert", "ssl-key"):
            if key in named:
                yield key, named[key]
        verified = self._mode.startswith("verify")
        yield "loose-ssl-verify-server-cert" if verified else "loose-skip-ssl-verify-server-cert", None


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return "`" + name.replace("`", "``") + "`"


def release_of(version: str) -> tuple[int, ...]:
    """The major and minor number in a version."""
    numbers = version.partition("-")[0].split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit())


def _escaped(value: str) -> str:
    """As an option file has it: in quotes, what means something there written otherwise."""
    return '"' + "".join(_ESCAPES.get(letter, letter) for letter in value) + '"'


def _plain(field: str) -> str:
    """What the client has written otherwise in a row."""
    if "\\" not in field:
        return field
    found, letters = "", iter(field)
    for letter in letters:
        found += letter if letter != "\\" else _UNESCAPES.get(following := next(letters, ""), following)
    return found
