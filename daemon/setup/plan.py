"""What a PostgreSQL server lacks for Toban, as SQL with its reasons: decided purely from what it has.

What is there already is left as it is, also where an administrator chose another value.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from collectors.postgresql.sql import quote_identifier, quote_literal

LIBRARY = "pg_stat_statements"
PRELOAD = "shared_preload_libraries"
CONNECTION_LIMIT = 4  # the daemon's two, and two of a command that measures without it
BACKUP_CONNECTIONS = 12  # and for backups: pg_dump with its jobs, the snapshot's holder, the stream of WAL
ROLE_SETTINGS = {
    "statement_timeout": ("4s", "nothing Toban asks runs for long, whatever Toban itself says"),
    "lock_timeout": ("100ms", "Toban does not queue behind a lock, so nobody queues behind Toban"),
    "default_transaction_read_only": ("on", "Toban only reads"),
    "search_path": ("pg_catalog", "nobody's objects can stand in the place of the catalogue's"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What a server has for backups. `enough` says whether its WAL can be streamed at all."""

    replicates: bool
    reads_all: bool
    passes_rows: bool
    enough: bool
    slots_bounded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a server has. `preloaded` are the libraries of its next start, `running` of this, if they can be seen."""

    role: str
    role_exists: bool
    can_login: bool
    role_is_superuser: bool
    connection_limit: int
    monitors: bool
    role_settings: frozenset[str]
    closed_databases: tuple[str, ...]
    database: str
    standby: bool
    available: str | None
    installed: str | None
    extension_schema: str | None
    schema_open: bool
    io_timing: bool
    preload_seen: bool
    preloaded: tuple[str, ...]
    running: tuple[str, ...]
    sees_hba: bool
    calls_hba: bool
    hidden_sequences: tuple[tuple[str, tuple[str, ...]], ...] = ()  # databases, each with the schemas that have some
    unseen_databases: tuple[tuple[str, str], ...] = ()  # each with the reason
    keeping: Keeping | None = None  # asked for only where the role is to make backups, too

    @property
    def connections(self) -> int:
        """How many the role may have."""
        return CONNECTION_LIMIT + (0 if self.keeping is None else BACKUP_CONNECTIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One statement, and why; `database` is another than the DSN's."""

    sql: str
    why: str
    database: str | None = None
    needs_restart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is missing, what is only advised or cannot be done from here, and whether a restart stands out."""

    steps: tuple[Step, ...]
    advice: tuple[str, ...]
    restart: tuple[str, ...]


def plan(facts: Facts) -> Plan:
    """Everything that is missing. On a standby that is its configuration alone; the rest comes from its primary."""
    role = () if facts.standby or facts.role_is_superuser else _role(facts)
    extension = () if facts.standby else _extension(facts)
    sequences = () if facts.standby or facts.role_is_superuser else _sequences(facts)
    steps = (*role, *extension, *_preload(facts), *sequences)
    waiting = LIBRARY in facts.preloaded and LIBRARY not in facts.running
    restart = (PRELOAD,) if waiting or any(step.needs_restart for step in steps) else ()
    return Plan(steps=steps, advice=(*_advice(facts), *_backup_advice(facts)), restart=restart)


def _role(facts: Facts) -> Iterator[Step]:
    role = quote_identifier(facts.role)
    if not facts.role_exists:
        yield Step(
            sql=f"CREATE ROLE {role} LOGIN CONNECTION LIMIT {facts.connections}",
            why="a role of its own that can only watch. It has no password yet: give it one with \\password in psql, "
            "or let it in by peer or cert in pg_hba.conf",
        )
    elif not facts.can_login:
        yield Step(sql=f"ALTER ROLE {role} LOGIN", why="Toban connects as this role")
    if facts.role_exists and not facts.connections <= facts.connection_limit:
        yield Step(
            sql=f"ALTER ROLE {role} CONNECTION LIMIT {facts.connections}",
            why="two for the daemon, two for a command beside it"
            + (", twelve for backups" if facts.keeping else "")
            + "; whatever goes wrong, no slot of others is taken",
        )
    if not facts.monitors:
        yield Step(sql=f"GRANT pg_monitor TO {role}", why="to see what the sessions of all roles are at, no data")
    for name, (value, why) in ROLE_SETTINGS.items():
        if name not in facts.role_settings:
            yield Step(sql=f"ALTER ROLE {role} SET {name} = {quote_literal(value)}", why=why)
    for database in facts.closed_databases:
        yield Step(
            sql=f"GRANT CONNECT ON DATABASE {quote_identifier(database)} TO {role}",
            why="PUBLIC may not connect to it, and its tables are looked at from within",
        )
    yield from _hba(facts)
    if facts.keeping is not None:
        yield from _backups(role, facts.keeping)


def _backups(role: str, keeping: Keeping) -> Iterator[Step]:
    """What backups take beyond watching: everything is read, and nothing can be changed all the same."""
    if not keeping.replicates:
        yield Step(sql=f"ALTER ROLE {role} REPLICATION", why="base backups and the stream of WAL are replication")
    if not keeping.reads_all:
        yield Step(sql=f"GRANT pg_read_all_data TO {role}", why="a dump reads every table; it may change none")
    if not keeping.passes_rows:
        yield Step(sql=f"ALTER ROLE {role} BYPASSRLS", why="a dump without the rows that policies hide is no backup")


def _backup_advice(facts: Facts) -> Iterator[str]:
    keeping = facts.keeping
    if keeping is not None and not keeping.enough:
        yield (
            "base backups and WAL want wal_level = replica, max_wal_senders and max_replication_slots above 0: "
            "set them and restart the server"
        )
    if keeping is not None and not keeping.slots_bounded:
        yield (
            "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf(); keeps the stream's slot from "
            "filling the disk when nobody receives: choose as much as the disk can spare"
        )


def _hba(facts: Facts) -> Iterator[Step]:
    role = quote_identifier(facts.role)
    if not facts.sees_hba:
        yield Step(
            sql=f"GRANT SELECT ON pg_catalog.pg_hba_file_rules TO {role}",
            why="to see who may come from where, no secrets; the grant counts in this database alone",
        )
    if not facts.calls_hba:
        yield Step(
            sql=f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO {role}",
            why="the view of pg_hba.conf is made by it",
        )


def _sequences(facts: Facts) -> Iterator[Step]:
    """By what there is now: default privileges are each owner's own, and would have to be changed for every one."""
    role = quote_identifier(facts.role)
    for database, schemas in sorted(facts.hidden_sequences, key=lambda found: (found[0] != facts.database, found[0])):
        yield Step(
            sql=f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {', '.join(map(quote_identifier, schemas))} TO {role}",
            why="to see which sequence ends soon, no row of any table; for sequences made later, run this again",
            database=None if database == facts.database else database,
        )


