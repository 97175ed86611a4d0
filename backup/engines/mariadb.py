"""MariaDB and MySQL by their own dump program: a snapshot of each database, whole to its last line."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar, Final

from backup.engines.contract import Estimate, Looking, Made, Making
from backup.engines.streams.folder import own_folder
from backup.engines.streams.growth import growing
from backup.engines.streams.packing import Packing, packing, unpacking, unreadable
from backup.errors import BackupError
from backup.mariadb.way import Database, MariaDbWay, Server, Table
from backup.programs import version_text
from backup.readers import answer, reader
from toban.backups import Check, Method, TableRows, Trouble
from toban.secrets import Dsn

DUMP: Final = ("mariadb-dump", "mysqldump")
USERS: Final = "users.sql"
READ_SECONDS: Final = 12 * 3600.0
USERS_SECONDS: Final = 300.0
MOST_SHOWN: Final = 3
SHOWN_CHARACTERS: Final = 300
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_QUOTES: Final = frozenset("'\"\\")
NO_EVENTS: Final = "mariadb-dump fails at those of a database with a quote in its name"
_WORDS: Final = (
    "--single-transaction",
    "--quick",
    "--routines",
    "--events",
    "--triggers",
    "--hex-blob",
    "--default-character-set=utf8mb4",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dumped:
    """One database, dumped."""

    database: Database
    file: str
    rows: tuple[TableRows, ...]
    told: dict[str, Any]
    notes: tuple[str, ...] = ()


class MariaDb:
    """A dump of each database by `mariadb-dump --single-transaction`; the accounts beside them."""

    name: ClassVar[str] = "mariadb"
    method: ClassVar[Method] = Method.DUMP
    kinds: ClassVar[frozenset[str]] = frozenset({"mariadb"})

    async def estimate(self, making: Making) -> Estimate:
        """As large as its tables and indexes are; a dump has no indexes, and is packed."""
        async with way_of(making) as way:
            await way.open(making.around.children)
            chosen = {one.name for one in await _chosen(way, making)}
            tables = await way.tables(making.around.children)
        size = sum(table.size_bytes for table in tables if table.database in chosen)
        return Estimate(source_bytes=size, size_bytes=_earlier_size(making) or size)

    async def make(self, making: Making) -> Made:
        """One database after the other, each by a snapshot of its own."""
        async with way_of(making) as way:
            return await self._make(making, way)

    async def _make(self, making: Making, way: MariaDbWay) -> Made:
        children, clock = making.around.children, making.around.clock
        server = await way.open(children)
        pack = packing(making.around.programs, making.job.compress)
        chosen = await _chosen(way, making)
        if not chosen:
            why = "has no database that is to be dumped"
            raise BackupError(making.origin.name, why, "toban config show", trouble=Trouble.CONFIGURATION)
        tables = await way.tables(children)
        began, dumped, notes = clock.monotonic(), [], list(_notes(chosen, tables))
        for place, database in enumerate(chosen):
            own = [table for table in tables if table.database == database.name]
            dumped.append(await self._dump(making, way, server, database, own, _file(place, database.name, pack), pack))
        if making.job.globals_:
            notes += await self._users(making, way)
        notes += [note for one in dumped for note in one.notes]
        return Made(
            source_bytes=sum(table.size_bytes for table in tables if table.database in {one.name for one in chosen}),
            server_version=server.version,
            databases=tuple(one.name for one in chosen),
            rows=tuple(row for one in dumped for row in one.rows) if making.job.rows != "none" else (),
            tools={"mariadb-dump": await asyncio.to_thread(version_text, making.around.programs.other(*DUMP))},
            compression=pack.name,
            notes=tuple(dict.fromkeys(notes)),
            phases={"dump": clock.monotonic() - began},
            detail={
                "databases": [_detail(one) for one in dumped],
                "users": USERS if (making.place / USERS).exists() else None,
                "comment": server.comment,
            },
        )

    async def verify(self, looking: Looking) -> tuple[Check, ...]:
        """Unpack each to its last line, and count its rows again."""
        manifest, checks = looking.record.manifest, []
        for one in manifest.detail.get("databases", ()):
            source, unsealing = looking.contents.source(one["file"])
            commands = (*unsealing, *unpacking(looking.around.programs, one["file"]), reader("mariadb_dump", "read"))
            done = await looking.around.children.run(*commands, source=source, within_seconds=READ_SECONDS)
            if not done.ok:
                failure = unreadable(one["name"], done)
                if failure.trouble is not Trouble.DAMAGED:
                    raise failure
                checks.append(Check(name=f"read {one['name']}", ok=False, detail=failure.why))
                continue
            checks.append(held_against(one, answer(one["name"], done, done.stdout)))
        return tuple(checks)

    async def _dump(
        self,
        making: Making,
        way: MariaDbWay,
        server: Server,
        database: Database,
        tables: list[Table],
        file: str,
        pack: Packing,
    ) -> Dumped:
        """One database into its file."""
        words, notes = [*_WORDS, *_left_out(making, tables)], list[str]()
        if _QUOTES & set(database.name):
            words.remove("--events")
            if database.name in await way.with_events(making.around.children):
                notes.append(f"the events of {database.name} are not in it: {NO_EVENTS}")
        if any("VERSIONED" in table.kind for table in tables):
            words.append("--loose-dump-history")
        if server.logs:
            words.append("--master-data=2")  # as a comment: the position in the binary log
        found = await self._run(making, way, database, words, file, pack)
        return replace(found, notes=(*found.notes, *notes))

    async def _run(
        self, making: Making, way: MariaDbWay, database: Database, words: list[str], file: str, pack: Packing
    ) -> Dumped:
        place, report = making.place / file, way.defaults.with_name(f"{Path(file).name}.json")
        commands = (
            way.command(DUMP, *words, "--", database.name),
            reader("mariadb_dump", "pass", report),
            *pack.commands,
        )
        async with growing(place, making.tell, "dump", what=database.name):
            done = await making.around.children.run(*commands, into=place, within_seconds=making.job.timeout)
        if not done.ok:
            raise way.failure_of(done)
        told = answer(database.name, done, await asyncio.to_thread(report.read_bytes))
        if not told["completed"]:
            raise BackupError(database.name, "the dump has no end, though its program says it was well")
        rows = tuple(
            TableRows(database=database.name, schema="", table=table, rows=count)
            for table, count in told["rows"].items()
            if count is not None
        )
        said = tuple(line for line in done.ended[0].said.splitlines() if line.strip())[:MOST_SHOWN]
        return Dumped(database=database, file=file, rows=rows, told=told, notes=said)

    async def _users(self, making: Making, way: MariaDbWay) -> list[str]:
        """The accounts and what they may, with the hashes of their passwords; a role that may not see them goes on."""
        place = making.place / USERS
        command = way.command(DUMP, "--system=users", "--force")
        done = await making.around.children.run(command, into=place, within_seconds=USERS_SECONDS)
        if done.ok:
            return []
        if await asyncio.to_thread(_has_accounts, place):  # one that the server cannot tell of keeps no other back
            return [f"not all accounts are in it: {' '.join(done.said.split())[:SHOWN_CHARACTERS]}"]
        await asyncio.to_thread(place.unlink)
        return [f"the accounts are not in it: {done.ended[0].why}"]


def held_against(one: dict[str, Any], told: dict[str, Any]) -> Check:
    """Whether a dump that was read again is what it was: its last line, its size, its rows."""
    name = f"read {one['name']}"
    if not told["completed"]:
        return Check(name=name, ok=False, detail="its end is missing")
    if told["size_bytes"] != one["size_bytes"]:
        return Check(name=name, ok=False, detail=f"it has {told['size_bytes']} bytes, not {one['size_bytes']}")
    rows = sum(count for count in told["rows"].values() if count is not None)
    return Check(name=name, ok=True, detail=f"whole, to its last line; {rows} rows in {len(told['rows'])} tables")


@asynccontextmanager
async def way_of(making: Making) -> AsyncIterator[MariaDbWay]:
    """The way to the server that is backed up; the password that it takes goes with the work."""
    dsn = _dsn(making)
    async with own_folder(making.around.workspace, "mariadb") as folder:
        yield MariaDbWay(dsn, folder, making.around.programs)


def _has_accounts(place: Path) -> bool:
    with place.open("rb") as file:
        return any(line.startswith(b"CREATE USER") for line in file)


def _dsn(making: Making) -> Dsn:
    dsn = making.origin.dsn
    if dsn is None:
        raise BackupError(making.origin.name, "names no server", "give the target a dsn", trouble=Trouble.CONFIGURATION)
    return dsn


async def _chosen(way: MariaDbWay, making: Making) -> list[Database]:
    return [one for one in await way.databases(making.around.children) if making.origin.chosen(one.name)]


def _earlier_size(making: Making) -> int | None:
    return next((one.manifest.size_bytes for one in making.earlier if one.manifest.name == making.job.name), None)


def _left_out(making: Making, tables: list[Table]) -> list[str]:
    """The tables whose rows a job does not want, by the patterns that mean them."""
    return [
        f"--ignore-table-data={table.database}.{table.name}"
        for table in tables
        if any(
            fnmatchcase(name, pattern)
            for pattern in making.job.exclude_tables
            for name in (table.name, f"{table.database}.{table.name}")
        )
    ]


def _notes(chosen: list[Database], tables: Iterable[Table]) -> Iterable[str]:
    names = {one.name for one in chosen}
    loose = [table for table in tables if table.database in names and not table.transactional]
    if loose:
        shown = ", ".join(f"{table.database}.{table.name} ({table.engine})" for table in loose[:MOST_SHOWN])
        yield f"{len(loose)} tables know no transactions and may be of slightly different moments: {shown}"
    if len(chosen) > 1:
        yield "each database is of one moment of its own"


def _file(place: int, database: str, pack: Packing) -> str:
    """Numbered, since names are made safe by losing what stands in them."""
    return f"{place}-{_UNSAFE.sub('_', database)[:40].strip('.') or '_'}.sql{pack.suffix}"


def _detail(one: Dumped) -> dict[str, Any]:
    return {
        "name": one.database.name,
        "file": one.file,
        "character_set": one.database.character_set,
        "collation": one.database.collation,
        "tables": sorted(one.told["rows"]),
        "size_bytes": one.told["size_bytes"],
        "position": one.told["position"],
    }
