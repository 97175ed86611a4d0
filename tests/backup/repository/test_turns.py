import asyncio
import errno
import fcntl
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.repository import leases
from backup.repository.holders import Holder, started
from backup.repository.leases import RENEW_SECONDS, STALE_SECONDS, WATCH_SECONDS, Said, said_by, take
from backup.repository.repository import Repository
from tests.backup.repository.builders import a_draft
from tests.backup.repository.conftest import Dying
from tests.builders import START, ManualClock
from tests.waiting import eventually
from toban.backups import Status, Trouble

HERE = Holder.here("db1")
ELSEWHERE = replace(HERE, host="db2", machine="other", boot="other")


def lease_of(repository: Repository) -> Path:
    """The file of a target's turn."""
    return repository.root / ".toban" / "locks" / "main.lease"


def left_by(path: Path, holder: Holder, *, silent_seconds: float = 0.0) -> None:
    """A lease as a process leaves it that is killed, and how long ago it was renewed by the storage's clock."""
    take(path, holder, "backup of old", START).drop()
    if silent_seconds:
        at = path.stat().st_mtime_ns - int(silent_seconds * 1e9)
        os.utime(path, ns=(at, at))


async def test_turn_is_one_at_a_time_and_names_who_has_it(repository: Repository, around: Surroundings) -> None:
    """A second daemon is told who is at work on the target, and at what; another target is free, later both are."""
    other = Repository(repository.root, around=around)
    async with repository.turn("main", "backup nightly"):
        with pytest.raises(
            BackupError, match=f"main: process {os.getpid()} on db1 is at work there: backup nightly"
        ) as caught:
            async with other.turn("main", "prune"):
                pass
        assert caught.value.trouble is Trouble.BUSY
        async with other.turn("shop", "prune"):
            pass
    async with other.turn("main", "prune"):
        pass
    assert not lease_of(repository).exists()


async def test_turn_is_given_back_after_an_error(repository: Repository) -> None:
    """Whatever happens in it, a turn ends."""
    with pytest.raises(ZeroDivisionError):
        async with repository.turn("main", "backup"):
            raise ZeroDivisionError
    async with repository.turn("main", "backup"):
        pass


@pytest.mark.integration
async def test_turn_of_another_daemon_holds_until_it_dies(repository: Repository, dying: Dying) -> None:
    """Two daemons at once: the second is refused and told the first; that one killed with -9, it follows at once."""
    process = dying(repository.root, "turn")
    with pytest.raises(BackupError, match=f"process {process.pid} on db1 is at work there: backup of another"):
        async with repository.turn("main", "backup"):
            pass
    process.kill()
    process.wait()
    assert lease_of(repository).exists()
    async with repository.turn("main", "backup"):
        said = said_by(lease_of(repository))
        assert said is not None
        assert said.holder.pid == os.getpid()


async def test_turn_of_before_a_restart_is_over(repository: Repository) -> None:
    """What a process of this machine held before the machine was started anew is taken without waiting."""
    if not HERE.machine:
        pytest.skip("no /etc/machine-id on this machine: nobody can tell it from another")
    left_by(lease_of(repository), replace(HERE, boot="earlier"))
    async with repository.turn("main", "backup"):
        pass


async def test_turn_of_another_machine_holds_while_it_is_renewed(repository: Repository) -> None:
    """A lease from elsewhere that was renewed lately is respected, whatever the clocks of both machines say."""
    left_by(lease_of(repository), ELSEWHERE)
    with pytest.raises(BackupError, match=f"process {os.getpid()} on db2 is at work there"):
        async with repository.turn("main", "backup"):
            pass


async def test_turn_of_another_machine_that_fell_silent_is_watched_then_taken(
    repository: Repository, around: Surroundings
) -> None:
    """Silent for longer than three quarters of a minute, and not stirring while it is watched: it is dead."""
    left_by(lease_of(repository), ELSEWHERE, silent_seconds=STALE_SECONDS + 5)
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(3600 if seconds == RENEW_SECONDS else 0)

    async with Repository(repository.root, around=around, pause=pause).turn("main", "backup"):
        assert waited[0] == WATCH_SECONDS


