"""Backups that somebody reads are removed by nobody, for as long as the reader lives."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.repository import leases
from backup.repository.repository import Repository
from tests.backup.repository.builders import a_draft
from tests.backup.repository.conftest import Dying, Make, brisk
from tests.backup.repository.test_turns import ELSEWHERE, HERE, left_by
from tests.builders import START
from toban.backups import Trouble


def holds(repository: Repository) -> list[Path]:
    """The files of all there are."""
    return list((repository.root / ".toban" / "locks" / "holds").rglob("*.lease"))


async def test_backup_that_is_read_is_not_removed(repository: Repository, make: Make, around: Surroundings) -> None:
    """Two may read it, here and elsewhere; whoever would remove it is told by whom, and may when both are done."""
    record, other = await make(), Repository(repository.root, around=around, pause=brisk)
    beside = await make(a_draft("nightly.b", at=START))
    async with repository.held([record], "a restore"):
        async with other.held([record], "a proof"):
            assert len(holds(repository)) == 2
        for one in (repository, other):
            with pytest.raises(
                BackupError, match=f"{record.id}: is in use: a restore, by process {os.getpid()} on db1"
            ) as caught:
                await one.remove(record, "too old")
            assert caught.value.trouble is Trouble.BUSY
        await other.remove(beside, "too old")
        assert repository.records() == (record,)
    assert holds(repository) == []
    await other.remove(record, "too old")
    assert repository.records() == ()


@pytest.mark.integration
async def test_hold_of_a_process_that_was_killed_is_none(repository: Repository, make: Make, dying: Dying) -> None:
    """A restore that ended by -9 keeps a backup from nobody."""
    record = await make()
    process = dying(repository.root, "hold")
    with pytest.raises(BackupError, match=f"is in use: a restore, by process {process.pid} on db1"):
        await repository.remove(record, "too old")
    process.kill()
    process.wait()
    assert len(holds(repository)) == 1
    await repository.remove(record, "too old")
    assert repository.records() == ()
    assert holds(repository) == []


async def test_hold_of_another_machine_is_asked_for_and_swept(repository: Repository, make: Make) -> None:
    """As every lease: it holds while it is renewed, and what the dead left goes with the next sweep."""
    record = await make()
    folder = repository.root / ".toban" / "locks" / "holds" / "main"
    left_by(folder / f"{record.id}.0a1b2c3d.lease", ELSEWHERE)
    with pytest.raises(BackupError, match=r"is in use: backup of old, by process \d+ on db2"):
        await repository.remove(record, "too old")
    holds(repository)[0].unlink()
    if not HERE.machine:
        pytest.skip("no /etc/machine-id on this machine: nobody can tell it from another")
    left_by(folder / f"{record.id}.0a1b2c3d.lease", replace(HERE, boot="earlier"))
    await repository.sweep()
    assert holds(repository) == []


async def test_reading_goes_on_without_its_hold(
    tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none can be written, and where it is lost on the way: a restore at night is not ended for that."""
    repository = Repository(tmp_path / "r", around=around, pause=lambda _: asyncio.sleep(0))
    await repository.open()
    async with repository.making(a_draft()) as partial:
        (partial.place / "a").write_bytes(b"x")
        record = await partial.finish(partial.draft)
    lost, genuine = asyncio.Event(), leases.Lease.renew
    loop = asyncio.get_running_loop()

    def losing(lease: leases.Lease, now: float) -> bool:
        found = genuine(lease, now)
        if not found:
            loop.call_soon_threadsafe(lost.set)
        return found

    monkeypatch.setattr(leases.Lease, "renew", losing)
    async with repository.held([record], "a restore"):
        holds(repository)[0].unlink()
        async with asyncio.timeout(60):
            await lost.wait()
        await asyncio.sleep(0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "open", full)
    done = False
    async with repository.held([record], "a restore"):
        done = True
    assert done


async def test_backup_that_was_pinned_meanwhile_is_not_removed(repository: Repository, make: Make) -> None:
    """Between a decision and its doing a person has spoken."""
    record = await make()
    await repository.mark(record, lambda marks: replace(marks, pinned="audit"))
    elsewhere: list[str] = []

    async def first() -> None:
        elsewhere.append("removed")

    with pytest.raises(BackupError, match="is pinned: audit") as caught:
        await repository.remove(record, "too old", first=first)
    assert (caught.value.trouble, elsewhere) == (Trouble.BUSY, [])
    (pinned,) = repository.records()
    await repository.remove(pinned, "its owner says so")
    assert repository.records() == ()
