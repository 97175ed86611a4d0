"""Sequences near their end, on real servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from collectors.postgresql.sequences import SKIPPED, USED, Sequences, SequencesSettings
from collectors.postgresql.server import Databases
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask, series, value, watching
from tests.conftest import NewCluster, StandbyOf
from tests.waiting import eventually
from toban.outcomes import Reason

pytestmark = pytest.mark.integration
INT4_MAX, INT2_MAX, INT8_MAX = 2**31 - 1, 2**15 - 1, 2**63 - 1


@asynccontextmanager
async def measured(
    cluster: Cluster, clock: ManualClock, *names: str, user: str = "postgres", top: int = 20
) -> AsyncIterator[Sequences]:
    """The collector on some databases."""
    async with watching(cluster, clock, user=user, databases=Databases(include=names)) as server:
        yield Sequences(server, SequencesSettings(top=top, pause=0.0), clock)


async def used(cluster: Cluster, clock: ManualClock, database: str) -> dict[str, float]:
    """How much of each sequence of a database is used."""
    async with measured(cluster, clock, database) as collector:
        found = await collector.collect()
    assert found.gaps == ()
    return {sequence: ratio for (_, _, sequence), ratio in series(found, USED).items()}


async def test_sequences_tell_how_much_is_used(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """By their own bounds, rising or falling; what cycles is left out, what was never asked has used nothing."""
    await postgres.execute(
        "CREATE SEQUENCE nine AS int MAXVALUE 1000001 MINVALUE 1; SELECT setval('nine', 900001);"
        "CREATE SEQUENCE falling AS int INCREMENT -1 MINVALUE -100 MAXVALUE 0; SELECT setval('falling', -75);"
        "CREATE SEQUENCE round MAXVALUE 10 CYCLE; SELECT setval('round', 9);"
        "CREATE SEQUENCE fresh",
        unique_database,
    )
    assert await used(postgres, manual_clock, unique_database) == {
        "nine": 0.9,
        "falling": 0.75,
        "fresh": 0.0,
    }


async def test_a_sequence_ends_with_the_column_it_feeds(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """A bigint sequence behind an int column, owned or only its default, ends at 2^31-1."""
    at = int(0.9 * INT4_MAX)
    await postgres.execute(
        "CREATE TABLE t (a serial, b bigserial, c int GENERATED ALWAYS AS IDENTITY, d smallserial);"
        "CREATE SEQUENCE owned; ALTER TABLE t ADD e int DEFAULT nextval('owned'); ALTER SEQUENCE owned OWNED BY t.e;"
        "CREATE SEQUENCE loose; ALTER TABLE t ADD f int DEFAULT nextval('loose');"
        f"SELECT setval('t_a_seq', {at}), setval('t_b_seq', {at}), setval('t_c_seq', {at}), setval('t_d_seq', 32767),"
        f" setval('owned', {at}), setval('loose', {at})",
        unique_database,
    )
    assert await used(postgres, manual_clock, unique_database) == pytest.approx(
        {
            "t_a_seq": (at - 1) / (INT4_MAX - 1),
            "t_b_seq": (at - 1) / (INT8_MAX - 1),
            "t_c_seq": (at - 1) / (INT4_MAX - 1),
            "t_d_seq": 1.0,
            "owned": (at - 1) / (INT4_MAX - 1),
            "loose": (at - 1) / (INT4_MAX - 1),
        }
    )


async def test_sequences_shown_are_the_furthest_on_of_all_databases(
    new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """However they are spread."""
    cluster = new_cluster()
    for database, step in (("d0", 10), ("d1", 30)):
        await cluster.execute(f"CREATE DATABASE {database}")
        for n in range(1, 4):
            await cluster.execute(
                f"CREATE SEQUENCE s{n} MINVALUE 0 MAXVALUE 100; SELECT setval('s{n}', {step * n})", database
            )
    async with measured(cluster, manual_clock, "d*", top=4) as collector:
        found = await collector.collect()
    assert series(found, USED) == {
        ("d1", "public", "s3"): 0.9,
        ("d1", "public", "s2"): 0.6,
        ("d1", "public", "s1"): 0.3,
        ("d0", "public", "s3"): 0.3,
    }


async def test_sequences_under_change_are_left_out(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """ALTER SEQUENCE is not waited for; names may be anything."""
    await postgres.execute('CREATE SEQUENCE held; CREATE SEQUENCE "連番 ""1"""', unique_database)
    holder = await postgres.connect(unique_database)
    await holder.execute("BEGIN; ALTER SEQUENCE held RESTART 5")
    async with measured(postgres, manual_clock, unique_database) as collector:
        found = await collector.collect()
    await holder.close()
    assert series(found, USED) == {(unique_database, "public", '連番 "1"'): 0.0}
    assert series(found, SKIPPED) == {(unique_database, "locked"): 1}
    assert [(gap.reason, gap.count) for gap in found.gaps] == [(Reason.LOCKED, 1)]


async def test_sequences_that_the_role_may_not_read_are_told_with_the_mend(
    new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """pg_monitor alone reads no sequence; with the grant of the command that the hint names it does."""
    cluster = new_cluster()
    await cluster.execute("CREATE ROLE watcher LOGIN IN ROLE pg_monitor; CREATE SEQUENCE s")
    async with measured(cluster, manual_clock, "postgres", user="watcher") as collector:
        found = await collector.collect()
        (gap,) = found.gaps
        assert (gap.reason, gap.count, value(found, SKIPPED, "postgres", "privilege")) == (Reason.PRIVILEGE, 1, 1)
        assert "`toban setup postgresql DSN --apply`" in gap.hint
        await cluster.execute("GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO watcher")
        assert series(await collector.collect(), USED) == {("postgres", "public", "s"): 0.0}


async def test_sequences_are_read_on_a_standby(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """As replayed; one without WAL has no value there."""
    primary = new_cluster()
    await primary.execute(
        "CREATE SEQUENCE s MINVALUE 0 MAXVALUE 1000; SELECT setval('s', 500);"
        "CREATE UNLOGGED TABLE u (a serial); INSERT INTO u DEFAULT VALUES"
    )
    standby = standby_of(primary)
    await eventually(lambda: ask(standby, "SELECT to_regclass('u')"))
    assert await used(standby, manual_clock, "postgres") == {"s": 0.5}


MANY = """
DO $$ BEGIN FOR n IN 0..14 LOOP
    FOR m IN 1..100 LOOP EXECUTE format('CREATE SEQUENCE s%s MINVALUE 0 MAXVALUE 10000', n * 100 + m); END LOOP;
    COMMIT;
END LOOP; END $$
"""


async def test_sequences_are_read_without_filling_the_lock_table(
    new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """To read one is to lock it till the statement ends: 1,500 at once are more than this server has room for."""
    cluster = new_cluster(settings={"max_locks_per_transaction": "10", "max_connections": "10"})
    await cluster.execute(MANY)
    await cluster.execute("SELECT setval('s1', 7000), setval('s777', 9000), setval('s1500', 8000)")
    async with measured(cluster, manual_clock, "postgres", top=3) as collector:
        found = await collector.collect()
    assert found.gaps == ()
    assert series(found, USED) == {
        ("postgres", "public", "s777"): 0.9,
        ("postgres", "public", "s1500"): 0.8,
        ("postgres", "public", "s1"): 0.7,
    }
    assert "out of shared memory" not in cluster.log_text()