def _extension(facts: Facts) -> Iterator[Step]:
    if facts.available is None:
        return
    if facts.installed is None:
        yield Step(
            sql=f"CREATE EXTENSION IF NOT EXISTS {LIBRARY}",
            why=f"which statements cost the most; one database is enough, here it is {facts.database}",
        )
    elif facts.installed != facts.available:
        yield Step(
            sql=f"ALTER EXTENSION {LIBRARY} UPDATE",
            why=f"the server has {facts.available}, this database still {facts.installed}",
        )
    if facts.installed is not None and facts.extension_schema is not None and not facts.schema_open:
        yield Step(
            sql=f"GRANT USAGE ON SCHEMA {quote_identifier(facts.extension_schema)} TO {quote_identifier(facts.role)}",
            why=f"{LIBRARY} is installed there",
        )


def _preload(facts: Facts) -> Iterator[Step]:
    # To name a library that is not installed keeps the server from starting; a list that is not seen would be lost.
    if facts.available is None or not facts.preload_seen or LIBRARY in facts.preloaded:
        return
    libraries = ", ".join(quote_literal(library) for library in (*facts.preloaded, LIBRARY))
    yield Step(
        sql=f"ALTER SYSTEM SET {PRELOAD} = {libraries}",
        why=f"{LIBRARY} counts only when loaded at the start: the server must be restarted, at a time of your choice",
        needs_restart=True,
    )


def _advice(facts: Facts) -> Iterator[str]:
    if facts.available is None:
        yield f"{LIBRARY} is not installed on this machine: add PostgreSQL's contrib package, then run this again"
    elif not facts.preload_seen:
        yield f"this role may not see {PRELOAD}: run this again as a superuser, or see to it that {LIBRARY} is in it"
    if not facts.io_timing:
        yield (
            "ALTER SYSTEM SET track_io_timing = on; SELECT pg_reload_conf(); tells how long reads and writes take. "
            "Look first with pg_test_timing whether the clock of this machine is quick (below 100 ns)"
        )
    if facts.role_is_superuser:
        yield f"{facts.role} is a superuser and is left as it is; Toban needs none: choose another role with --role"
    for database, detail in facts.unseen_databases:
        yield f"{database} was not looked at, so that nobody knows whether {facts.role} reads its sequences: {detail}"
    if facts.standby:
        yield "this is a standby: the role and the extension come from its primary; run this there too"