async def test_turn_of_another_machine_that_stirs_while_watched_holds(
    repository: Repository, around: Surroundings
) -> None:
    """A storage whose clock jumped makes a living holder look silent; its next renewal is seen."""
    path = lease_of(repository)
    left_by(path, ELSEWHERE, silent_seconds=100 * STALE_SECONDS)

    async def pause(_: float) -> None:
        os.utime(path)

    with pytest.raises(BackupError, match="on db2 is at work there"):
        async with Repository(repository.root, around=around, pause=pause).turn("main", "backup"):
            pass


async def test_turn_whose_lease_says_nothing_is_somebodys(repository: Repository) -> None:
    """An empty or spoilt lease is respected while it is fresh: nobody knows whose it is."""
    for content in (b"", b"{", b'{"holder": 1}', b"\0" * 1024):
        lease_of(repository).write_bytes(content)
        with pytest.raises(BackupError, match="somebody unknown is at work there: something unknown"):
            async with repository.turn("main", "backup"):
                pass


async def test_lease_is_renewed_while_it_is_held(tmp_path: Path, around: Surroundings) -> None:
    """Every few seconds it says that it is still held."""
    repository = Repository(tmp_path / "r", around=around, pause=lambda _: asyncio.sleep(0.001))
    await repository.open()

    def beats() -> int:
        said = said_by(lease_of(repository))
        return said.beat if said else 0

    async with repository.turn("main", "backup"):
        await eventually(lambda: beats() > 3)


def test_lease_is_not_given_back_while_it_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number of a file that is closed meanwhile may be another file's when it is written to."""
    lease, genuine = take(tmp_path / "main.lease", HERE, "backup", START), os.fsync
    writing, release = threading.Event(), threading.Event()

    def slow(handle: int) -> None:
        writing.set()
        assert release.wait(60)
        genuine(handle)

    monkeypatch.setattr(os, "fsync", slow)
    renewing = threading.Thread(target=lease.renew, args=(START,))
    renewing.start()
    assert writing.wait(60)
    releasing = threading.Thread(target=lease.release)
    releasing.start()
    releasing.join(0.05)
    assert lease._handle >= 0
    assert lease.path.exists()
    release.set()
    renewing.join(60)
    releasing.join(60)
    assert not lease.path.exists()


async def test_work_ends_when_its_turn_is_lost(tmp_path: Path, around: Surroundings) -> None:
    """Whoever finds that another has taken its turn over stops at once, and says so."""
    repository = Repository(tmp_path / "r", around=around, pause=lambda _: asyncio.sleep(0.001))
    await repository.open()

    async def worked() -> None:
        async with repository.turn("main", "backup"):
            lease_of(repository).unlink()
            left_by(lease_of(repository), ELSEWHERE)
            await asyncio.sleep(30)

    with pytest.raises(BackupError, match="lost its turn") as caught:
        await worked()
    assert caught.value.trouble is Trouble.REPOSITORY
    assert said_by(lease_of(repository)) is not None, "the other one's is left alone"


async def test_backup_whose_lease_was_taken_over_is_not_made_whole(repository: Repository) -> None:
    """Just before the rename it is looked at once more whose turn it is."""

    async def made() -> None:
        async with repository.making(a_draft()) as partial:
            (partial.place / "a").write_bytes(b"x")
            lease = partial.lease.path
            lease.write_bytes(lease.read_bytes().replace(b'"token": "', b'"token": "x'))
            await partial.finish(partial.draft)

    with pytest.raises(BackupError, match="lost its turn"):
        await made()
    assert [record.status for record in repository.records()] == [Status.FAILED]


