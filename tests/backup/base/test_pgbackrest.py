"""PgBackRest's repository adopted: its backups made and brought back, its verdicts read, and not trusted."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from backup.engines.basing.stanza import read_info, read_verification
from backup.engines.pgbackrest import PgBackRest
from backup.errors import BackupError
from backup.restore.contract import Moment
from backup.restore.pgbackrest import PgBackRestRestorer
from tests.backup.base.bench import LATEST, Bench, archiving
from tests.clusters import absence, installations
from tests.installations import as_account
from tests.waiting import eventually_sync
from toban.backups import Scope, Trouble

SAID_OK = """stanza: main
status: ok
  archiveId: 15-1, total WAL checked: 5, total valid WAL: 5
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20261121-180326F, status: valid, total files checked: 965, total valid files: 965
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
"""
SAID_ERROR = """stanza: main
status: error
  archiveId: 15-1, total WAL checked: 5, total valid WAL: 4
    missing: 0, checksum invalid: 1, size invalid: 0, other: 0
  backup: 20261121-180326F, status: invalid, total files checked: 965, total valid files: 964
    missing: 1, checksum invalid: 0, size invalid: 0, other: 0
"""


def verdicts(text: str, label: str = "20261121-180326F") -> dict[str, bool | None]:
    """What is read out of what `verify` says."""
    return {check.name: check.ok for check in read_verification(text, label)}


def test_verification_of_pgbackrest_is_read_by_its_words() -> None:
    """Its exit status is 0 for both."""
    assert verdicts(SAID_OK) == {"verify": True, "wal files": True, "files": True}
    assert verdicts(SAID_ERROR) == {"verify": False, "wal files": False, "files": False}


def test_verification_that_does_not_name_the_backup_is_no_pass() -> None:
    """It may have expired meanwhile."""
    assert verdicts(SAID_OK, "20260101-000000F") == {"verify": True, "wal files": True, "files": False}


def test_verification_that_says_nothing_is_no_pass() -> None:
    """Older versions write no report."""
    assert verdicts("") == {"verify": None}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "pgBackRest does not know it"),
        ('[{"name": "main", "status": {"code": 1, "message": "missing stanza path"}}]', "missing stanza path"),
        ("nothing", "pgBackRest said something else than was expected"),
        ('[{"name": "main"}]', "pgBackRest said something else than was expected"),
    ],
)
def test_stanza_that_is_not_well_is_refused(text: str, why: str) -> None:
    """Not taken for one without backups."""
    with pytest.raises(BackupError, match=why):
        read_info(text, "main")


@pytest.fixture(scope="module")
def stanza(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A server on PostgreSQL 15 that pgBackRest archives, with a full backup, an incremental one, and rows since."""
    if 15 not in installations():
        pytest.skip(absence(15))
    if shutil.which("pgbackrest") is None:
        pytest.skip("no pgBackRest on this machine: apt-get install pgbackrest")
    with archiving(15, archive_mode="on") as bench, pytest.MonkeyPatch.context() as patched:
        folders = {name: bench.home / name for name in ("repo", "log", "lock")}
        for folder in folders.values():
            folder.mkdir()
            if as_account():
                shutil.chown(folder, as_account()["user"], as_account()["group"])
        configuration = bench.home / "br.conf"
        configuration.write_text(
            f"[global]\nrepo1-path={folders['repo']}\nlog-path={folders['log']}\nlock-path={folders['lock']}\n"
            f"repo1-retention-full=9\ncompress-type=zst\n[main]\npg1-path={bench.cluster.data_dir}\n"
            f"pg1-port={bench.cluster.port}\npg1-socket-path={bench.cluster.socket_dir}\npg1-user=postgres\n"
        )
        patched.setenv("PGBACKREST_CONFIG", str(configuration))
        bench.engine, bench.restorer = PgBackRest(), PgBackRestRestorer()
        command(bench, "stanza-create")
        bench.cluster.configure(archive_command=f'pgbackrest --config={configuration} --stanza=main archive-push "%p"')
        asyncio.run(_filled(bench))
        yield bench


async def _filled(bench: Bench) -> None:
    server = bench.cluster
    server.psql(f"CREATE TABLESPACE other LOCATION '{bench.space('other')}'")
    server.psql("CREATE TABLE t (n int) TABLESPACE other; INSERT INTO t VALUES (1)")
    await bench.back_up("weekly", engine="pgbackrest", stanza="main")
    server.psql("INSERT INTO t VALUES (2)")
    await bench.back_up("daily", engine="pgbackrest", stanza="main", type="incremental", of="weekly")
    for row in (3, 4, 5):
        server.psql(f"INSERT INTO t VALUES ({row})")
        last = server.psql("SELECT pg_walfile_name(pg_current_wal_lsn())")
        server.psql("SELECT pg_switch_wal()")
        eventually_sync(partial(archived, bench, last))


def archived(bench: Bench, name: str) -> bool:
    """Whether a segment has come there."""
    return any(segments(bench, name))


def command(bench: Bench, *words: str) -> subprocess.CompletedProcess[str]:
    """PgBackRest, as the server's account."""
    told = ("pgbackrest", f"--config={bench.home / 'br.conf'}", "--stanza=main", *words)
    return subprocess.run(told, capture_output=True, text=True, check=True, cwd="/", **as_account())


