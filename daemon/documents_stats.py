"""`/api/v1/targets/{name}/stats`: the first look at one database server, out of what was measured last.

What a kind of target does not have is null or an empty list, never left out; nothing is asked of the server for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from collectors.contract import Kind
from daemon.documents import Document
from toban.samples import Sample

MOST_ROWS: Final = 50
Named = dict[tuple[str, ...], float]  # values by the labels that name a thing


class Names(NamedTuple):
    """Under which names a kind of target tells it; empty where it does not."""

    size: str = ""
    database_sizes: str = ""
    table_sizes: tuple[str, ...] = ()
    hit_ratio: str = ""
    database_hit_ratios: str = ""
    limit: str = ""
    used_ratio: str = ""
    connections: str = ""
    states: str = ""
    own: str = ""


NAMES: Final[Mapping[Kind, Names]] = {
    Kind.POSTGRESQL: Names(
        size="toban_pg_databases_size_bytes",
        database_sizes="pg_database_size_bytes",
        table_sizes=("pg_stat_user_tables_table_size_bytes", "pg_stat_user_tables_index_size_bytes"),
        hit_ratio="toban_pg_cache_hit_ratio",
        database_hit_ratios="pg_cache_hit_ratio",
        limit="toban_pg_connections_limit",
        used_ratio="pg_connections_used_ratio",
        states="toban_pg_connections",
        own="toban_pg_own_connections",
    ),
    Kind.MARIADB: Names(
        database_sizes="toban_mysql_schema_size_bytes",
        table_sizes=("mysql_info_schema_table_size",),
        hit_ratio="toban_mysql_buffer_pool_hit_ratio",
        limit="mysql_global_variables_max_connections",
        used_ratio="toban_mysql_connections_used_ratio",
        connections="mysql_global_status_threads_connected",
    ),
    Kind.SQLITE: Names(size="toban_sqlite_size_bytes"),
}
INDEX_SIZES: Final = "toban_pg_index_size_bytes"
INDEX_SCANS: Final = "toban_pg_index_scans_total"
INDEX_HIT_RATIOS: Final = "toban_pg_index_cache_hit_ratio"
OTHER: Final = "other"  # as collectors name the row that sums up what they left out: its schema, its table …
NAMED: Final = 3  # labels from which on there may be such a row


def stats_document(
    kind: Kind, samples: Iterable[Sample], *, slow: Sequence[Document], locks: Sequence[Document]
) -> Document:
    """The facts of one target; `slow` are its slowest statements, `locks` who blocks whom."""
    told: dict[str, list[Sample]] = {}
    for sample in samples:
        told.setdefault(sample.metric.name, []).append(sample)
    names = NAMES.get(kind, Names())
    sizes, hits = _by(told, names.database_sizes, 1), _by(told, names.database_hit_ratios, 1)
    return {
        "connections": _connections(told, names),
        "database_size": _one(told, names.size) if names.size else (sum(sizes.values()) if sizes else None),
        "databases": [
            {"database": name, "size_bytes": size, "cache_hit_ratio": hits.get((name,))}
            for (name,), size in _largest(sizes)
        ],
        "table_sizes": _tables(told, names),
        "slow_queries": list(slow),
        "cache_hit_ratio": _one(told, names.hit_ratio),
        "index_usage": _indexes(told),
        "locks": list(locks),
    }


def _connections(told: Mapping[str, Sequence[Sample]], names: Names) -> Document:
    """By state those of others; Toban's own are in the total and in the ratio, as they take places, too."""
    states = {name: value for (name,), value in _by(told, names.states, 1).items()}
    own = _one(told, names.own)
    total = sum(states.values()) + (own or 0.0) if states else _one(told, names.connections)
    return {
        "total": total,
        "limit": _one(told, names.limit),
        "used_ratio": _one(told, names.used_ratio),
        "states": states,
        "own": own,
    }


def _tables(told: Mapping[str, Sequence[Sample]], names: Names) -> list[Document]:
    """The largest ones, their indexes counted in. MariaDB's have no database above the schema."""
    sizes: Named = {}
    depth = 3 if len(names.table_sizes) > 1 else 2
    for name in names.table_sizes:
        for place, size in _by(told, name, depth).items():
            sizes[place] = sizes.get(place, 0.0) + size
    return [
        {"database": place[0], "schema": place[-2], "table": place[-1], "size_bytes": size}
        for place, size in _largest(sizes)
    ]


def _indexes(told: Mapping[str, Sequence[Sample]]) -> list[Document]:
    """The largest ones, and how often each was used since its statistics began."""
    scans, hits = _by(told, INDEX_SCANS, 4), _by(told, INDEX_HIT_RATIOS, 4)
    return [
        {
            **dict(zip(("database", "schema", "table", "index"), place, strict=True)),
            "size_bytes": size,
            "scans": scans.get(place),
            "cache_hit_ratio": hits.get(place),
        }
        for place, size in _largest(_by(told, INDEX_SIZES, 4))
    ]


def _by(told: Mapping[str, Sequence[Sample]], name: str, depth: int) -> Named:
    """The values of a metric by the first of its labels; what they do not tell apart is added up."""
    found: Named = {}
    for sample in told.get(name, ()):
        place = sample.labels[:depth]
        found[place] = found.get(place, 0.0) + sample.value
    return found


def _one(told: Mapping[str, Sequence[Sample]], name: str) -> float | None:
    return next((sample.value for sample in told.get(name, ())), None)


def _largest(sizes: Named) -> list[tuple[tuple[str, ...], float]]:
    """The largest first; the row that sums up those that were left out is no thing of that name."""
    named = [(place, size) for place, size in sizes.items() if len(place) < NAMED or {*place[1:]} != {OTHER}]
    return sorted(named, key=lambda one: (-one[1], one[0]))[:MOST_ROWS]
