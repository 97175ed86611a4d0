"""What is due when, and what counts as having run."""

import asyncio

import pytest

from backup.errors import BackupError
from backup.keeper import Keeper
from backup.keeping.ledger import Ledger
from backup.settings import Drill, Job, Proof, Reading, Window
from daemon.backups.agenda import Agenda, keys_of, last_run
from tests.backup.keeper.conftest import Bench, NewBench, bench, new_bench
from tests.backup.keeper.records import DAY, a_job, a_record, proved_at
from tests.builders import START
from toban.backups import BackupRecord, Method, Status, Trouble

__all__ = ["bench", "new_bench"]  # fixtures

NIGHTLY = a_job(nice=0, schedule="0 2 * * *", jitter=60.0, window={"cron": "0 1 * * *", "for": "4h"})


async def an_agenda(bench: Bench, over: list[str] | None = None) -> tuple[Agenda, Ledger]:
    """For the bench's plan, with its ledger."""
    ledger = Ledger(bench.root, "db1", bench.clock)
    await ledger.open(keys_of(bench.keeper.plan))
    told = over if over is not None else []
    return Agenda(bench.keeper, ledger, lambda: told.append("over")), ledger


async def test_entries_are_what_has_a_schedule(new_bench: NewBench) -> None:
    """Jobs, the proofs, drills; each with what it waits for."""
    drills = (Drill(name="quarterly", backup="nightly", schedule="0 0 1 1 *"), Drill(name="asked", backup="nightly"))
    bench = await new_bench(NIGHTLY, a_job("asked", nice=0), drills=drills)
    agenda, _ = await an_agenda(bench)
    found = {entry.key: entry for entry in agenda.entries()}
    assert {key: entry.line for key, entry in found.items()} == {
        "nightly": "0 2 * * *",
        "proof:": "0 5 * * 0",
        "reading:": "30 5 * * *",
        "drill:quarterly": "0 0 1 1 *",
    }
    assert (found["nightly"].jitter_seconds, found["nightly"].window) == (60.0, NIGHTLY.window)
    assert found["reading:"].window == Window(cron="30 5 * * *", for_=2 * 3600.0)
    assert {entry.known_since for entry in found.values()} == {START}


BASES = (
    a_job("base", method=Method.BASE, schedule="0 4 * * 0"),
    a_job("base-more", method=Method.BASE, schedule="0 4 * * *", type="incremental", of="base"),
    a_job("base-too", method=Method.BASE, schedule="0 5 1 * *"),
)
WAL = a_job("wal", method=Method.WAL, mode="stream")


@pytest.mark.parametrize(
    ("jobs", "records", "first"),
    [
        ((*BASES, WAL), (), {"base": START + 300}),
        ((*BASES, WAL), (a_record("b", method=Method.BASE, target="other"), a_record()), {"base": START + 300}),
        ((*BASES, WAL), (a_record("b", method=Method.BASE, status=Status.FAILED),), {"base": START + 300}),
        ((*BASES, WAL), (a_record("b", method=Method.BASE),), {}),
        ((*BASES, WAL), (a_record("b", method=Method.BASE, status=Status.RUNNING),), {}),
        (BASES, (), {}),
    ],
)
async def test_first_base_backup_does_not_let_the_wal_wait(
    new_bench: NewBench, jobs: tuple[Job, ...], records: tuple[BackupRecord, ...], first: dict[str, float]
) -> None:
    """Where there is none of the target, the first full one is made soon: without it WAL reaches no moment."""
    agenda, _ = await an_agenda(await new_bench(*jobs, NIGHTLY))
    agenda.records = records
    assert {entry.key: entry.first_at for entry in agenda.entries() if entry.first_at is not None} == first


