"""PostgreSQL's own manifest read, words for pg_basebackup, archives followed and streamed: each piece alone."""

import asyncio
import hashlib
import io
import tarfile
from pathlib import Path
from typing import BinaryIO

import pytest

from backup.children import Children, Command, Ended, Output
from backup.engines.base import _move_tablespaces
from backup.engines.basing.checking import Reading
from backup.engines.basing.copying import Hearing, Shape, failure, shape_of, words
from backup.engines.basing.following import following
from backup.engines.basing.manifests import Listed, read_label, read_manifest, start_of
from backup.engines.basing.server import Tablespace
from backup.engines.basing.streams import through
from backup.errors import BackupError
from backup.settings import Job
from tests.builders import ManualClock
from toban.backups import Progress, StoredFile, Trouble

JOB = Job(name="base", target="main", method="base")
ENTRY = '{ "Path": "base/1/112", "Size": 3, "Last-Modified": "x", "Checksum-Algorithm": "SHA256", "Checksum": "00ff" }'
HEXED = '{ "Encoded-Path": "62617365ff", "Size": 3, "Last-Modified": "x" }'
RANGE = '{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }'


def a_manifest(path: Path, body: str | None = None, checksum: str | None = None) -> Path:
    """As PostgreSQL 17 writes it."""
    text = body or (
        '{ "PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": 7430,\n"Files": [\n'
        f'{ENTRY},\n{HEXED}\n],\n"WAL-Ranges": [\n{RANGE}\n],\n'
    )
    digest = checksum or hashlib.sha256(text.encode()).hexdigest()
    path.write_text(f'{text}"Manifest-Checksum": "{digest}"}}\n')
    return path


def test_manifest_is_read_line_by_line(tmp_path: Path) -> None:
    """Files with and without a digest, one whose name is no text, the WAL, the server."""
    found = read_manifest(a_manifest(tmp_path / "m"))
    assert found.files == {"base/1/112": Listed(3, b"\x00\xff"), "base\udcff": Listed(3, None)}
    assert [(one.timeline, one.start_lsn, one.end_lsn) for one in found.ranges] == [(1, "0/2000028", "0/2000100")]
    assert (found.system_identifier, found.source_bytes) == ("7430", 6)


@pytest.mark.parametrize(
    ("body", "checksum", "why"),
    [
        (None, "0" * 64, "does not agree with its own checksum"),
        ('{ "PostgreSQL-Backup-Manifest-Version": 1,\n', None, "ends too early"),
        ('{ "Path": nonsense\n', None, "cannot be read: "),
        ('{ "Path": "a"\n', None, "cannot be read: "),
        ('{ "Path": "a", "Size": 1 }\n', None, "ends too early"),
        ("x" * 70_000 + "\n", None, "cannot be read: a line without an end"),
    ],
)
def test_manifest_that_is_not_what_was_written_is_damaged(
    tmp_path: Path, body: str | None, checksum: str | None, why: str
) -> None:
    """By its own checksum, by its form, by its end."""
    with pytest.raises(BackupError, match=why) as failed:
        read_manifest(a_manifest(tmp_path / "m", body, checksum))
    assert failed.value.trouble is Trouble.DAMAGED


def test_manifest_that_is_not_there_means_that_it_was_never_finished(tmp_path: Path) -> None:
    """pg_basebackup writes it last."""
    with pytest.raises(BackupError, match="the backup was never finished"):
        read_manifest(tmp_path / "m")


def test_wal_ranges_of_a_manifest_are_in_the_order_of_the_wal(tmp_path: Path) -> None:
    """PostgreSQL writes the newest timeline first, where a standby followed a promotion while it was backed up."""
    newer = '{ "Timeline": 2, "Start-LSN": "0/3000000", "End-LSN": "0/3000100" }'
    body = f'{{ "PostgreSQL-Backup-Manifest-Version": 1,\n"WAL-Ranges": [\n{newer},\n{RANGE}\n],\n'
    found = read_manifest(a_manifest(tmp_path / "m", body))
    assert [(one.timeline, one.start_lsn) for one in found.ranges] == [(1, "0/2000028"), (2, "0/3000000")]


def test_label_says_where_recovery_begins() -> None:
    """In PostgreSQL's words."""
    label = read_label("START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nSTART TIMELINE: 1\n")
    assert (start_of(label), label["START TIMELINE"]) == ("0/2000028", "1")
    assert start_of({}) == ""


# --- words ------------------------------------------------------------------------------------------------------------


def told(job: Job, major: int = 15, parent: Path | None = None) -> list[str]:
    """What pg_basebackup is told beyond what it always is."""
    spaces = (Tablespace(oid=16385, name="a", location="/a=b\\c"),)
    found = words(shape_of(job, major), job, Path("/p"), major=major, label="x", tablespaces=spaces, parent=parent)
    return list(found[found.index("--label=x") + 1 :])


