"""PgBackRest's repository adopted: its backups made and brought back, its verdicts read, and not trusted."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from backup.engines.basing.stanza import Taken, read_info, read_verification
from backup.engines.pgbackrest import PgBackRest, gone, stanza_of
from backup.errors import BackupError
from backup.keeping.tools import Letting
from backup.proof.prover import prove_record
from backup.repository.repository import Repository
from backup.restore import restorer_of
from backup.restore.contract import Moment
from backup.restore.pgbackrest import PgBackRestRestorer
from backup.restore.restoring import Order, restoring
from backup.settings import Assertion, Proof
from backup.wal.segments import SEGMENT_BYTES, lsn_number, segment_name
from tests.backup.base.bench import LATEST, ROWS, Bench, archiving, begin
from tests.clusters import absence, installations
from tests.installations import as_account
from tests.waiting import eventually_sync
from toban.backups import Scope, Status, Trouble, Verdict

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


SAID_OF_OTHERS = """stanza: main
status: error
  archiveId: 14-1, total WAL checked: 5, total valid WAL: 4
    missing: 0, checksum invalid: 1, size invalid: 0, other: 0
  archiveId: 15-1, total WAL checked: 5, total valid WAL: 5
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20261101-180326F, status: invalid, total files checked: 965, total valid files: 964
    missing: 1, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20261121-180326F, status: valid, total files checked: 965, total valid files: 965
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
"""


def taken(label: str = "20261121-180326F") -> Taken:
    """A backup as pgBackRest has it."""
    return Taken(
        label=label,
        type="full",
        prior=None,
        start_segment="000000010000000000000002",
        start_lsn="0/2000028",
        stop_lsn="0/2000100",
        source_bytes=1,
        repository_bytes=1,
        version="2.45",
        archive="15-1",
        system_identifier="7",
        has_errors=False,
        repository=1,
    )


def verdicts(text: str, label: str = "20261121-180326F") -> dict[str, bool | None]:
    """What is read out of what `verify` says."""
    return {check.name: check.ok for check in read_verification(text, taken(label))}


def test_verification_of_pgbackrest_is_read_by_its_words() -> None:
    """Its exit status is 0 for both."""
    assert verdicts(SAID_OK) == {"verify": True, "wal files": True, "files": True}
    assert verdicts(SAID_ERROR) == {"verify": True, "wal files": None, "files": False}


def test_verification_of_others_damages_nothing() -> None:
    """Another backup, and the archive of before an upgrade: this one is valid, and can be restored."""
    assert [(check.name, check.ok) for check in read_verification(SAID_OF_OTHERS, taken())] == [
        ("verify", True),
        ("wal files", True),
        ("files", True),
    ]


def test_verification_that_does_not_say_what_is_wrong_is_no_pass() -> None:
    """An error that it tells no place of may be anywhere."""
    assert verdicts(SAID_OK.replace("status: ok", "status: error"))["verify"] is None


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
    repository = await pointers(bench)
    weekly = await bench.attempt(repository, "weekly", engine="pgbackrest", stanza="main").made()
    server.psql("INSERT INTO t VALUES (2)")
    often: dict[str, Any] = {"engine": "pgbackrest", "stanza": "main", "type": "incremental", "of": "weekly"}
    bench.records = [await bench.attempt(repository, "daily", **often).made(), weekly]
    for row in (3, 4, 5):
        server.psql(f"INSERT INTO t VALUES ({row})")
        last = server.psql("SELECT pg_walfile_name(pg_current_wal_lsn())")
        server.psql("SELECT pg_switch_wal()")
        eventually_sync(partial(archived, bench, last))


async def pointers(bench: Bench) -> Repository:
    """Our repository, which has but what leads to pgBackRest's."""
    repository = Repository(bench.home / "pointers", around=bench.around)
    await repository.open()
    return repository


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
    """Full and increment, the WAL since, and a tablespace below the new data directory; out of a repository."""
    repository = await pointers(stanza)
    with stanza.room() as server:
        order = Order(backup=stanza.records[0].id, data_dir=server.data_dir, moment=LATEST)
        async with restoring(repository, stanza.around, order, zone=UTC, restorer_of=restorer_of) as prepared:
            await prepared.restore(stanza.told.append)
        begin(server)
        assert server.psql(ROWS) == "1,2,3,4,5"


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
            "wal": None,  # the backup itself is whole, and is not damaged by what came after it
        }
        assert found["wal"].detail.startswith("it is whole, but WAL behind it is missing from ")
        with stanza.room() as server, pytest.raises(BackupError, match="PostgreSQL would end there") as refused:
            await stanza.restore(stanza.wanted(stanza.records[0], server.data_dir, LATEST))
        assert refused.value.trouble is Trouble.MISSING
        assert await stanza.rows_at(LATEST, stanza.records[0], accept_gap=True) == "1,2,3"
    finally:
        kept.rename(gone)