async def test_first_base_backup_is_not_made_where_somebody_has_made_one(
    new_bench: NewBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand, in the minutes after the start. The next run is one of its schedule, and is made."""
    begun: list[str] = []

    async def backed_up(_: Agenda, name: str) -> None:
        begun.append(name)

    monkeypatch.setattr(Agenda, "_back_up", backed_up)
    agenda, _ = await an_agenda(await new_bench(*BASES, WAL))
    (entry,) = [one for one in agenda.entries() if one.key == "base"]
    agenda.records = (a_record("base", method=Method.BASE),)
    assert await entry.run(START) is True
    assert begun == []
    assert await entry.run(START + DAY) is True
    assert begun == ["base"]


async def test_proofs_are_not_planned_where_nobody_wants_them(new_bench: NewBench) -> None:
    """No schedule. Likewise readings, and where no job wants any."""
    for jobs, reading in (((a_job(),), Reading(schedule=None)), ((a_job(verify=False),), Reading())):
        agenda, _ = await an_agenda(await new_bench(*jobs, proof=Proof(schedule=None), reading=reading))
        assert list(agenda.entries()) == []


async def test_last_run_is_that_of_the_repository_or_of_our_memory(new_bench: NewBench) -> None:
    """The newer of the two: a backup made by hand, or one that was let go since."""
    bench = await new_bench(NIGHTLY)
    agenda, ledger = await an_agenda(bench)
    entry = next(iter(agenda.entries()))
    assert entry.last_begun() is None
    agenda.records = (a_record(at=START - DAY),)
    assert entry.last_begun() == START - DAY
    await ledger.done("nightly")
    assert entry.last_begun() == START


@pytest.mark.parametrize(
    ("record", "counts"),
    [
        (a_record(), True),
        (a_record(status=Status.DAMAGED), True),
        (a_record(status=Status.RUNNING), True),
        (a_record(status=Status.FAILED, trouble=Trouble.SPACE), True),
        (a_record(status=Status.FAILED, trouble=Trouble.CANCELLED), False),
        (a_record(status=Status.FAILED, trouble=Trouble.BUSY), False),
        (a_record("weekly"), False),
    ],
)
def test_run_that_was_cut_off_has_yet_to_be_done(record: BackupRecord, counts: bool) -> None:  # noqa: FBT001 - expected
    """One that failed was done: it is tried again at its next moment."""
    assert last_run([record], "nightly") == (START if counts else None)


async def test_scheduled_run_makes_a_backup_and_is_remembered(new_bench: NewBench) -> None:
    """And whoever tells of it is woken."""
    bench = await new_bench(a_job(nice=0, schedule="0 2 * * *"))
    over: list[str] = []
    agenda, ledger = await an_agenda(bench, over)
    await next(iter(agenda.entries())).run(START - 60)
    assert [record.status for record in await bench.keeper.records()] == [Status.OK]
    assert (ledger.attempts("nightly", START - 60), ledger.done_at("nightly")) == (1, START)
    assert over == ["over"]


async def test_run_that_failed_is_over(new_bench: NewBench) -> None:
    """It has been told; the schedule goes on."""
    bench = await new_bench(a_job(nice=0, schedule="0 2 * * *"))
    agenda, ledger = await an_agenda(bench)
    bench.engine.acts = [BackupError("role", "may not", trouble=Trouble.PRIVILEGE)]
    await next(iter(agenda.entries())).run(START)
    assert ledger.done_at("nightly") == START
    assert len(bench.heard) == 1


async def test_run_that_we_end_is_still_to_come(new_bench: NewBench) -> None:
    """As at SIGTERM: neither done, nor an attempt that ended badly."""
    bench = await new_bench(a_job(nice=0, schedule="0 2 * * *"))
    agenda, ledger = await an_agenda(bench)
    begun = asyncio.Event()

    async def for_ever(_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    bench.engine.acts = [for_ever]
    task = asyncio.ensure_future(next(iter(agenda.entries())).run(START))
    await asyncio.wait_for(begun.wait(), 60)
    assert ledger.attempts("nightly", START) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (ledger.attempts("nightly", START), ledger.done_at("nightly")) == (0, None)


async def test_run_that_found_no_turn_is_still_to_come(new_bench: NewBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else was at it for all our patience."""
    bench = await new_bench(a_job(nice=0, schedule="0 2 * * *"))
    agenda, ledger = await an_agenda(bench)

    async def busy(*_: object, **__: object) -> None:
        raise BackupError("main", "db2 is at work there", trouble=Trouble.BUSY)

    monkeypatch.setattr(Keeper, "run", busy)
    assert await next(iter(agenda.entries())).run(START) is False
    assert (ledger.attempts("nightly", START), ledger.done_at("nightly")) == (0, None)


async def test_run_whose_repository_is_gone_waits_for_it(new_bench: NewBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not done, nor tried again and again: all is planned anew once the disk is there again."""
    bench = await new_bench(a_job(nice=0, schedule="0 2 * * *"))
    agenda, ledger = await an_agenda(bench)

    async def gone(*_: object, **__: object) -> None:
        raise BackupError("repository", "is gone", trouble=Trouble.REPOSITORY)

    monkeypatch.setattr(Keeper, "run", gone)
    assert await next(iter(agenda.entries())).run(START) is True
    assert (ledger.attempts("nightly", START), ledger.done_at("nightly")) == (0, None)


async def test_kept_backups_are_read_again_on_schedule(new_bench: NewBench) -> None:
    """Those that nobody has read for a week."""
    bench = await new_bench(a_job(nice=0, keep={"for": "30d"}))
    await bench.keeper.run("nightly", bench.tell)
    bench.clock.advance(8 * DAY)
    agenda, ledger = await an_agenda(bench)
    entry = {entry.key: entry for entry in agenda.entries()}["reading:"]
    await entry.run(START)
    assert [record.verified_at for record in await bench.keeper.records()] == [START + 8 * DAY]
    assert ledger.done_at("reading:") == START + 8 * DAY


async def test_proofs_take_the_newest_good_one_of_each_job(
    new_bench: NewBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that fails holds up none, nor does a fault of ours, and a job without any is passed over."""
    names = ("nightly", "weekly", "monthly")
    bench = await new_bench(*(a_job(name, nice=0) for name in (*names, "empty")))
    made = [await bench.keeper.run(name, bench.tell) for name in names]
    proved: list[str] = []
    faults = [BackupError("scratch place", "no space left", trouble=Trouble.SPACE), ValueError("a fault")]

    async def prove(_: Keeper, record: BackupRecord, __: object) -> object:
        proved.append(record.id)
        if faults:
            raise faults.pop(0)
        return proved_at(START)

    monkeypatch.setattr(Keeper, "prove", prove)
    agenda, ledger = await an_agenda(bench)
    entry = {entry.key: entry for entry in agenda.entries()}["proof:"]
    await entry.run(START)
    assert proved == [record.id for record in made]
    assert ledger.done_at("proof:") == bench.clock.now()


async def test_drill_that_cannot_be_done_is_told(new_bench: NewBench) -> None:
    """There is nothing to restore yet."""
    bench = await new_bench(a_job(nice=0), drills=(Drill(name="quarterly", backup="nightly", schedule="0 0 1 1 *"),))
    agenda, ledger = await an_agenda(bench)
    entry = {entry.key: entry for entry in agenda.entries()}["drill:quarterly"]
    await entry.run(START)
    assert [one.sentence for one in bench.heard] == [
        "drill quarterly: nightly has no good backup (toban backup run nightly)"
    ]
    assert ledger.done_at("drill:quarterly") == START


async def test_place_of_the_ledger_is_ours(bench: Bench) -> None:
    """Nothing of it is taken for a target."""
    await an_agenda(bench)
    assert (bench.root / ".toban" / "schedules" / "db1.json").is_file()
    assert bench.names == set()
