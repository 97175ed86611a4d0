"""The worst ends: the daemon killed in the middle of a proof, the scratch disk full."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from backup.children import Command
from backup.engines.contract import Surroundings, Tell
from backup.proof.place import sweep
from backup.proof.prover import prove
from backup.restore.contract import Restored, Wanted
from backup.settings import Proof
from tests.backup.proof.scenes import StandIn, a_proving, a_record
from tests.installations import installations
from tests.skips import IMPOSSIBLE
from tests.waiting import eventually
from toban.backups import Verdict

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[3]
DAEMON = """
import asyncio, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from backup.engines.contract import Surroundings
from backup.children import Children
from backup.programs import Programs
from backup.proof.prover import prove
from backup.settings import Proof
from tests.backup.proof.scenes import StandIn, a_proving, a_record
from toban.backups import Method
from toban.clock import SystemClock

around = Surroundings(clock=SystemClock(), children=Children(), programs=Programs(), workspace=Path(sys.argv[1]))
busy = {"name": "busy", "sql": "SELECT sum(a * b) > 0 FROM generate_series(1, 100000) a, generate_series(1, 100000) b"}
settings = Proof.model_validate({"amcheck": False, "rows": "none", "assertions": [busy]})
asyncio.run(prove(a_proving(around, a_record(), StandIn(), settings)))
"""


def servers_in(workspace: Path) -> list[psutil.Process]:
    """Every process of a server that works below this folder."""
    return [
        process
        for process in psutil.process_iter(["name", "cwd", "ppid"])
        if process.info["name"] == "postgres" and (process.info["cwd"] or "").startswith(str(workspace))
    ]


def first_of(processes: list[psutil.Process]) -> str:
    """The number of the one that made the others; the numbers themselves may have begun anew."""
    numbers = {process.pid for process in processes}
    return str(next(process.pid for process in processes if process.info["ppid"] not in numbers))


def busy_in(workspace: Path) -> bool:
    """Whether the assertion is being asked: one session works."""
    with suppress(psutil.NoSuchProcess):
        return any("SELECT" in " ".join(process.cmdline()) for process in servers_in(workspace))
    return False


async def test_killed_daemon_leaves_neither_server_nor_files_after_the_next_start(around: Surroundings) -> None:
    """SIGKILL while a session is at work: the sweep at the next start ends what is left, and removes it all."""
    words = (sys.executable, "-c", DAEMON, str(around.workspace), str(ROOT))
    daemon = await asyncio.create_subprocess_exec(*words)
    try:
        await eventually(lambda: busy_in(around.workspace))
        segments = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()]  # noqa: ASYNC240 - of the kernel
        postmaster = first_of(servers_in(around.workspace))
        ours = [columns[1] for columns in segments if columns[4] == postmaster]
        assert len(ours) == 1
    finally:
        daemon.send_signal(signal.SIGKILL)
        await daemon.wait()
    (left,) = [path.name for path in around.workspace.iterdir() if path.name != "programs"]
    assert await sweep(around.workspace) == (left,)
    assert servers_in(around.workspace) == []
    assert [path.name for path in around.workspace.iterdir() if path.name != "programs"] == []
    assert not any(line.split()[1] == ours[0] for line in Path("/proc/sysvipc/shm").read_text().splitlines())  # noqa: ASYNC240 - of the kernel


async def test_cancelled_proof_leaves_neither_server_nor_files(around: Surroundings) -> None:
    """The daemon is told to stop in the middle: it is over at once, and the caller sees that it was cancelled."""
    busy = {"name": "busy", "sql": "SELECT pg_sleep(3600) IS NULL"}
    settings = Proof.model_validate({"amcheck": False, "rows": "none", "assertions": [busy]})
    proving = asyncio.create_task(prove(a_proving(around, a_record(), StandIn(), settings)))
    await eventually(lambda: busy_in(around.workspace))
    proving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await proving
    assert servers_in(around.workspace) == []


@dataclass(kw_only=True, slots=True)
class Growing(StandIn):
    """A restore that writes more than there is room for."""

    async def restore(self, wanted: Wanted, around: Surroundings, workspace: Path, tell: Tell) -> Restored:
        """Rows until the disk is full."""
        assert wanted.into is not None
        sql = "CREATE TABLE t AS SELECT n, repeat('x', 1000) FROM generate_series(1, 1000000) n"
        words = (str(installations()[15].bin_dir / "psql"), "-qX", "-c", sql, wanted.into.reveal())
        done = await around.children.run(Command(words=words), within_seconds=60)
        done.checked("psql")
        raise AssertionError


@pytest.fixture
def small_disk(around: Surroundings) -> Iterator[Path]:
    """A disk of 100 MB, of which an empty server takes 40."""
    place = around.workspace / "disk"
    place.mkdir()
    around.workspace.chmod(0o711)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100m,mode=755", "toban", place], capture_output=True, check=False
    )
    if mounted.returncode:
        place.rmdir()
        pytest.skip(f"{IMPOSSIBLE}no disk can be mounted")
    yield place
    subprocess.run(["umount", place], check=True)
    place.rmdir()


async def test_full_scratch_disk_decides_nothing_and_leaves_nothing(around: Surroundings, small_disk: Path) -> None:
    """No space left in the middle: it is said, the backup is not blamed, and the disk is empty again."""
    proving = a_proving(around, a_record(), Growing(), Proof(workspace=small_disk), floor_bytes=0)
    proof = await prove(proving)
    assert proof.verdict is Verdict.INCONCLUSIVE
    assert "could not extend file" in proof.reason
    assert list(small_disk.iterdir()) == []  # noqa: ASYNC240 - of a disk in memory
