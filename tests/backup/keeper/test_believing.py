"""Proofs and drills through the keeper: what is written down of them, and who is told."""

from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from backup import keeper as keeper_module
from backup.errors import BackupError
from backup.keeping.drilling import beat_of, drilled
from backup.keeping.happenings import Kind
from backup.keeping.reading import believed
from backup.repository.holds import holds_on
from backup.restore.contract import Aim
from backup.settings import Beat, Drill
from tests.backup.keeper.conftest import Bench, NewBench, run
from tests.backup.keeper.records import DAY, HOUR, a_job, a_record, proved_at
from tests.builders import START
from tests.mounts import read_only
from toban.backups import Belief, Check, DrillRecord, Marks, RestoreProof, Status, Trouble, Verdict
from toban.clock import moment
from toban.secrets import Dsn


@pytest.mark.parametrize(
    ("verdict", "kind", "status", "belief"),
    [
        (Verdict.PROVEN, None, Status.OK, Belief.PROVEN),
        (Verdict.DAMAGED, Kind.DAMAGED, Status.DAMAGED, None),
        (Verdict.INCONCLUSIVE, Kind.FAILED, Status.OK, Belief.VERIFIED),
    ],
)
async def test_proof_is_written_down_and_what_is_none_is_told(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    verdict: Verdict,
    kind: Kind | None,
    status: Status,
    belief: Belief | None,
) -> None:
    """A damaged one marks the backup; one that decided nothing is no pass."""
    record = await run(bench)

    async def prove_record(*_: object, **__: object) -> RestoreProof:
        assert len(holds_on(bench.root, record)) == 1
        return proved_at(START + 5, verdict)

    monkeypatch.setattr(keeper_module, "prove_record", prove_record)
    proof = await bench.keeper.prove(record, bench.tell)
    (found,) = await bench.keeper.records()
    assert (proof.verdict, found.status, found.belief) == (verdict, status, belief)
    told = [] if kind is None else [(kind, f"proof of {record.id}: because")]
    assert [(one.kind, one.sentence) for one in bench.heard] == told
    assert holds_on(bench.root, record) == []


@pytest.mark.integration
async def test_damage_that_cannot_be_written_down_is_told_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that rots is made read-only first: whoever reads the backup then finds it, and people are to know."""
    record = await run(bench)
    bench.engine.looks = [(Check(name="content", ok=False, detail="page 3"),)]

    async def prove_record(*_: object, **__: object) -> RestoreProof:
        return proved_at(START + 5, Verdict.DAMAGED)

    monkeypatch.setattr(keeper_module, "prove_record", prove_record)
    with read_only(bench.root):
        found = await bench.keeper.verify(record, bench.tell)
        proof = await bench.keeper.prove(record, bench.tell)
    assert (found.status, proof.verdict) == (Status.DAMAGED, Verdict.DAMAGED)
    unwritten = f"what was found of {record.id} could not be written down: "
    assert [(one.kind, one.sentence.startswith(unwritten)) for one in bench.heard] == [
        *((Kind.FAILED, True), (Kind.DAMAGED, False)),
        *((Kind.FAILED, True), (Kind.DAMAGED, False)),
    ]
    assert bench.heard[1].sentence == f"{record.id}: its verification failed: content: page 3"


def test_proof_that_decides_nothing_takes_nothing_back() -> None:
    """The one before stands; a later one that decides clears it away."""
    proven, unsure = proved_at(START), proved_at(START + DAY, Verdict.INCONCLUSIVE)
    marks = believed(Marks(proof=proven), unsure)
    assert (marks.proof, marks.inconclusive) == (proven, unsure)
    again = proved_at(START + 2 * DAY)
    assert believed(marks, again) == Marks(proof=again)


async def test_newest_good_one_is_proved(bench: Bench) -> None:
    """Not one that failed after it, and not one of another job."""
    assert await bench.keeper.newest("nightly") is None
    record = await run(bench)
    bench.clock.advance(60)
    bench.engine.acts = [BackupError("role", "may not", trouble=Trouble.PRIVILEGE)]
    with pytest.raises(BackupError):
        await run(bench)
    newest = await bench.keeper.newest("nightly")
    assert newest is not None
    assert newest.id == record.id


QUARTERLY = Drill(name="quarterly", backup="nightly")


async def test_drill_is_kept_in_the_repository(new_bench: NewBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it is measured by; one that missed its goals is told."""
    bench = await new_bench(drills=(QUARTERLY,), heartbeat=Beat(enabled=True))
    record = await run(bench)
    seen: list[Any] = []

    async def drill(drilling: Any) -> DrillRecord:  # noqa: ANN401 - whatever it is done with
        seen.append(drilling)
        return DrillRecord(
            id="20261121T020000Z-quarterly",
            name="quarterly",
            target="main",
            backup=record.id,
            at=START,
            wanted="latest",
            ok=False,
            reason="RTO 40 min, the goal is 30 min",
        )

    monkeypatch.setattr(keeper_module, "drill", drill)
    done = await bench.keeper.drill("quarterly", bench.tell)
    assert bench.keeper.repository.drills("main") == (done,)
    assert (seen[0].record.id, seen[0].moment.aim, seen[0].drill) == (record.id, Aim.LATEST, QUARTERLY)
    assert seen[0].beat is not None
    assert [(one.kind, one.subject, one.sentence) for one in bench.heard] == [
        (Kind.FAILED, "quarterly", "drill: RTO 40 min, the goal is 30 min")
    ]