async def test_turn_is_lost_when_the_storage_is_away_for_long(
    tmp_path: Path, around: Surroundings, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some failing renewals are borne; when others may have taken it for dead, the work ends."""
    tries = 0

    async def pause(_: float) -> None:
        await asyncio.sleep(0)

    def failing(_: leases.Lease, now: float) -> bool:
        nonlocal tries
        tries += 1
        manual_clock.advance(STALE_SECONDS / 3)
        raise OSError(errno.EIO, "Input/output error")

    repository = Repository(tmp_path / "r", around=around, pause=pause)
    await repository.open()
    monkeypatch.setattr(leases.Lease, "renew", failing)
    with pytest.raises(BackupError, match="the repository did not answer for too long"):
        async with repository.turn("main", "backup"):
            await asyncio.sleep(30)
    assert tries == 3


async def test_time_limit_of_the_work_itself_is_no_lost_turn(repository: Repository) -> None:
    """A TimeoutError of what is done in a turn stays one."""
    with pytest.raises(TimeoutError):
        async with repository.turn("main", "backup"):
            raise TimeoutError


async def test_cancelled_while_taking_a_turn_leaves_none_taken(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between asking for a turn and getting it, it is given back."""
    from backup.repository import turns  # noqa: PLC0415 - where it is taken

    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(path: Path, holder: Holder, what: str, now: float, *, silent: Said | None) -> leases.Lease:
        loop.call_soon_threadsafe(release.set)
        return take(path, holder, what, now, silent=silent)

    monkeypatch.setattr(turns, "take", slow)

    async def turn() -> None:
        async with repository.turn("main", "backup"):
            await asyncio.sleep(30)

    task = asyncio.create_task(turn())
    await release.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not lease_of(repository).exists()


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage whose kernel lock does not work, as some network file systems."""

    def refused(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)


@pytest.mark.usefixtures("without_locks")
async def test_turn_without_kernel_locks_asks_for_the_process(repository: Repository) -> None:
    """Where there are no locks, a process of this machine that lives holds its turn, one that is gone does not."""
    async with repository.turn("main", "backup"):
        with pytest.raises(BackupError, match="is at work there"):
            async with repository.turn("main", "prune"):
                pass
    left_by(lease_of(repository), replace(HERE, pid=2**22 + 1))
    async with repository.turn("main", "backup"):
        pass
    left_by(lease_of(repository), replace(HERE, namespace="a container's"))
    with pytest.raises(BackupError, match="is at work there"):
        async with repository.turn("main", "backup"):
            pass


async def test_lock_that_fails_otherwise_is_said(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk error is no holder."""

    def broken(_: int, __: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(BackupError, match="Input/output error") as caught:
        async with repository.turn("main", "backup"):
            pass
    assert (caught.value.trouble, caught.value.hint) == (Trouble.REPOSITORY, "look at the disk")


async def test_turn_without_hard_links_is_taken(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that knows one name a file has turns all the same."""

    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    async with repository.turn("main", "backup"):
        with pytest.raises(BackupError, match="is at work there"):
            async with repository.turn("main", "prune"):
                pass
    assert not lease_of(repository).exists()


def test_lease_that_was_given_back_in_between_is_asked_for_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening a lease and locking it, its holder may give it back: what is locked then is nobody's."""
    path = tmp_path / "main.lease"
    first = take(path, HERE, "first", START)
    genuine = leases._judge
    seen: list[str] = []

    def late(handle: int, at: Path, holder: Holder, silent: Said | None) -> None:
        if not seen:
            first.release()
        seen.append("judged")
        genuine(handle, at, holder, silent)

    monkeypatch.setattr(leases, "_judge", late)
    second = take(path, HERE, "second", START)
    assert second.renew(START)
    assert not first.renew(START)
    second.release()


def test_process_is_known_by_when_it_began() -> None:
    """A process number used again is another process; one that has ended is none."""
    assert HERE.sees_alive(HERE) is True
    assert HERE.sees_alive(replace(HERE, started="1")) is False
    assert HERE.sees_alive(ELSEWHERE) is None
    assert started(2**22 + 1) == ""
    assert Holder().words == "somebody unknown"
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert started(process.pid) == "", "a zombie does nothing any more"
