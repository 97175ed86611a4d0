"""Rows written between two noted moments come back exactly up to the asked one, on servers that live in Japan."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from backup.restore.contract import Aim, Moment
from tests.backup.base.bench import LATEST, Bench, archiving
from tests.clusters import absence, installations

pytestmark = pytest.mark.integration


@dataclass(frozen=True, kw_only=True)
class Noted:
    """What was noted while rows were written: 1, the time, 2 by this transaction, the name and the place, 3."""

    bench: Bench
    at: float
    xid: str
    lsn: str


@pytest.fixture(scope="module", params=[15, 16, 18])
def noted(request: pytest.FixtureRequest) -> Iterator[Noted]:
    """A server of each major version, a backup of it, and rows written since."""
    if request.param not in installations():
        pytest.skip(absence(request.param))
    with archiving(request.param) as bench:
        server = bench.cluster
        server.psql("CREATE TABLE t (n int)")
        asyncio.run(bench.back_up())
        server.psql("INSERT INTO t VALUES (1)")
        at = float(server.psql("SELECT extract(epoch FROM clock_timestamp())"))
        xid = server.psql("INSERT INTO t VALUES (2) RETURNING pg_current_xact_id()")
        server.psql("SELECT pg_create_restore_point('二の''後 100%')")
        lsn = server.psql("SELECT pg_current_wal_lsn()")
        server.psql("INSERT INTO t VALUES (3)")
        bench.archived()
        yield Noted(bench=bench, at=at, xid=xid, lsn=lsn)


async def test_base_backup_comes_back_up_to_a_time(noted: Noted) -> None:
    """A time is an epoch second, whatever zone the server thinks in: what was committed later is not there."""
    assert await noted.bench.rows_at(Moment(aim=Aim.TIME, at=noted.at)) == "1"


async def test_base_backup_comes_back_up_to_a_transaction(noted: Noted) -> None:
    """The transaction itself is there, the next is not."""
    assert await noted.bench.rows_at(Moment(aim=Aim.XID, value=noted.xid)) == "1,2"


async def test_base_backup_comes_back_up_to_a_restore_point(noted: Noted) -> None:
    """A name with a quote, a percent sign and Japanese."""
    assert await noted.bench.rows_at(Moment(aim=Aim.NAME, value="二の'後 100%")) == "1,2"


async def test_base_backup_comes_back_up_to_a_position(noted: Noted) -> None:
    """What stands before it in the WAL is there, and nothing after it."""
    assert await noted.bench.rows_at(Moment(aim=Aim.LSN, value=noted.lsn)) == "1,2"


async def test_base_backup_comes_back_wholly(noted: Noted) -> None:
    """The latest moment: every row."""
    assert await noted.bench.rows_at(LATEST) == "1,2,3"


async def test_base_backup_is_read_through(noted: Noted) -> None:
    """Every check of a sound backup passes."""
    found = await noted.bench.verify(noted.bench.records[-1])
    assert {name: check.ok for name, check in found.items()} == {
        "backup_manifest": True,
        "positions": True,
        "files": True,
        "backup_label": True,
        "wal": True,
        "wal records": True,
    }