@pytest.mark.parametrize(
    ("keys", "major", "expected"),
    [
        ({}, 15, ["--format=tar", "--compress=client-zstd:1", "--pgdata=/p"]),
        ({"compress": "lz4:3"}, 15, ["--format=tar", "--compress=client-lz4:3", "--pgdata=/p"]),
        ({"compress": "none"}, 15, ["--format=tar", "--pgdata=/p"]),
        ({}, 14, ["--format=tar", "--compress=1", "--pgdata=/p"]),
        ({"compress": "gzip:9"}, 14, ["--format=tar", "--compress=9", "--pgdata=/p"]),
        (
            {"format": "plain", "compress": "zstd"},
            15,
            ["--tablespace-mapping=/a\\=b\\\\c=/p/tablespaces/16385", "--format=plain", "--pgdata=/p/data"],
        ),
        ({"bandwidth": "10MB"}, 15, ["--max-rate=10240", "--format=tar", "--compress=client-zstd:1", "--pgdata=/p"]),
        ({"bandwidth": "1kB"}, 15, ["--max-rate=32", "--format=tar", "--compress=client-zstd:1", "--pgdata=/p"]),
        ({"bandwidth": "2GB"}, 15, ["--format=tar", "--compress=client-zstd:1", "--pgdata=/p"]),
    ],
)
def test_words_for_pg_basebackup_are_as_the_job_has_it(keys: dict[str, str], major: int, expected: list[str]) -> None:
    """Within what its version knows, and within its own bounds."""
    assert told(Job(name="base", target="main", method="base", **keys), major) == expected


def test_words_for_an_increment_name_the_parents_manifest() -> None:
    """In the clear."""
    assert told(JOB, 18, Path("/q/backup_manifest"))[0] == "--incremental=/q/backup_manifest"


def test_shape_that_a_build_lacks_is_replaced_by_the_next() -> None:
    """Gzip is in every one."""
    found: Shape | None = shape_of(JOB, 18)
    seen = []
    while found is not None:
        seen.append(found.text)
        found = found.weaker()
    assert seen == ["zstd:1", "lz4:1", "gzip:1"]


def test_hearing_tells_progress_and_keeps_complaints() -> None:
    """How far it is, how long each phase took, when the last file had come; what is no complaint is not kept."""
    clock, heard = ManualClock(), list[Progress]()
    hearing = Hearing(clock, heard.append)
    for seconds, line in (
        (1, "pg_basebackup: initiating base backup, waiting for checkpoint to complete"),
        (2, "pg_basebackup: checkpoint completed"),
        (3, "  2048/4096 kB (50%), 0/1 tablespace"),
        (4, 'WARNING:  skipping special file "./x"'),
        (5, "pg_basebackup: write-ahead log end point: 0/2000100"),
        (6, "pg_basebackup: base backup completed"),
    ):
        clock.advance(seconds)
        hearing.hear(line)
    hearing.close()
    assert hearing.phases == {"connect": 1, "checkpoint": 2, "copy": 12, "finish": 6}
    assert hearing.warnings == ['WARNING:  skipping special file "./x"']
    assert hearing.copied_at == clock.now() - 6
    assert [one for one in heard if one.done_bytes] == [Progress(phase="copy", done_bytes=2097152, total_bytes=4194304)]


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        ("pg_basebackup: error: could not write to file: No space left on device", Trouble.SPACE),
        ("FATAL:  number of requested standby connections exceeds max_wal_senders", Trouble.TOOL),
        ("FATAL:  no pg_hba.conf entry for replication connection", Trouble.PRIVILEGE),
        ('pg_basebackup: error: connection to server at "127.0.0.1" failed', Trouble.UNREACHABLE),
        ("ERROR:  WAL summaries are required on timeline 1", Trouble.MISSING),
        ("ERROR:  checksum error occurred", Trouble.DAMAGED),
        ("pg_basebackup: error: something else", Trouble.TOOL),
    ],
)
def test_failure_is_told_by_what_was_said(line: str, trouble: Trouble) -> None:
    """Whether to try again depends on it."""
    ended = Ended(command=Command(words=("/bin/pg_basebackup",)), status=1, said="1/2 kB (50%), 0/1 tablespace\n")
    found = failure(JOB, Output(stdout=b"", ended=(ended,)), [line])
    assert found.trouble is trouble
    if trouble is not Trouble.SPACE:
        assert found.why == f"pg_basebackup ended with status 1: {line}"


