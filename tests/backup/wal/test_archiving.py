"""The archive of a real server: pushed by its archiver, refused where it must be, fetched again by a recovery."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import pytest

from backup.wal.chain import gaps
from backup.wal.command import archive_command, restore_command
from backup.wal.listing import look
from backup.wal.place import owner
from tests.clusters import Cluster
from tests.conftest import NewCluster, StandbyOf
from tests.installations import account, as_account
from tests.skips import IMPOSSIBLE
from tests.waiting import eventually_sync
from toban.backups import GapKind

ROOT = Path(__file__).parents[3]
SETTINGS = {"wal_level": "replica", "archive_timeout": "0", "max_wal_senders": "4", "archive_mode": "on"}


@cache
def interpreter() -> str:
    """A Python that the server's account may run, our package in its path: ours, else the system's."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            done = subprocess.run(
                [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"],
                check=False,
                cwd="/",
                capture_output=True,
                **as_account(),
            )
        except OSError:
            continue
        if done.returncode == 0:
            return python
    pytest.skip(f"{IMPOSSIBLE}no Python that the account of the server may run")


def as_server(command: str) -> str:
    """The setting, run by a Python that the server may run."""
    words = command.removeprefix(f"'{sys.executable}'")
    return f"PYTHONPATH={reachable_code()} PYTHONDONTWRITEBYTECODE=1 {interpreter()}{words}"


@cache
def reachable_code() -> Path:
    """Our packages where the server's account may read them: a checkout below /root is closed to it."""
    if all(folder.stat().st_mode & 0o001 for folder in (ROOT, *ROOT.parents)):
        return ROOT
    copied = Path(tempfile.mkdtemp(prefix="toban-code-"))
    atexit.register(shutil.rmtree, copied, ignore_errors=True)
    for package in ("backup", "daemon", "toban"):
        shutil.copytree(ROOT / package, copied / package, ignore=shutil.ignore_patterns("__pycache__"))
    copied.chmod(0o755)
    return copied


@pytest.fixture
def repository() -> Iterator[Path]:
    """A repository that the server's account may write to, in a folder that it may pass through, as pytest's is not."""
    home = Path(tempfile.mkdtemp(prefix="toban-")).resolve()
    home.chmod(0o755)
    made = home / "東京's 100% repository"
    made.mkdir(mode=0o700)
    os.chown(made, account().pw_uid, account().pw_gid)
    (made / "repository.json").touch()
    yield made
    shutil.rmtree(home)


def archiving(new_cluster: NewCluster, repository: Path, **settings: str) -> Cluster:
    """A server that archives by `toban wal push`."""
    pushing = as_server(archive_command(repository, "main")).replace("'", "''")
    return new_cluster(15, settings={**SETTINGS, "archive_command": pushing, **settings})


def switched(cluster: Cluster, row: int) -> str:
    """Write a row and finish the segment; its name."""
    cluster.psql(f"create table if not exists t (n int); insert into t values ({row})")
    return cluster.psql("select pg_walfile_name(pg_switch_wal())")


def until_archived(cluster: Cluster, repository: Path, segment: str) -> None:
    """Wait until a segment is in the archive."""
    try:
        there = partial(look, repository / "main" / "wal")
        eventually_sync(lambda: segment in there().segments, within_seconds=150)  # an archiver may wait for a minute
    except AssertionError:
        raise AssertionError(cluster.log_text()) from None


def failures(cluster: Cluster) -> int:
    """How often archiving has failed, as the server counts."""
    return int(cluster.psql("select failed_count from pg_stat_archiver"))


def recovering(standby: Cluster, repository: Path, *, accept_gap: bool = False) -> None:
    """Have a copy that was made before recover from the archive alone."""
    fetching = as_server(restore_command(repository, "main", accept_gap=accept_gap)).replace("'", "''")
    standby.configure(restore_command=fetching, primary_conninfo="", archive_mode="off")
    (standby.data_dir / "standby.signal").unlink(missing_ok=True)
    (standby.data_dir / "recovery.signal").touch()
    with suppress(RuntimeError):  # it may have ended already
        standby.start()


def rows_of(standby: Cluster) -> str:
    """What it holds once it has recovered."""
    eventually_sync(lambda: standby.psql("select pg_is_in_recovery()") == "f")
    return standby.psql("select string_agg(n::text, ',' order by n) from t")