async def test_drill_without_a_backup_is_told(new_bench: NewBench) -> None:
    """There is nothing to restore: that is what a drill is for."""
    bench = await new_bench(drills=(QUARTERLY,))
    with pytest.raises(BackupError) as failed:
        await bench.keeper.drill("quarterly", bench.tell)
    assert failed.value.trouble is Trouble.MISSING
    assert [one.subject for one in bench.heard] == ["quarterly"]


def test_drill_to_a_time_takes_the_newest_that_ended_before_it() -> None:
    """A later one does not reach it."""
    records = [a_record(at=START - HOUR), a_record(at=START - DAY), a_record("other", at=START - 2 * HOUR)]
    zone = moment(START).tzinfo
    assert zone is not None
    latest, _ = drilled(QUARTERLY, records, START, zone)
    ago = QUARTERLY.model_copy(update={"to": "-2h"})
    earlier, wanted = drilled(ago, records, START, zone)
    assert (latest, earlier, wanted.at) == (records[0], records[1], START - 2 * HOUR)
    with pytest.raises(BackupError, match="no good backup from before that moment"):
        drilled(ago, records[:1], START, zone)


async def test_heartbeat_is_looked_for_where_one_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its database and schema; else nobody asks."""
    dsn = Dsn("postgresql://toban@127.0.0.1/ledger")
    assert beat_of(Beat(), dsn) is None
    assert beat_of(Beat(enabled=True), None) is None
    asked: list[object] = []

    async def newest(connection: object, schema: str) -> float:
        asked.append((connection, schema))
        return START

    class Connected:
        async def __aenter__(self) -> str:
            return "connection"

        async def __aexit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr("backup.keeping.drilling.newest", newest)

    def connected(database: str | None) -> Connected:
        asked.append(database)
        return Connected()

    way = SimpleNamespace(connected=connected)
    for heart in (
        Beat(enabled=True, database="shop", schema_="beats"),
        Beat(enabled=True),
        Beat(enabled=True, dsn=Dsn("postgresql://writer@127.0.0.1/beats")),
        Beat(enabled=True, dsn=Dsn("postgresql://writer@127.0.0.1")),
    ):
        beat = beat_of(heart, dsn)
        assert beat is not None
        assert await beat(way) == START  # type: ignore[arg-type] # all that it needs of a way
    databases, found = asked[::2], asked[1::2]
    assert databases == ["shop", "ledger", "beats", "writer"]
    assert found == [("connection", "beats"), *[("connection", "toban")] * 3]


async def test_heartbeat_of_a_database_that_was_not_there_yet_is_none() -> None:
    """A moment from before it; any other obstacle is one."""

    def refusing(cause: Exception) -> SimpleNamespace:
        def connected(_: str) -> None:
            raise BackupError("server", "no way in") from cause

        return SimpleNamespace(connected=connected)

    beat = beat_of(Beat(enabled=True), Dsn("postgresql://toban@127.0.0.1/ledger"))
    assert beat is not None
    assert await beat(refusing(asyncpg.InvalidCatalogNameError("none"))) is None  # type: ignore[arg-type] # as above
    with pytest.raises(BackupError, match="no way in"):
        await beat(refusing(OSError()))  # type: ignore[arg-type] # as above


async def test_job_is_unknown_to_a_drill_only_by_mistake(new_bench: NewBench) -> None:
    """What names nothing is refused before anything is begun."""
    bench = await new_bench(a_job(nice=0))
    with pytest.raises(Exception, match="none is called quarterly"):
        await bench.keeper.drill("quarterly", bench.tell)
