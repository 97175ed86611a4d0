"""Which backup an increment builds on: a pure decision."""

import pytest

from backup.engines.basing.parents import parent_of
from backup.errors import BackupError
from backup.settings import Job
from tests.builders import START
from toban.backups import BackupRecord, Manifest, Method, Scope, Status, Trouble


def a_record(  # noqa: PLR0913 - one argument for each thing that decides
    name: str,
    job: str,
    *,
    scope: Scope = Scope.FULL,
    parent: str | None = None,
    status: Status = Status.OK,
    version: str = "18.4",
    server: str = "7",
    engine: str = "base",
) -> BackupRecord:
    """A base backup."""
    manifest = Manifest(
        id=name,
        name=job,
        target="main",
        kind="postgresql",
        method=Method.BASE,
        engine=engine,
        scope=scope,
        parent=parent,
        created_at=START,
        finished_at=START,
        server_version=version,
        system_identifier=server,
    )
    return BackupRecord(manifest=manifest, status=status)


FULL = a_record("1", "weekly")
DIFFERENCE = a_record("2", "often", scope=Scope.DIFFERENTIAL, parent="1")
INCREMENT = a_record("3", "daily", scope=Scope.INCREMENTAL, parent="2")


def chosen(kind: Scope, *earlier: BackupRecord, of: str = "weekly", server: str = "7", major: int = 18) -> str:
    """The id of the one that is built on."""
    job = Job(name="daily", target="main", method="base", type=kind, of=of)
    return parent_of(job, earlier, engine="base", system_identifier=server, major=major).id


def refusal(
    *earlier: BackupRecord, kind: Scope = Scope.INCREMENTAL, of: str = "weekly", server: str = "7", major: int = 18
) -> str:
    """Why there is none."""
    with pytest.raises(BackupError) as refused:
        chosen(kind, *earlier, of=of, server=server, major=major)
    assert refused.value.trouble is Trouble.MISSING
    return refused.value.why


def test_incremental_builds_on_the_newest_of_any_kind() -> None:
    """Whatever it is, when it leads back to a full backup of the job that was named."""
    assert chosen(Scope.INCREMENTAL, INCREMENT, DIFFERENCE, FULL) == "3"
    assert chosen(Scope.INCREMENTAL, DIFFERENCE, FULL) == "2"


def test_differential_builds_on_the_newest_full_one() -> None:
    """What was made since does not matter."""
    newer = a_record("4", "weekly")
    assert chosen(Scope.DIFFERENTIAL, INCREMENT, DIFFERENCE, newer, FULL) == "4"


def test_increment_passes_over_a_line_that_is_broken() -> None:
    """One in between is damaged: the newest that is whole is taken."""
    broken = a_record("2", "often", scope=Scope.DIFFERENTIAL, parent="1", status=Status.DAMAGED)
    assert chosen(Scope.INCREMENTAL, INCREMENT, broken, FULL) == "1"


def test_increment_passes_over_other_lines_and_engines() -> None:
    """Another job's full backup, and one of another engine, are none to build on."""
    assert (
        chosen(Scope.INCREMENTAL, a_record("9", "monthly"), a_record("8", "weekly", engine="pgbackrest"), FULL) == "1"
    )


def test_increment_after_an_upgrade_wants_a_full_backup() -> None:
    """Another major version, or another server: neither can be built on."""
    why = "1 is of another server, or of before its upgrade: a full backup has to come first"
    assert refusal(FULL, major=19) == why
    assert refusal(FULL, server="8") == why


def test_increment_without_anything_to_build_on_says_so() -> None:
    """Not a full backup is silently made instead."""
    assert refusal() == "there is no backup of job weekly to build on"
    assert refusal(FULL, of="monthly") == "there is no backup of job monthly to build on"


def test_increment_does_not_follow_a_circle() -> None:
    """Manifests that name each other as parents end nowhere."""
    circle = (a_record("1", "weekly", parent="2"), a_record("2", "weekly", parent="1"))
    assert refusal(*circle) == "there is no backup of job weekly to build on"
