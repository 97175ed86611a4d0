"""Base backups from a live server through a real repository and back: sealed, and onto disks that are full."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest

from backup.engines.base import Base
from backup.errors import BackupError
from backup.keeping.reading import verified
from backup.proof.prover import prove_record
from backup.repository.repository import Repository
from backup.restore import restorer_of
from backup.restore.restoring import Order, restoring
from backup.settings import Encryption, Proof
from tests.backup.base.bench import ROWS, Bench, archiving, begin
from tests.backup.keys import an_age_key
from tests.clusters import absence, installations
from tests.skips import IMPOSSIBLE
from tests.waiting import eventually_sync
from toban.backups import BackupRecord, Belief, Progress, Status, Trouble, Verdict

pytestmark = pytest.mark.integration
SLOTS = "SELECT count(*) FROM pg_replication_slots"
SENDERS = "SELECT count(*) FROM pg_stat_replication"
FREE_BYTES = 3_000_000  # of a disk that is about to be full; the server's files are many times that


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """A server with a row."""
    if 15 not in installations():
        pytest.skip(absence(15))
    with archiving(15) as found:
        found.cluster.psql("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
        yield found


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small one in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{IMPOSSIBLE}no disk can be mounted")
    tmp_path.chmod(0o755)
    yield place
    subprocess.run(["umount", place], check=True)


def fill(disk: Path, *, but: int) -> None:
    """Of all that is free so much is left."""
    (disk / "filler").write_bytes(bytes(max(0, shutil.disk_usage(disk).free - but)))


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


async def looked_at(bench: Bench, record: BackupRecord, root: Path, key: Encryption) -> BackupRecord:
    """The backup as it stands when somebody with this key has read it."""
    repository = Repository(root, around=bench.around, encryption=key)
    await repository.open()
    return await verified(
        record,
        engine=Base(),
        repository=repository,
        around=bench.around,
        tell=bench.told.append,
        within_seconds=60,
    )


async def test_sealed_base_backup_is_verified_proven_and_restored(bench: Bench, tmp_path: Path) -> None:
    """By whoever has the key. Who has none, or the wrong one, can say nothing of it: that damages nothing."""
    key, root = an_age_key(tmp_path), bench.home / "sealed"
    (tmp_path / "other").mkdir()
    other = an_age_key(tmp_path / "other")
    repository = Repository(root, around=bench.around, encryption=key)
    await repository.open()
    record = await bench.attempt(repository).made()
    assert {file.path.rpartition(".")[2] for file in record.manifest.files} == {"age"}
    for wrong in (None, other.identity):
        found = await looked_at(bench, record, root, key.model_copy(update={"identity": wrong}))
        assert (found.status, found.belief) == (Status.OK, Belief.STORED)
    found = await looked_at(bench, record, root, key)
    assert (found.belief, found.reason) == (Belief.VERIFIED, "")
    proof = await prove_record(
        found,
        shelves=repository,
        restorer_of=restorer_of,
        settings=Proof(),
        around=bench.around,
        tell=bench.told.append,
    )
    assert proof.verdict is Verdict.PROVEN, proof.reason
    with bench.room() as server:
        order = Order(backup=record.id, data_dir=server.data_dir)
        async with restoring(repository, bench.around, order, zone=UTC, restorer_of=restorer_of) as prepared:
            await prepared.restore(bench.told.append)
        begin(server)
        assert server.psql(ROWS) == "1"


@pytest.mark.parametrize("keys", [{}, {"compress": "none"}, {"format": "plain"}], ids=["packed", "as it is", "plain"])
async def test_base_backup_onto_a_full_disk_leaves_nothing_and_says_so(
    bench: Bench, disk: Path, keys: dict[str, str]
) -> None:
    """Neither half of it in the repository, nor a slot or a sender in the server, nor a program; the reason is told."""
    repository = Repository(disk / "repository", around=bench.around)
    await repository.open()
    fill(disk, but=FREE_BYTES if keys else FREE_BYTES // 3)
    with pytest.raises(BackupError) as failed:
        await bench.attempt(repository, **keys).made()
    assert (failed.value.trouble, failed.value.why) == (Trouble.SPACE, "no space left in the repository")
    assert [(record.status, record.trouble) for record in repository.records()] == [(Status.FAILED, Trouble.SPACE)]
    assert names(disk / "repository" / "main" / "base") == []
    eventually_sync(lambda: (bench.cluster.psql(SLOTS), bench.cluster.psql(SENDERS)) == ("0", "0"))


async def test_restore_onto_a_full_disk_leaves_nothing_and_says_so(bench: Bench, disk: Path) -> None:
    """That there was room beforehand does not mean that there is still."""
    repository = Repository(bench.home / "roomy", around=bench.around)
    await repository.open()
    record = await bench.attempt(repository).made()
    me = pwd.getpwuid(os.geteuid()).pw_name
    order, filled = Order(backup=record.id, data_dir=disk / "new" / "data", owner=me), list[bool]()

    def tell(progress: Progress) -> None:
        if progress.phase == "files" and not filled:
            fill(disk, but=FREE_BYTES)
            filled.append(True)

    async with restoring(repository, bench.around, order, zone=UTC, restorer_of=restorer_of) as prepared:
        with pytest.raises(BackupError, match="no space left where it is laid out") as failed:
            await prepared.restore(tell)
    assert failed.value.trouble is Trouble.SPACE
    assert names(disk) == ["filler"]
