"""One target at a glance: the fields that the contract names, whatever kind of target it is."""

import pytest

from collectors.contract import Kind
from daemon.documents import Document
from daemon.documents_stats import MOST_ROWS, stats_document
from tests.builders import a_metric, a_sample
from toban.samples import Sample

FIELDS = {
    "connections",
    "database_size",
    "databases",
    "table_sizes",
    "slow_queries",
    "cache_hit_ratio",
    "index_usage",
    "locks",
}
TABLE = ("datname", "schemaname", "relname")


def value(name: str, number: float, **labels: str) -> Sample:
    """One value as a collector brings it."""
    return a_sample(a_metric(name, labels=tuple(labels)), number, labels=tuple(labels.values()))


def of_table(name: str, number: float, *place: str) -> Sample:
    """One value of a table or an index."""
    labels = (*TABLE, "indexrelname")[: len(place)]
    return value(name, number, **dict(zip(labels, place, strict=True)))


def told(kind: Kind, *samples: Sample) -> Document:
    """The document of these values."""
    return stats_document(kind, samples, slow=[{"queryid": "1"}], locks=[{"pid": 7}])


def test_stats_of_a_postgresql_server_have_all_that_the_contract_names() -> None:
    """Sizes with their indexes, the largest first; what a collector summed up under `other` is no table."""
    tables, indexes = "pg_stat_user_tables_table_size_bytes", "pg_stat_user_tables_index_size_bytes"
    document = told(
        Kind.POSTGRESQL,
        value("toban_pg_connections", 3.0, state="active"),
        value("toban_pg_connections", 5.0, state="idle"),
        value("toban_pg_own_connections", 2.0),
        value("toban_pg_connections_limit", 97.0),
        value("pg_connections_used_ratio", 10 / 97),
        value("toban_pg_databases_size_bytes", 300.0),
        value("pg_database_size_bytes", 100.0, datname="a"),
        value("pg_database_size_bytes", 200.0, datname="b"),
        value("toban_pg_cache_hit_ratio", 0.75),
        value("pg_cache_hit_ratio", 0.5, datname="b"),
        of_table(tables, 10.0, "a", "public", "small"),
        of_table(tables, 20.0, "a", "public", "other"),
        of_table(indexes, 5.0, "a", "public", "other"),
        of_table(tables, 99.0, "a", "other", "other"),
        of_table("toban_pg_index_size_bytes", 5.0, "a", "public", "other", "other_pkey"),
        of_table("toban_pg_index_scans_total", 12.0, "a", "public", "other", "other_pkey"),
    )
    assert document == {
        "connections": {
            "total": 10.0,
            "limit": 97.0,
            "used_ratio": 10 / 97,
            "states": {"active": 3.0, "idle": 5.0},
            "own": 2.0,
        },
        "database_size": 300.0,
        "databases": [
            {"database": "b", "size_bytes": 200.0, "cache_hit_ratio": 0.5},
            {"database": "a", "size_bytes": 100.0, "cache_hit_ratio": None},
        ],
        "table_sizes": [
            {"database": "a", "schema": "public", "table": "other", "size_bytes": 25.0},
            {"database": "a", "schema": "public", "table": "small", "size_bytes": 10.0},
        ],
        "slow_queries": [{"queryid": "1"}],
        "cache_hit_ratio": 0.75,
        "index_usage": [
            {
                "database": "a",
                "schema": "public",
                "table": "other",
                "index": "other_pkey",
                "size_bytes": 5.0,
                "scans": 12.0,
                "cache_hit_ratio": None,
            }
        ],
        "locks": [{"pid": 7}],
    }


def test_stats_of_mariadb_add_up_what_it_tells_in_parts() -> None:
    """It has schemas instead of databases, and tells a table's data and its indexes apart."""
    table = "mysql_info_schema_table_size"
    document = told(
        Kind.MARIADB,
        value("mysql_global_status_threads_connected", 4.0),
        value("toban_mysql_schema_size_bytes", 30.0, schema="shop"),
        value("toban_mysql_schema_size_bytes", 12.0, schema="old"),
        value(table, 20.0, schema="shop", table="orders", component="data_length"),
        value(table, 10.0, schema="shop", table="orders", component="index_length"),
    )
    assert document["connections"]["total"] == 4.0
    assert document["database_size"] == 42.0
    assert document["table_sizes"] == [{"database": "shop", "schema": "shop", "table": "orders", "size_bytes": 30.0}]


@pytest.mark.parametrize("kind", Kind)
def test_stats_of_a_target_that_told_nothing_have_every_field(kind: Kind) -> None:
    """Null and empty: a program need not ask whether the field is there."""
    document = told(kind)
    assert set(document) == FIELDS
    assert document["database_size"] is None
    assert document["connections"] == {"total": None, "limit": None, "used_ratio": None, "states": {}, "own": None}


def test_stats_are_bounded() -> None:
    """Fifty tables are a look; whoever wants all of them has `/metrics`."""
    sizes = [of_table("pg_stat_user_tables_table_size_bytes", n, "a", "public", f"t{n}") for n in range(100)]
    tables = told(Kind.POSTGRESQL, *sizes)["table_sizes"]
    assert len(tables) == MOST_ROWS
    assert tables[0]["table"] == "t99"
