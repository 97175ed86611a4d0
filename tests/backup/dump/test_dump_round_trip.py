from collections.abc import Callable

import pytest

from tests.backup.dump.conftest import ROWS, fill, unfill
from tests.backup.dump.dumps import AWKWARD, Bench, Sealed, a_job, content_of, databases_of, modes_below, properties_of
from tests.clusters import Cluster
from toban.backups import TableRows

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("options", "jobs"),
    [
        ({"format": "custom"}, 1),
        ({"format": "custom", "compress": "lz4:3"}, 2),
        ({"format": "custom", "compress": "gzip:4"}, 2),
        ({"format": "custom", "compress": "none"}, 1),
        ({"format": "directory", "jobs": 2}, 2),
        ({"format": "plain"}, 1),
        ({"format": "plain", "compress": "none"}, 1),
    ],
    ids=lambda value: "-".join(str(one) for one in value.values()) if isinstance(value, dict) else str(value),
)
async def test_a_dump_comes_back_equal(
    options: dict[str, object], jobs: int, source: Cluster, elsewhere: Cluster, bench: Bench
) -> None:
    """Schema, rows, sequences, large objects, privileges, comments, settings: whatever the format."""
    record = await bench.dumped(source, a_job(**options))
    assert all(check.ok for check in await bench.verified(record)), await bench.verified(record)

    assert (await bench.preflight(record, elsewhere.dsn(), jobs=jobs)).ok
    restored = await bench.restored(record, elsewhere.dsn(), jobs=jobs)

    assert restored.databases == (AWKWARD,)
    assert content_of(elsewhere, AWKWARD) == content_of(source, AWKWARD)
    assert properties_of(elsewhere, AWKWARD) == properties_of(source, AWKWARD)
    assert databases_of(elsewhere) == {"postgres", AWKWARD}


@pytest.mark.parametrize("major", [16, 18])
async def test_a_dump_of_later_major_versions_comes_back(
    major: int, shared_cluster: Callable[[int], Cluster], bench: Bench
) -> None:
    """By the programs of that version, compressed by a pipe where its pg_dump was built without it."""
    shared = shared_cluster(major)
    try:
        fill(shared)
        record = await bench.dumped(shared, chosen=lambda name: name == AWKWARD)
        assert all(check.ok for check in await bench.verified(record))
        await bench.restored(record, shared.dsn(), rename="again")
        assert content_of(shared, "again") == content_of(shared, AWKWARD)
        assert properties_of(shared, "again") == properties_of(shared, AWKWARD)
        assert record.manifest.server_version.startswith(str(major))
    finally:
        await unfill(shared, AWKWARD, "again")


@pytest.mark.parametrize(
    ("options", "jobs"),
    [({"format": "custom"}, 1), ({"format": "custom"}, 2), ({"format": "directory"}, 2), ({"format": "plain"}, 1)],
    ids=["custom", "custom, in parallel", "directory", "plain"],
)
async def test_a_sealed_dump_comes_back_equal(
    options: dict[str, object], jobs: int, source: Cluster, elsewhere: Cluster, bench: Bench
) -> None:
    """Through the program that opens it, or in a copy where somebody has to go to and fro in it."""
    record = await bench.dumped(source, a_job(**options))
    clear = bench.home / "clear"
    clear.mkdir()
    bench.sealed = Sealed(record, clear)
    assert all(check.ok for check in await bench.verified(record))
    await bench.restored(record, elsewhere.dsn(), jobs=jobs)
    assert content_of(elsewhere, AWKWARD) == content_of(source, AWKWARD)


async def test_rows_are_those_of_each_table_alone(source: Cluster, bench: Bench) -> None:
    """Partitions and heirs count once, for themselves; large objects are counted too."""
    record = await bench.dumped(source)
    expected = tuple(
        TableRows(database=AWKWARD, schema=schema, table=table, rows=rows)
        for (schema, table), rows in sorted(ROWS.items())
    )
    assert record.manifest.rows == expected


async def test_a_dump_leaves_nothing_but_its_files_closed_to_others(source: Cluster, bench: Bench) -> None:
    """Mode 0600 and 0700 for every format, and no password file or folder stays in the workspace."""
    for options in ({"format": "custom"}, {"format": "directory"}, {"format": "plain"}):
        record = await bench.dumped(source, a_job(**options))
        assert modes_below(record.place) <= {(True, 0o700), (False, 0o600)}
    assert list(bench.around.workspace.iterdir()) == []