@pytest.mark.integration
async def test_pgbackrest_without_the_wal_of_its_own_end_is_damaged(stanza: Bench) -> None:
    """Nothing makes its files consistent: it comes back to no moment at all, whatever gap is accepted."""
    record = stanza.records[0]
    own = segment_name(1, (lsn_number(record.manifest.stop_lsn or "") - 1) // SEGMENT_BYTES)
    gone = next(segments(stanza, own))
    kept = gone.rename(stanza.home / gone.name)
    try:
        found = await stanza.verify(record)
        assert found["wal"].ok is False
        for moment in (Moment(), LATEST):
            told = await stanza.look(stanza.wanted(record, stanza.home / "new", moment, accept_gap=True))
            assert [check.name for check in told.checks if check.ok is False] == ["wal"]
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
        assert (found["verify"].ok, found["files"].ok) == (True, False)
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


@pytest.mark.integration
async def test_pgbackrest_becomes_proven_as_it_was_made(stanza: Bench) -> None:
    """In a server of its own, up to the backup's own end, though its archive has more WAL."""
    whole = Assertion(name="rows", database="postgres", sql=f"SELECT ({ROWS}) = '1,2'")
    proof = await prove_record(
        stanza.records[0],
        shelves=await pointers(stanza),
        restorer_of=restorer_of,
        settings=Proof(assertions=(whole,)),
        around=stanza.around,
        tell=stanza.told.append,
    )
    assert (proof.verdict, [check.ok for check in proof.checks if check.name == "assertion rows"]) == (
        Verdict.PROVEN,
        [True],
    )


def test_pgbackrest_that_has_let_go_by_itself_is_said(stanza: Bench) -> None:
    """Ours would have kept it: whoever reads the next backup's notes learns of it."""
    making = stanza.making("daily", engine="pgbackrest", stanza="main", type="incremental", of="weekly")
    daily, weekly = stanza.records
    hint = "repo-retention-full has to be more than what keep asks for"
    [said] = gone(making, (taken(weekly.manifest.detail["label"]),))
    assert said == f"pgBackRest has let go of {daily.id} by a retention of its own: {hint}"
    assert gone(making, tuple(taken(one.manifest.detail["label"]) for one in (daily, weekly))) == []


@pytest.mark.integration
async def test_pgbackrest_lets_go_of_what_retention_lets_go_of(stanza: Bench) -> None:
    """Of its files, not of our pointer alone, and of WAL that nothing needs; but of nothing that others build on."""
    repository, daily = await pointers(stanza), stanza.records[0]
    letting, label = Letting(repository), daily.manifest.detail["label"]
    command(stanza, "--type=incr", "backup")  # by somebody else
    with pytest.raises(BackupError, match=f"which builds on {label}: it stays"):
        await letting.remove(daily, "old")
    assert repository.record(daily.id).status is Status.OK
    there = await stanza_of(daily.manifest, stanza.around).taken()
    command(stanza, f"--set={next(one.label for one in there if one.prior == label)}", "expire")
    await letting.remove(daily, "old")
    assert [record.id for record in repository.records()] == [stanza.records[1].id]
    left = await stanza_of(daily.manifest, stanza.around).taken()
    assert [one.label for one in left] == [stanza.records[1].manifest.detail["label"]]
    assert min(path.name for path in segments(stanza)).startswith(f"{left[0].start_segment}-")
