"""The frame of every proof: what is left by others is cleared, what is missing is told."""

import asyncio
import errno
from pathlib import Path

import asyncpg
import pytest

from backup.engines.contract import Contents, Surroundings
from backup.errors import BackupError
from backup.proof.prover import prove, prove_record
from backup.restore.contract import Restorer
from backup.settings import Proof
from tests.backup.proof.scenes import StandIn, a_proving, a_record, named
from toban.backups import BackupRecord, Check, Manifest, Method, Progress, RestoreProof, Trouble, Verdict


class Shelved:
    """A repository of one backup, whose parent may be missing."""

    def __init__(self, *, whole: bool = True, good: bool = True) -> None:
        self.whole = whole
        self.good = good

    def lineage(self, record: BackupRecord) -> tuple[BackupRecord, ...]:
        """Itself."""
        if not self.whole:
            raise BackupError(record.id, "builds on one that is not there", trouble=Trouble.MISSING)
        return (record,)

    def contents(self, record: BackupRecord, workspace: Path) -> Contents:
        """Nothing."""
        return None  # type: ignore[return-value]

    def wal_place(self, target: str) -> Path:
        """None."""
        return Path("/nonexistent") / target

    async def check_files(self, record: BackupRecord, tell: object) -> tuple[Check, ...]:
        """As the test says."""
        return (Check(name="1.dump", ok=self.good, detail="" if self.good else "1.dump is not what was written"),)


async def proved_record(
    around: Surroundings, shelves: Shelved, restorer: Restorer, settings: Proof | None = None
) -> tuple[RestoreProof, list[Progress]]:
    """The proof of a backup of a repository, and what was told of it."""
    told: list[Progress] = []
    proof = await prove_record(
        a_record(Method.BASE),
        shelves=shelves,  # type: ignore[arg-type]
        restorer_of=lambda _: restorer,
        settings=settings or Proof(),
        around=around,
        tell=told.append,
    )
    return proof, told


async def test_proof_of_a_backup_without_its_parent_is_damaged(around: Surroundings) -> None:
    """What it builds on is not there, so it cannot come back."""
    proof, _ = await proved_record(around, Shelved(whole=False), StandIn())
    assert proof.verdict is Verdict.DAMAGED
    assert proof.reason == "restore: 20261121T020000Z-nightly: builds on one that is not there"


async def test_proof_without_a_way_back_decides_nothing(around: Surroundings) -> None:
    """Nobody knows how to restore it."""

    def nobody(told: Manifest) -> Restorer:
        raise BackupError(told.engine, "is not known here", trouble=Trouble.PROGRAM)

    proof = await prove_record(
        a_record(),
        shelves=Shelved(),  # type: ignore[arg-type]
        restorer_of=nobody,
        settings=Proof(),
        around=around,
        tell=lambda _: None,
    )
    assert (proof.verdict, proof.reason) == (Verdict.INCONCLUSIVE, "restore: stand-in: is not known here")


async def test_files_are_read_again_when_a_restore_fails_without_a_telling_word(around: Surroundings) -> None:
    """One that is not what was written decides it."""
    crashed = StandIn(error=BackupError("pg_restore", "ended by signal 11"))
    proof, told = await proved_record(around, Shelved(good=False), crashed)
    assert proof.verdict is Verdict.DAMAGED
    assert proof.reason == "files: 1.dump is not what was written"
    assert [one.phase for one in told] == ["restore", "reread"]
    proof, _ = await proved_record(around, Shelved(), crashed)
    assert proof.verdict is Verdict.INCONCLUSIVE
    assert named(proof.checks) == {"restore": None, "files": True}


async def test_proof_clears_away_what_an_earlier_one_left(around: Surroundings) -> None:
    """A scratch place without an owner is swept before the next one is made."""
    left = around.workspace / "scratch-left"
    left.mkdir()
    stalled = Proof.model_validate({"timeout": "50ms"})
    await prove(a_proving(around, a_record(Method.BASE), StandIn(stalls=True), stalled))
    assert not left.exists()


async def test_what_nobody_has_foreseen_on_this_machine_decides_nothing(around: Surroundings) -> None:
    """A disk that is full under our own files, a driver's error: a verdict with its reason, and no fault."""
    full = StandIn(error=OSError(errno.ENOSPC, "No space left on device"))  # type: ignore[arg-type] # of the machine's
    proof, _ = await proved_record(around, Shelved(), full)
    assert proof.verdict is Verdict.INCONCLUSIVE
    assert proof.reason == "restore: scratch place: [Errno 28] No space left on device"
    odd = StandIn(error=asyncpg.InternalServerError("cache lookup failed"))
    proof, _ = await proved_record(around, Shelved(), odd)
    assert (proof.verdict, named(proof.checks)) == (Verdict.INCONCLUSIVE, {"restore": None, "files": True})


async def test_files_are_not_read_again_for_ever(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk of the repository hangs: the proof has an end, and decides nothing."""

    async def hangs(*_: object) -> tuple[Check, ...]:
        await asyncio.Event().wait()
        return ()

    monkeypatch.setattr(Shelved, "check_files", hangs)
    crashed, settings = StandIn(error=BackupError("pg_restore", "ended by signal 11")), Proof(timeout=0.1)
    proof, _ = await proved_record(around, Shelved(), crashed, settings)
    assert (proof.verdict, named(proof.checks)) == (Verdict.INCONCLUSIVE, {"restore": None, "files": None})