def segments(bench: Bench, name: str = "") -> Iterator[Path]:
    """The WAL in pgBackRest's archive."""
    return (bench.home / "repo" / "archive" / "main").glob(f"15-1/*/{name or '?' * 24}-*")


@pytest.mark.integration
def test_pgbackrest_is_asked_what_it_has_made(stanza: Bench) -> None:
    """Scope, parent and positions are by its own account."""
    daily, weekly = stanza.records
    assert (weekly.manifest.scope, weekly.manifest.parent) == (Scope.FULL, None)
    assert (daily.manifest.scope, daily.manifest.parent) == (Scope.INCREMENTAL, weekly.id)
    assert daily.manifest.detail["label"].startswith(f"{weekly.manifest.detail['label']}_")
    assert [file.path for file in daily.manifest.files] == ["pgbackrest.json"]
    assert daily.manifest.server_version.startswith("15.")


@pytest.mark.integration
async def test_pgbackrest_takes_nothing_of_our_repository(stanza: Bench) -> None:
    """What it makes lies in its own."""
    found = await PgBackRest().estimate(stanza.making("daily", engine="pgbackrest", stanza="main"))
    assert (found.source_bytes or 0) > 10_000_000
    assert found.size_bytes == 0


@pytest.mark.integration
async def test_pgbackrest_that_fails_is_a_failure_in_its_words(stanza: Bench) -> None:
    """An unknown stanza before anything is made; a repository that cannot be written to while it is."""
    with pytest.raises(BackupError, match=r"pgBackRest does not know it|missing stanza path") as unknown:
        await PgBackRest().make(stanza.making("daily", engine="pgbackrest", stanza="other"))
    assert unknown.value.trouble is Trouble.CONFIGURATION
    lock = stanza.home / "lock" / "main-backup.lock"
    lock.mkdir()
    try:
        with pytest.raises(BackupError, match="pgbackrest ended with status 50: ") as failed:
            await PgBackRest().make(stanza.making("daily", engine="pgbackrest", stanza="main"))
    finally:
        lock.rmdir()
    assert failed.value.trouble is Trouble.BUSY


@pytest.mark.integration
async def test_pgbackrest_comes_back_up_to_the_latest_moment(stanza: Bench) -> None:
    """Full and increment, the WAL since, and a tablespace below the new data directory."""
    assert await stanza.rows_at(LATEST, stanza.records[0]) == "1,2,3,4,5"


@pytest.mark.integration
async def test_pgbackrest_comes_back_as_it_was_made(stanza: Bench) -> None:
    """Up to the backup's own end, though more WAL is there."""
    assert await stanza.rows_at(Moment(), stanza.records[-1]) == "1"


@pytest.mark.integration
async def test_pgbackrest_over_a_hole_in_the_wal_is_not_believed(stanza: Bench) -> None:
    """`verify`, `check` and `info` say that all is well; we do not, and do not restore past it unasked."""
    assert all(check.ok for check in (await stanza.verify(stanza.records[0])).values())
    gone = sorted(segments(stanza))[-2]
    kept = gone.rename(stanza.home / gone.name)
    try:
        assert "status: ok" in command(stanza, "--output=text", "--verbose", "verify").stdout
        assert command(stanza, "check").returncode == 0
        assert "status: ok" in command(stanza, "info").stdout
        found = await stanza.verify(stanza.records[0])
        assert {name: check.ok for name, check in found.items()} == {
            "label": True,
            "verify": True,
            "wal files": True,
            "files": True,
            "wal": False,
        }
        assert found["wal"].detail.startswith("WAL is missing from ")
        with stanza.room() as server, pytest.raises(BackupError, match="PostgreSQL would end there") as refused:
            await stanza.restore(stanza.wanted(stanza.records[0], server.data_dir, LATEST))
        assert refused.value.trouble is Trouble.MISSING
        assert await stanza.rows_at(LATEST, stanza.records[0], accept_gap=True) == "1,2,3"
    finally:
        kept.rename(gone)


@pytest.mark.integration
async def test_pgbackrest_with_a_flipped_byte_is_damaged(stanza: Bench) -> None:
    """Its `verify` ends with 0 nevertheless."""
    file = max(
        (stanza.home / "repo" / "backup" / "main").glob("*F/pg_data/base/**/*.zst"), key=lambda one: one.stat().st_size
    )
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    try:
        assert command(stanza, "verify").returncode == 0
        found = await stanza.verify(stanza.records[-1])
        assert (found["verify"].ok, found["files"].ok) == (False, False)
        assert found["files"].detail == "1 checksum invalid"
    finally:
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)


@pytest.mark.integration
async def test_pgbackrest_that_has_expired_a_backup_is_found_out(stanza: Bench) -> None:
    """Ours is a pointer: what it leads to may be gone."""
    moved = stanza.records[0].manifest.detail["label"]
    record = stanza.records[0]
    record.manifest.detail["label"] = "20200101-000000F"  # type: ignore[index] # a dictionary as it was made
    try:
        found = await stanza.verify(record)
        assert {name: check.ok for name, check in found.items()} == {"label": False}
        preflight = await stanza.look(stanza.wanted(record, stanza.home / "new", LATEST))
        assert preflight.ok is False
    finally:
        record.manifest.detail["label"] = moved  # type: ignore[index] # likewise
