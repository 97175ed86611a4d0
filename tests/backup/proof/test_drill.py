"""Drills: real restores to a moment, with what would be lost and how long it took; and what they come to."""

import asyncio
import errno
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import pytest

from backup.drill import Drilling, _newest, drill, last_commit
from backup.engines.contract import Contents, Surroundings
from backup.errors import BackupError
from backup.forecast import Pace
from backup.restore.base import BaseRestorer
from backup.restore.contract import Aim, Moment, Preflight, Restorer
from backup.settings import Beat, Drill, Proof
from backup.wal.heartbeat import Heart, newest
from backup.way import Way
from tests.backup.base.bench import LATEST, Bench, archiving
from tests.backup.proof.scenes import MEGABYTE, StandIn, a_record, loaded_with, named
from toban.backups import BackupRecord, Check, Method, Trouble
from toban.secrets import Dsn

pytestmark = pytest.mark.integration
GOALS = Drill(name="quarterly", backup="base")


@dataclass(kw_only=True)
class Shelved:
    """A repository of what a bench has made."""

    bench: Bench | None = None
    wal: Path = Path("/nonexistent")

    def lineage(self, record: BackupRecord) -> tuple[BackupRecord, ...]:
        """Itself, and those before."""
        return tuple(one for one, _ in self.bench.lineage(record)) if self.bench else (record,)

    def contents(self, record: BackupRecord, workspace: Path) -> Contents:
        """Its files."""
        assert self.bench is not None
        return {one.id: files for one, files in self.bench.lineage(record)}[record.id]

    def wal_place(self, target: str) -> Path:
        """Where its WAL is."""
        return self.bench.wal if self.bench else self.wal


class NoFiles(Shelved):
    """For ways back that read nothing."""

    def contents(self, record: BackupRecord, workspace: Path) -> Contents:
        """None."""
        return None  # type: ignore[return-value]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A server whose backup and WAL are there, and the moments of two commits and a heartbeat."""

    bench: Bench
    record: BackupRecord
    first_at: float
    last_at: float
    beat_at: float


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """A base backup, a row, a later row, a heartbeat, all archived."""
    with archiving(15) as bench:
        server = bench.cluster
        server.psql("CREATE TABLE t (n int)")
        heart = Heart(Beat(enabled=True), Dsn(server.dsn()), workspace=bench.around.workspace, node="n")
        asyncio.run(heart.once())
        record = asyncio.run(bench.back_up())
        moments = []
        for number in (1, 2):
            server.psql(f"INSERT INTO t VALUES ({number})")
            moments.append(float(server.psql("SELECT extract(epoch FROM clock_timestamp())")))
        beat = asyncio.run(heart.once())
        assert beat is not None
        bench.archived()
        yield Scene(bench=bench, record=record, first_at=moments[0], last_at=moments[1], beat_at=beat)


def a_drilling(
    around: Surroundings, record: BackupRecord, restorer: Restorer, moment: Moment = LATEST, **more: object
) -> Drilling:
    """A drill of this backup."""
    given = {"drill": GOALS, "shelves": NoFiles(), "settings": Proof(), **more}
    return Drilling(
        record=record,
        moment=moment,
        restorer_of=lambda _: restorer,
        around=around,
        tell=lambda _: None,
        **given,  # type: ignore[arg-type]
    )


async def test_what_nobody_has_foreseen_on_this_machine_is_part_of_the_record(around: Surroundings) -> None:
    """A disk that is full under our own files: the drill is not held, and its record says why."""
    full = StandIn(error=OSError(errno.ENOSPC, "No space left on device"))  # type: ignore[arg-type] # of the machine's
    done = await drill(a_drilling(around, a_record(Method.FILES, kind="host"), full))
    assert (done.ok, done.recovered_to) == (False, None)
    assert done.reason == "scratch place: [Errno 28] No space left on device"


