"""The server that a dump is restored into: what it has, and the databases made, renamed and dropped in it."""

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import asyncpg

from backup.engines.dumping.properties import creation, dressing, settings
from backup.engines.dumping.reading import Entry
from backup.errors import BackupError
from backup.restore.contract import Wanted
from backup.restore.dumping.naming import WAYS_IN, Destination, destinations, way_in_for
from backup.sql import query, quote_identifier, quote_literal
from backup.way import Way
from toban.backups import Trouble
from toban.secrets import Dsn, blot

SETTINGS: Final = {"default_transaction_read_only": "off", "statement_timeout": "10min", "lock_timeout": "30s"}
IDLE_LIMIT_SINCE: Final = 140000
ATTEMPTS: Final = 5  # of renaming; each waits some seconds inside the server
LOST: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
SETTING_REFUSED: Final = (
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidParameterValueError,
    asyncpg.CantChangeRuntimeParamError,
    asyncpg.InsufficientPrivilegeError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the server is, and what we may do there."""

    version_number: int
    standby: bool
    role: str
    superuser: bool
    creates_databases: bool
    data_directory: str | None

    @property
    def major(self) -> int:
        """`15` of `15.20`."""
        return self.version_number // 10000


@dataclass(frozen=True, slots=True, kw_only=True)
class There:
    """What it has, by name."""

    databases: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    tablespaces: frozenset[str] = frozenset()
    extensions: frozenset[str] = frozenset()
    locales: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The server, over a connection to a database that nothing is done to."""

    way: Way
    database: str  # that the connection is in
    connection: Any  # asyncpg ships no types
    facts: Facts
    there: There
    destinations: tuple[Destination, ...]

    # --- looking ------------------------------------------------------------------------------------------------------

    async def held(self, database: str) -> int:
        """How much of somebody's own is in a database."""
        async with self.way.connected(database) as connection:
            return int(await connection.fetchval(query(__package__, "held")))

    async def size_bytes(self, database: str) -> int:
        """How large a database is."""
        with self._explained():
            return int(await self.connection.fetchval(query(__package__, "grown"), database) or 0)

    async def databases(self) -> frozenset[str]:
        """Those that are there now: hours after `there` was looked at."""
        with self._explained():
            return _there(await self.connection.fetch(query(__package__, "there"))).databases

    # --- doing --------------------------------------------------------------------------------------------------------

    async def claim(self, one: Destination) -> None:
        """Its partial name is ours from now on, for as long as we are connected; refused where another is at it."""
        with self._explained():
            if not await self.connection.fetchval(query(__package__, "taken"), one.partial):
                why = "another restore is making it"
                raise BackupError(f"database {one.name}", why, trouble=Trouble.BUSY)

    async def begin(self, one: Destination, backup: str, *, tablespaces: bool) -> None:
        """An empty database under its partial name, which is claimed; what an earlier restore has left there goes."""
        partial = quote_identifier(one.partial)
        with self._explained():
            await self.connection.execute(f"DROP DATABASE IF EXISTS {partial} WITH (FORCE)")
            made = creation(
                one.partial, one.entry.properties, version=self.facts.version_number, tablespace=tablespaces
            )
            await self.connection.execute(made)
            comment = quote_literal(f"Toban is restoring {backup} into {one.name}; this goes when it has ended")
            await self.connection.execute(f"COMMENT ON DATABASE {partial} IS {comment}")

    async def dress(self, one: Destination) -> tuple[str, ...]:
        """Its owner, privileges, settings and comment, as they were; which settings this server does not take, and why.

        A setting that another version or another machine does not know is not worth the hours that lie behind us.
        """
        refused_ones = []
        with self._explained():
            await self.connection.execute(f"COMMENT ON DATABASE {quote_identifier(one.partial)} IS NULL")
            for setting in settings(one.partial, one.entry.properties):
                try:
                    await self.connection.execute(setting)
                except SETTING_REFUSED as error:
                    said = setting.partition(" TO ")[0].replace(
                        quote_identifier(one.partial), quote_identifier(one.name)
                    )
                    refused_ones.append(f"{said}: {' '.join(str(error).split())}")  # the value may be a secret
            for statement in dressing(one.partial, one.entry.properties):
                await self.connection.execute(statement)
        return tuple(refused_ones)

    async def abandon(self, ones: Sequence[Destination]) -> None:
        """What we have claimed goes, with whoever is in it."""
        with self._explained():
            for one in ones:
                await self.connection.execute(f"DROP DATABASE IF EXISTS {quote_identifier(one.partial)} WITH (FORCE)")

    async def publish(self, ones: Sequence[Destination], standing: Collection[str], stamp: str) -> dict[str, str]:
        """All of them get their names in one transaction. What stood there is put aside: its name, and its name now."""
        aside = {one.name: one.aside(stamp) for one in ones if one.name in standing}
        renamings = [*aside.items(), *((one.partial, one.name) for one in ones)]
        with self._explained():
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    await self._rename(renamings)
                    break
                except asyncpg.ObjectInUseError:  # somebody came back before the name was locked
                    if attempt == ATTEMPTS:
                        raise
        return aside

    async def drop(self, database: str) -> None:
        """A database that held nothing."""
        with self._explained():
            await self.connection.execute(f"DROP DATABASE {quote_identifier(database)}")

    async def drop_roles(self, names: Collection[str]) -> None:
        """Roles that were made for what has not come about."""
        with self._explained():
            for name in names:
                await self.connection.execute(f"DROP ROLE IF EXISTS {quote_identifier(name)}")

    async def _rename(self, renamings: Collection[tuple[str, str]]) -> None:
        """Whoever is in one of them is sent away first; while it is being renamed nobody comes in."""
        for name, _ in renamings:
            await self.connection.fetchval(query(__package__, "parted"), name)
        async with self.connection.transaction():
            for name, other in renamings:
                await self.connection.execute(
                    f"ALTER DATABASE {quote_identifier(name)} RENAME TO {quote_identifier(other)}"
                )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except LOST as error:
            raise refused(self.way, error) from error


@asynccontextmanager
async def site(way: Way, entries: Sequence[Entry], wanted: Wanted) -> AsyncIterator[Site]:
    """The server of a DSN, for as long as the block lasts."""
    asked = named_database(way.dsn)
    first, there = await _way_in(way, asked)
    ones = destinations(entries, rename=wanted.rename, way_in=asked)
    names = {one.name for one in ones}
    chosen = way_in_for(names, there, first)
    if chosen is None:
        why = "there is no other database to connect to while this one is made"
        raise BackupError(way.dsn.masked, why, "create one called postgres", trouble=Trouble.CONFIGURATION)
    async with way.connected(chosen, settings=SETTINGS) as connection:
        try:
            facts = Facts(**dict(await connection.fetchrow(query(__package__, "server"))))
            rows = await connection.fetch(query(__package__, "there"))
            if facts.version_number >= IDLE_LIMIT_SINCE:
                await connection.execute("SET idle_session_timeout = 0")  # it says nothing while a program unpacks
        except LOST as error:
            raise refused(way, error) from error
        yield Site(way=way, database=chosen, connection=connection, facts=facts, there=_there(rows), destinations=ones)


async def _way_in(way: Way, asked: str | None) -> tuple[str, set[str]]:
    """The first database that lets us in, and the names of all of them."""
    last: BackupError | None = None
    for candidate in dict.fromkeys((asked or way.database, *WAYS_IN)):
        try:
            async with way.connected(candidate) as connection:
                rows = await connection.fetch(query(__package__, "there"))
                return candidate, {row["name"] for row in rows if row["kind"] == "database"}
        except BackupError as error:
            last = last or error
            if not isinstance(error.__cause__, asyncpg.InvalidCatalogNameError):
                raise
    raise last or BackupError(way.dsn.masked, "no database lets us in", trouble=Trouble.UNREACHABLE)


def _there(rows: Sequence[Any]) -> There:
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["kind"], set()).add(row["name"])
    return There(
        databases=frozenset(found.get("database", ())),
        roles=frozenset(found.get("role", ())),
        tablespaces=frozenset(found.get("tablespace", ())),
        extensions=frozenset(found.get("extension", ())),
        locales=frozenset(found.get("locale", ())),
        providers=frozenset(found.get("provider", ())),
    )


def named_database(dsn: Dsn) -> str | None:
    """The database that a DSN names by itself."""
    named = [value for key, value in dsn.parameters if key in ("dbname", "database")]
    if named:
        return named[-1]
    path = dsn.parts.path.lstrip("/")
    return unquote(path) if path else None


def refused(way: Way, error: BaseException) -> BackupError:
    """What a server did not do, as an error of ours."""
    why = blot(" ".join(str(error).split()) or type(error).__name__, *way.secrets)
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        hint = "restore as a superuser, or as a role with CREATEDB that is a member of the owners"
        return BackupError(way.dsn.masked, why, hint, trouble=Trouble.PRIVILEGE)
    lost = isinstance(error, (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError))
    return BackupError(way.dsn.masked, why, trouble=Trouble.UNREACHABLE if lost else Trouble.TOOL)