@pytest.mark.integration
def test_archive_gives_back_what_the_server_pushed(
    new_cluster: NewCluster, standby_of: StandbyOf, repository: Path
) -> None:
    """Every row up to the last archived segment; and over the promotion, on the timeline that begins with it."""
    primary = archiving(new_cluster, repository)
    standby = standby_of(primary, start=False)
    last = [switched(primary, row) for row in (1, 2, 3)][-1]
    until_archived(primary, repository, last)
    primary.stop("immediate")
    recovering(standby, repository)
    assert rows_of(standby) == "1,2,3"
    assert failures_in(standby) == 0
    listing = look(repository / "main" / "wal")
    assert last in listing.segments
    assert all(file.name.endswith(".zst") for file in listing.segments.values())
    assert [gap for gap in gaps(listing, now=0.0) if gap.kind is GapKind.LOST] == []
    known = owner(str(repository / "main" / "wal"))
    assert known == (standby.psql("select system_identifier from pg_control_system()"), 16 * 1024**2)


def failures_in(cluster: Cluster) -> int:
    """How many faults of ours a server's log holds."""
    return cluster.log_text().count("toban: ")


@pytest.mark.integration
def test_recovery_stops_at_a_gap_instead_of_being_promoted(
    new_cluster: NewCluster, standby_of: StandbyOf, repository: Path
) -> None:
    """A segment removed from the middle: rows behind it would be lost unsaid. Accepted, it gives those before."""
    primary = archiving(new_cluster, repository)
    standby = standby_of(primary, start=False)
    segments = [switched(primary, row) for row in (1, 2, 3, 4)]
    until_archived(primary, repository, segments[-1])
    primary.stop("immediate")
    place = repository / "main" / "wal"
    (place / f"{segments[2]}.zst").unlink()
    recovering(standby, repository)
    eventually_sync(lambda: not standby.running)
    assert f"is missing, and {segments[3]} after it is there" in standby.log_text()
    recovering(standby, repository, accept_gap=True)
    assert rows_of(standby) == "1,2"


@pytest.fixture
def mounted(repository: Path) -> Iterator[Path]:
    """The same on a disk of its own, with room for some segments."""
    options = f"size=24m,mode=0700,uid={account().pw_uid},gid={account().pw_gid}"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", repository], check=False)
    if done.returncode != 0:
        pytest.skip(f"{IMPOSSIBLE}no mount of a file system of its own")
    (repository / "repository.json").touch()
    yield repository
    subprocess.run(["umount", "--lazy", repository], check=True)


@pytest.mark.integration
def test_archiver_counts_a_disk_that_is_full_or_read_only(new_cluster: NewCluster, mounted: Path) -> None:
    """With the words of each in the server's log, and nothing half-made; afterwards all of it is there."""
    cluster = archiving(new_cluster, mounted)
    segments = [switched(cluster, 1)]
    until_archived(cluster, mounted, segments[0])
    place, filler = mounted / "main" / "wal", mounted / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(mounted).free))
    segments.append(switched(cluster, 2))
    eventually_sync(lambda: failures(cluster) >= 1)
    assert "No space left on device" in cluster.log_text() or "no space left on the disk" in cluster.log_text()
    assert [path.name for path in place.iterdir() if path.name.endswith(".push")] == []
    filler.unlink()
    segments.append(switched(cluster, 3))
    until_archived(cluster, mounted, segments[-1])
    subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
    before = failures(cluster)
    segments.append(switched(cluster, 4))
    eventually_sync(lambda: failures(cluster) > before)
    assert "Read-only file system" in cluster.log_text()
    subprocess.run(["mount", "-o", "remount,rw", mounted], check=True)
    segments.append(switched(cluster, 5))
    until_archived(cluster, mounted, segments[-1])
    assert set(segments) <= set(look(place).segments)


@pytest.mark.integration
def test_archiver_counts_a_repository_that_takes_nothing_and_catches_up_afterwards(
    new_cluster: NewCluster, repository: Path
) -> None:
    """Gone, a different file of the name, back again: the server's own figures show each, and nothing is lost."""
    cluster = archiving(new_cluster, repository)
    first = switched(cluster, 1)
    until_archived(cluster, repository, first)
    assert failures(cluster) == 0
    away = repository.with_name("away")
    repository.rename(away)
    second = switched(cluster, 2)
    eventually_sync(lambda: failures(cluster) >= 1)
    assert "is no repository: it has no repository.json" in cluster.log_text()
    assert not repository.exists()
    away.rename(repository)
    switched(cluster, 3)  # an archiver that has failed three times waits a minute, or for the next segment
    until_archived(cluster, repository, second)
    place = repository / "main" / "wal"
    assert {first, second} <= set(look(place).segments)
