"""A configuration of PgBouncer for a server, decided purely from what the server has; each line has its reason.

The sizes are those that served well before a server with 100 slots. They are only ever scaled down: more servers than
that at work at once rarely make PostgreSQL faster. PgBouncer cannot bound the servers of all its pools together, so
that each database gets its share of the slots as a bound of its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MOST_LISTED = 200  # databases; beyond that one line stands for all
LEAST_KEPT = 5
KEPT_SHARE = 10  # one in so many slots is kept for what does not go through the pool
FILES_ASIDE = 50  # descriptors that PgBouncer needs for itself
PREPARED_SINCE = (1, 21)
LISTEN_PORT = 6432
AUTH_USER = "pgbouncer"
CONSOLE = "pgbouncer"
MAINTENANCE = "postgres"
AUTH_QUERY = "SELECT username, secret FROM pgbouncer.user_lookup($1)"
AUTH_QUERY_SQL = r"""-- In the server, once, as a superuser. \password asks, so that the password stands in no log.
CREATE ROLE pgbouncer LOGIN;
\password pgbouncer
-- In each pooled database, as a superuser.
CREATE SCHEMA pgbouncer;
CREATE FUNCTION pgbouncer.user_lookup(wanted text, OUT username text, OUT secret text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT rolname::text, rolpassword FROM pg_authid
    WHERE rolname = wanted AND rolcanlogin AND NOT rolsuper AND coalesce(rolvaliduntil >= now(), true)
$$;
REVOKE ALL ON FUNCTION pgbouncer.user_lookup(text) FROM PUBLIC;
GRANT USAGE ON SCHEMA pgbouncer TO pgbouncer;
GRANT EXECUTE ON FUNCTION pgbouncer.user_lookup(text) TO pgbouncer;
"""
"""What an administrator runs where the verifiers may not be read: PgBouncer then asks for one at a time."""


class Preset(StrEnum):
    """What the pool is for."""

    HIGH_LOAD = "high_load"
    STABLE = "stable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The sizes of one pool at a server with slots enough."""

    size: int
    reserve: int
    most: int  # of a database, all its pools together
    wait_seconds: int
    lifetime_seconds: int


USUAL = Figures(size=25, reserve=5, most=50, wait_seconds=120, lifetime_seconds=3600)
FIGURES = {
    Preset.HIGH_LOAD: Figures(size=30, reserve=50, most=80, wait_seconds=60, lifetime_seconds=1800),
    Preset.STABLE: Figures(size=15, reserve=25, most=40, wait_seconds=30, lifetime_seconds=3600),
}
LEAST_SIZE = 5
CLIENTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """What the server is: where, how many slots, which databases, and whether its verifiers may be read."""

    host: str
    port: int
    max_connections: int
    reserved_connections: int
    databases: tuple[str, ...]
    may_read_verifiers: bool
    watcher: str
    tls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """A role that may log in, and how its password is proved, if at all."""

    role: str
    verifier: str | None = field(repr=False)
    has_password: bool
    expired: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the file. `why` names a sentence of the catalogue (`pool.WHY`), told with `values`."""

    name: str
    value: str
    why: str
    values: Mapping[str, str] = field(default_factory=dict)
    switched_off: bool = False

    @property
    def written(self) -> str:
        """As it stands in the file."""
        return f"{';' if self.switched_off else ''}{self.name} = {self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolAdvice:
    """The two sections of pgbouncer.ini, and what was left out."""

    databases: tuple[Line, ...]
    settings: tuple[Line, ...]
    left_out: tuple[str, ...] = ()
    """Databases whose names cannot stand in the file."""


def advise(
    upstream: Upstream, *, preset: Preset | None, clients: int | None, version: tuple[int, ...] | None, auth_file: str
) -> PoolAdvice:
    """What to write. `version` is that of the PgBouncer it is for; None when nobody knows."""
    names = pooled(upstream.databases)
    fitting = tuple(name for name in names if name.isprintable())
    bounds = fitted(FIGURES[preset] if preset else USUAL, upstream, len(fitting))
    return PoolAdvice(
        databases=tuple(_databases(upstream, fitting)),
        settings=(
            *_doors(upstream, auth_file),
            *_sizes(upstream, bounds, clients or CLIENTS, len(fitting)),
            *_times(bounds),
            *_habits(version),
        ),
        left_out=tuple(name for name in names if name not in fitting),
    )


def pooled(databases: tuple[str, ...]) -> tuple[str, ...]:
    """The databases that applications use: not the one for maintenance when there are others."""
    others = tuple(name for name in databases if name not in (MAINTENANCE, CONSOLE))
    return others or tuple(name for name in databases if name != CONSOLE)


def free_slots(upstream: Upstream) -> int:
    """The server's slots that the pool may take: without the reserved ones, and those that others come by."""
    usable = upstream.max_connections - upstream.reserved_connections
    return max(1, usable - kept_slots(upstream))


def kept_slots(upstream: Upstream) -> int:
    """The slots kept for what does not go through the pool: backups, migrations, Toban, people."""
    usable = upstream.max_connections - upstream.reserved_connections
    return max(LEAST_KEPT, usable // KEPT_SHARE)


def fitted(figures: Figures, upstream: Upstream, databases: int) -> Figures:
    """The figures in proportion to what each database may have of the server."""
    most = max(1, min(figures.most, free_slots(upstream) // max(1, databases)))
    size = max(1, figures.size * most // figures.most)
    return Figures(
        size=size,
        reserve=min(figures.reserve * most // figures.most, most - size),
        most=most,
        wait_seconds=figures.wait_seconds,
        lifetime_seconds=figures.lifetime_seconds,
    )


def userlist(verifiers: list[Verifier]) -> tuple[str, dict[str, str]]:
    """The userlist's text, and why each of the others is not in it: a word of the catalogue, `pool.left.WORD`."""
    left = {one.role: reason for one in verifiers if (reason := _unfit(one))}
    listed = [f"{_quoted(one.role)} {_quoted(one.verifier or '')}\n" for one in verifiers if one.role not in left]
    return "".join(listed), left


def _unfit(one: Verifier) -> str:
    if not one.role.isprintable():
        return "name"
    if one.expired:
        return "expired"
    if one.verifier is None:
        return "md5" if one.has_password else "no_password"
    return ""


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _databases(upstream: Upstream, names: tuple[str, ...]) -> Iterator[Line]:
    place = f"host={_value(upstream.host)} port={upstream.port}"
    if len(names) > MOST_LISTED:
        yield Line(name="*", value=place, why="every_database")
        return
    for name in names:
        yield Line(name=_name(name), value=f"{place} dbname={_value(name)}", why="")


def _name(name: str) -> str:
    plain = name.replace("_", "").isalnum() and name.isascii()
    return name if plain else _quoted(name)


def _value(text: str) -> str:
    plain = text.isascii() and all(letter.isalnum() or letter in "._-/:" for letter in text)
    return text if plain else "'" + text.replace("'", "''") + "'"


def _doors(upstream: Upstream, auth_file: str) -> Iterator[Line]:
    yield Line(name="listen_addr", value="127.0.0.1", why="listen_addr")
    yield Line(name="listen_port", value=str(LISTEN_PORT), why="listen_port")
    yield Line(name="unix_socket_dir", value="/var/run/postgresql", why="unix_socket_dir")
    yield Line(name="auth_type", value="scram-sha-256", why="auth_type")
    yield Line(name="auth_file", value=auth_file, why="auth_file")
    if not upstream.may_read_verifiers:
        yield Line(name="auth_user", value=AUTH_USER, why="auth_user")
        yield Line(name="auth_query", value=AUTH_QUERY, why="auth_query")
    yield Line(name="stats_users", value=upstream.watcher, why="stats_users")
    for name, value in upstream.tls.items():
        yield Line(name=name, value=value, why="tls")


def _sizes(upstream: Upstream, bounds: Figures, clients: int, databases: int) -> Iterator[Line]:
    files = str(clients + databases * bounds.most + FILES_ASIDE)
    yield Line(name="pool_mode", value="transaction", why="pool_mode")
    yield Line(name="max_client_conn", value=str(clients), why="max_client_conn", values={"files": files})
    yield Line(name="default_pool_size", value=str(bounds.size), why="default_pool_size")
    yield Line(name="min_pool_size", value=str(min(LEAST_SIZE, bounds.size)), why="min_pool_size")
    yield Line(name="reserve_pool_size", value=str(bounds.reserve), why="reserve_pool_size")
    yield Line(name="reserve_pool_timeout", value="5", why="reserve_pool_timeout")
    slots = {
        "max_connections": str(upstream.max_connections),
        "reserved": str(upstream.reserved_connections),
        "kept": str(kept_slots(upstream)),
        "databases": str(databases),
    }
    yield Line(name="max_db_connections", value=str(bounds.most), why="max_db_connections", values=slots)


def _times(bounds: Figures) -> Iterator[Line]:
    yield Line(name="query_wait_timeout", value=str(bounds.wait_seconds), why="query_wait_timeout")
    yield Line(name="server_idle_timeout", value="600", why="server_idle_timeout")
    yield Line(name="server_lifetime", value=str(bounds.lifetime_seconds), why="server_lifetime")


def _habits(version: tuple[int, ...] | None) -> Iterator[Line]:
    knows = version is not None and version >= PREPARED_SINCE
    why = "max_prepared_statements" if knows else "max_prepared_statements_off"
    yield Line(name="max_prepared_statements", value="200", why=why, switched_off=not knows)
    yield Line(name="ignore_startup_parameters", value="extra_float_digits", why="ignore_startup_parameters")
    yield Line(name="log_connections", value="1", why="log_connections")
    yield Line(name="log_disconnections", value="1", why="log_disconnections")
    yield Line(name="log_pooler_errors", value="1", why="log_pooler_errors")