@pytest.mark.parametrize(
    ("detail", "expected"), [({}, 1010.0), ({"copied_at": None}, 1010.0), ({"copied_at": 1003.5}, 1003.5)]
)
async def test_backup_brings_back_no_more_than_was_copied(
    around: Surroundings, tmp_path: Path, detail: dict[str, float | None], expected: float
) -> None:
    """What was done to its files afterwards (packed, sealed, read) brings no later moment back."""
    record = a_record(Method.BASE, detail=detail)
    nobody = SimpleNamespace(said=())
    assert await _newest(a_drilling(around, record, StandIn()), nobody) == expected  # type: ignore[arg-type] # its log


async def test_restore_that_is_thrown_away_waits_for_no_disk(
    around: Surroundings, scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A drill's own; one for people is on the disk before it has its name."""
    flushed, synced = list[bool](), list[Path]()
    place = tmp_path / "data"
    monkeypatch.setattr(
        "backup.restore.base.flush", lambda stage: flushed.append(stage.is_dir() and not place.exists())
    )
    monkeypatch.setattr("backup.restore.basing.placing._sync", synced.append)
    assert (await drill(a_drilling(around, scene.record, BaseRestorer(), shelves=Shelved(bench=scene.bench)))).ok
    assert (flushed, synced) == ([], [])
    wanted = scene.bench.wanted(scene.record, place, owner=pwd.getpwuid(os.geteuid()).pw_name)
    await BaseRestorer().restore(wanted, around, tmp_path, lambda _: None)
    assert (flushed, synced) == ([True], [tmp_path])


async def test_drill_to_the_latest_moment_measures_loss_and_time(around: Surroundings, scene: Scene) -> None:
    """All WAL is replayed: the newest commit that came back is the measure, and the phases add up to the time."""
    drilling = a_drilling(
        around,
        scene.record,
        BaseRestorer(),
        shelves=Shelved(bench=scene.bench),
        paces=[Pace(at=1, size_bytes=1, seconds=1)],
    )
    done = await drill(drilling)
    assert done.ok, done.reason
    assert done.recovered_to is not None
    assert scene.beat_at - 1 < done.recovered_to < scene.beat_at + 1
    assert done.rpo_seconds == max(0.0, done.at - done.recovered_to)
    assert done.rto_seconds == done.phases["restore"] + done.phases["recovery"]
    assert (done.rpo_goal_seconds, done.rto_goal_seconds) == (900.0, 1800.0)
    assert done.wanted == "latest"
    assert done.id.endswith("Z-quarterly")
    assert done.restored_bytes > MEGABYTE
    assert done.forecast_seconds is not None
    assert {name: ok for name, ok in named(done.checks).items() if ok is not True} == {}
    assert {"restore", "recovery", "rpo", "rto"} <= named(done.checks).keys()


async def test_drill_measures_by_the_heartbeat_that_came_back(around: Surroundings, scene: Scene) -> None:
    """Where one is beaten, it is read in the restored server."""

    async def beat(way: Way) -> float | None:
        async with way.connected() as connection:
            assert await connection.fetchval("SELECT count(*) FROM t") == 2
            return await newest(connection, "toban")

    done = await drill(a_drilling(around, scene.record, BaseRestorer(), shelves=Shelved(bench=scene.bench), beat=beat))
    assert done.recovered_to is not None
    assert done.recovered_to >= scene.beat_at

    async def nothing(way: Way) -> float | None:
        raise asyncpg.UndefinedTableError('relation "heartbeat" does not exist')

    shelves = Shelved(bench=scene.bench)
    done = await drill(a_drilling(around, scene.record, BaseRestorer(), shelves=shelves, beat=nothing))
    assert (done.ok, done.reason) == (False, 'scratch server: relation "heartbeat" does not exist')


async def test_drill_to_a_time_measures_from_that_time(around: Surroundings, scene: Scene) -> None:
    """What is lost is what lies between the newest commit before it and the moment asked for."""
    moment = Moment(aim=Aim.TIME, at=scene.first_at)
    done = await drill(a_drilling(around, scene.record, BaseRestorer(), moment, shelves=Shelved(bench=scene.bench)))
    assert done.ok, done.reason
    assert done.recovered_to is not None
    assert done.recovered_to <= scene.first_at
    assert done.rpo_seconds == pytest.approx(scene.first_at - done.recovered_to)
    assert done.wanted.endswith("+00:00")


async def test_drill_that_misses_its_goals_is_not_fine(around: Surroundings, scene: Scene) -> None:
    """It came back, later than wanted: each measure is told beside its goal."""
    strict = Drill.model_validate({"name": "strict", "backup": "base", "rpo_goal": "1ms", "rto_goal": "1ms"})
    drilling = a_drilling(
        around, scene.record, BaseRestorer(), Moment(), shelves=Shelved(bench=scene.bench), drill=strict
    )
    done = await drill(drilling)
    assert not done.ok
    assert (named(done.checks)["rpo"], named(done.checks)["rto"]) == (False, False)
    assert done.reason.startswith("RPO ")
    assert "RTO " in done.reason
    assert done.reason.endswith("the goal is 1 ms")


async def test_drill_of_a_dump_restores_the_databases_that_it_names(around: Surroundings) -> None:
    """A partial drill: one database of two; the moment that comes back is the dump's own."""
    record = a_record(databases=("shop", "ledger"), created_at=around.clock.now() - 100)
    restorer = StandIn(fill=loaded_with(15, "CREATE DATABASE shop"))
    partial = Drill.model_validate({"name": "monthly", "backup": "nightly", "databases": ["shop"]})
    done = await drill(a_drilling(around, record, restorer, drill=partial))
    assert done.ok, done.reason
    assert [wanted.database for wanted in restorer.wanted] == ["shop"]
    assert [wanted.moment for wanted in restorer.wanted] == [Moment()]
    assert done.recovered_to == record.manifest.created_at
    assert done.rpo_seconds is not None
    assert 100 <= done.rpo_seconds < 200
    assert done.restored_bytes == MEGABYTE
    assert done.rto_seconds == done.phases["start"] + done.phases["restore"]


async def test_drill_of_other_kinds_restores_into_a_folder(around: Surroundings) -> None:
    """A file, folders: the time that the way back takes."""
    done = await drill(a_drilling(around, a_record(kind="sqlite"), StandIn()))
    assert done.recovered_to == 1000.0
    assert done.rto_seconds == done.phases["restore"]
    assert not done.ok  # 1970 is more than 15 minutes ago
    assert named(done.checks)["rto"] is True


async def test_drill_that_fails_says_why_and_measures_nothing(around: Surroundings) -> None:
    """The way back has failed; a database is missing; the preflight speaks against it."""
    broken = StandIn(error=BackupError("place", "no room", trouble=Trouble.SPACE))
    done = await drill(a_drilling(around, a_record(Method.BASE), broken))
    assert (done.ok, done.rpo_seconds, done.rto_seconds, done.recovered_to) == (False, None, None, None)
    assert done.reason == "place: no room"
    lacking = StandIn(preflight_=Preflight(checks=(Check(name="wal", ok=False, detail="WAL is missing from 0/3"),)))
    done = await drill(a_drilling(around, a_record(Method.BASE), lacking, Moment(aim=Aim.XID, value="77")))
    assert (done.reason, done.wanted) == ("preflight: WAL is missing from 0/3", "77")


def test_last_commit_is_read_out_of_the_log() -> None:
    """The last such line counts, whatever zone it is told in."""
    lines = [
        "LOG:  last completed transaction was at log time 2026-11-21 01:00:00.5+00",
        "LOG:  last completed transaction was at log time 2026-11-21 11:00:00.25+09",
        "LOG:  archive recovery complete",
    ]
    assert last_commit(lines) == [1795226400.25]
    assert last_commit(["LOG:  redo is not required"]) == []