def test_disk_of_the_server_is_not_taken_for_ours() -> None:
    """Nobody shall look for room in the repository when the server has none."""
    line = "pg_basebackup: error: backup failed: ERROR:  could not write to file: No space left on device"
    ended = Ended(command=Command(words=("/bin/pg_basebackup",)), status=1, said="")
    found = failure(JOB, Output(stdout=b"", ended=(ended,)), [line])
    assert (found.trouble, found.why) == (Trouble.SPACE, f"no space left where the server is: {line}")
    found = failure(JOB, Output(stdout=b"", ended=(ended,)), [line.replace("backup failed: ERROR: ", "x")])
    assert found.why == "no space left in the repository"


def test_tablespace_that_was_made_meanwhile_is_told_with_where_its_copy_lies(tmp_path: Path) -> None:
    """pg_basebackup was told nothing of it, and laid it where the server has it: outside of the backup."""
    links = tmp_path / "data" / "pg_tblspc"
    links.mkdir(parents=True)
    (links / "1").symlink_to("/srv/late")
    with pytest.raises(BackupError, match="its files were copied to /srv/late") as failed:
        _move_tablespaces(tmp_path)
    assert failed.value.hint == "remove /srv/late on this machine"


# --- archives ---------------------------------------------------------------------------------------------------------


async def test_digest_of_an_archive_follows_its_writing(tmp_path: Path) -> None:
    """It is known when the archive is; of one that never came there is none."""
    async with following(tmp_path, ("base.tar", "absent.tar")) as found:
        with (tmp_path / "base.tar").open("wb", buffering=0) as file:
            for _ in range(3):
                await asyncio.to_thread(file.write, b"x" * 1_500_000)
        digests = await found.done()
    content = b"x" * 4_500_000
    expected = StoredFile(path="base.tar", size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    assert digests == {"base.tar": expected}


def an_archive(**members: bytes) -> io.BytesIO:
    """A tar of some files, and a folder."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        folder = tarfile.TarInfo("base")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    made.seek(0)
    return made


def a_reading(**expected: bytes) -> Reading:
    """What should be there."""
    return Reading(expected={name: Listed(len(one), hashlib.sha256(one).digest()) for name, one in expected.items()})


def test_archive_is_compared_with_the_manifest() -> None:
    """Another size, another content, one too many, one too few: each is named."""
    reading = a_reading(same=b"1", other=b"2", longer=b"3", missing=b"4")
    reading.archive(an_archive(same=b"1", other=b"x", longer=b"33", stray=b"5"), "")
    reading.finish()
    assert reading.faults == [
        "other is not what was copied: its checksum is another",
        "longer has 2 bytes, and the manifest 1",
        "stray is not in the manifest",
        "missing is missing",
    ]


def test_archive_that_breaks_off_is_found() -> None:
    """In the middle of a member."""
    reading = a_reading(one=b"1" * 5000)
    reading.archive(io.BytesIO(an_archive(one=b"1" * 5000).getvalue()[:2000]), "")
    assert reading.faults[0].startswith("an archive breaks off: ")


def test_archive_says_only_so_much_of_what_is_wrong() -> None:
    """A thousand faults are one: it is broken."""
    reading = Reading(expected={str(number): Listed(1, None) for number in range(1000)})
    reading.finish()
    assert len(reading.faults) == 20


@pytest.mark.integration
async def test_stream_is_taken_behind_programs(tmp_path: Path) -> None:
    """What one makes of it comes back; what a program complains of comes first."""
    (tmp_path / "file").write_bytes(b"abc")
    children = Children()
    try:

        def take(stream: BinaryIO) -> bytes:
            return stream.read()

        def refuse(_: BinaryIO) -> bytes:
            raise ValueError("nothing of it")

        bare = await through(children, (), tmp_path / "file", take, within_seconds=5, what="x")
        piped = await through(
            children, (Command(words=("/bin/cat",)),), tmp_path / "file", take, within_seconds=5, what="x"
        )
        assert (bare, piped) == (b"abc", b"abc")
        with pytest.raises(BackupError, match="ended with status 3"):
            await through(
                children,
                (Command(words=("/bin/sh", "-c", "exit 3")),),
                tmp_path / "file",
                take,
                within_seconds=5,
                what="x",
            )
        killed = (Command(words=("/bin/sh", "-c", "kill -9 $$")),)
        with pytest.raises(BackupError, match="ended by signal 9") as ended:
            await through(children, killed, tmp_path / "file", take, within_seconds=5, what="x")
        assert ended.value.trouble is Trouble.CANCELLED
        with pytest.raises(ValueError, match="nothing of it"):
            await through(
                children, (Command(words=("/bin/cat",)),), tmp_path / "file", refuse, within_seconds=5, what="x"
            )
    finally:
        await children.close()
