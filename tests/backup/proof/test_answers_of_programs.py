"""What pg_amcheck, pg_checksums and pg_controldata answer, read from their words."""

from dataclasses import replace
from pathlib import Path

import pytest

from backup.children import Command, Ended, Output
from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.proof import amcheck, checksums
from backup.proof.amcheck import Complaint, complained
from backup.proof.answers import looked_into
from backup.proof.control import major_of, read_control
from backup.proof.course import Course
from backup.proof.verdict import Weight
from tests.backup.proof.scenes import StandIn, a_proving, a_record, server_of
from tests.clusters import Cluster
from toban.backups import Trouble

AMCHECK = """heap table "post""gres.public.item":
    ERROR:  invalid page in block 3 of relation base/5/16384
btree index "shop.public.item_pkey":
    ERROR:  item order invariant violated for index "item_pkey"
    DETAIL:  Lower index tid=(1,2) page lsn=0/1AA62E0.
heap table "shop.public.note", block 0, offset 3, attribute 1:
    toast value 16392 not found in toast table
"""
CHECKSUMS_OK = "Checksum operation completed\nFiles scanned:   945\nBlocks scanned:  2814\nBad checksums:  0\n"
CHECKSUMS_BAD = "Files scanned:   945\nBlocks scanned:  2814\nBad checksums:  4\n"
WHERE = 'pg_checksums: error: checksum verification failed in file "/d/base/5/1", block {}: calculated checksum 1 but'


def ended(status: int, said: str = "", stdout: str = "") -> Output:
    """A program that ended so."""
    return Output(
        stdout=stdout.encode(), ended=(Ended(command=Command(words=("pg_amcheck",)), status=status, said=said),)
    )


def test_complaints_of_amcheck_are_told_by_relation() -> None:
    """Its lines below each header belong together."""
    assert complained(AMCHECK) == (
        Complaint(
            kind="heap table",
            relation='post""gres.public.item',
            words="ERROR: invalid page in block 3 of relation base/5/16384",
        ),
        Complaint(
            kind="btree index",
            relation="shop.public.item_pkey",
            words='ERROR: item order invariant violated for index "item_pkey" '
            "DETAIL: Lower index tid=(1,2) page lsn=0/1AA62E0.",
        ),
        Complaint(kind="heap table", relation="shop.public.note", words="toast value 16392 not found in toast table"),
    )
    assert complained("") == ()


def test_amcheck_without_complaints_is_well() -> None:
    """Status 0."""
    check = amcheck.judged_answer(ended(0), (), sorted_otherwise=False)
    assert (check.ok, check.detail) == (True, "heaps and indexes are whole")


def test_amcheck_that_could_not_look_is_no_answer() -> None:
    """Status 1 is an error of its own; status 2 without a word as well."""
    check = amcheck.judged_answer(ended(1, "pg_amcheck: error: no relations"), (), sorted_otherwise=False)
    assert (check.ok, check.detail) == (None, "pg_amcheck ended with status 1: pg_amcheck: error: no relations")
    assert amcheck.judged_answer(ended(2), (), sorted_otherwise=False).ok is None


def test_amcheck_that_complains_is_damage() -> None:
    """Four complaints: three are named."""
    complaints = complained(AMCHECK + AMCHECK.splitlines()[0] + "\n    more\n")
    check = amcheck.judged_answer(ended(2), complaints, sorted_otherwise=False)
    assert check.ok is False
    assert check.detail.startswith('heap table post""gres.public.item: ERROR: invalid page in block 3')
    assert check.detail.endswith("; and 1 more")


@pytest.mark.parametrize(
    "words", ["ERROR: could not write block: No space left on device", 'ERROR: could not access file "$libdir/x"']
)
def test_amcheck_that_lacks_something_here_is_no_damage(words: str) -> None:
    """The machine's obstacles come out of it as complaints too."""
    complaint = Complaint(kind="btree index", relation="a.b.c", words=words)
    assert amcheck.judged_answer(ended(2), (complaint,), sorted_otherwise=False).ok is None


def test_order_of_an_index_is_no_damage_where_texts_are_sorted_otherwise() -> None:
    """Another version of the collation: what is out of order here may be in order there."""
    complaint = Complaint(kind="btree index", relation="a.b.c", words="ERROR: item order invariant violated")
    check = amcheck.judged_answer(ended(2), (complaint,), sorted_otherwise=True)
    assert check.ok is None
    assert check.detail.endswith("(texts are sorted otherwise on this machine than where the indexes were built)")
    assert amcheck.judged_answer(ended(2), (complaint,), sorted_otherwise=False).ok is False


def test_checksums_that_hold_are_counted() -> None:
    """Status 0 and no bad one."""
    check = checksums.judged_answer(ended(0, stdout=CHECKSUMS_OK), "/d")
    assert (check.ok, check.detail) == (True, "2814 pages")


def test_checksums_that_do_not_hold_are_damage_and_named() -> None:
    """Three places of four."""
    said = "\n".join(WHERE.format(block) for block in range(4))
    check = checksums.judged_answer(ended(1, said, CHECKSUMS_BAD), "/d")
    assert (check.ok, check.detail) == (
        False,
        "4 pages are not what was written: base/5/1 block 0, base/5/1 block 1, base/5/1 block 2, …",
    )


def test_checksums_that_could_not_be_read_say_why() -> None:
    """A file that cannot be opened is damage; success without a summary is no answer."""
    said = 'pg_checksums: error: could not open file "/d/base/5/1": No such file or directory'
    assert checksums.judged_answer(ended(1, said), "/d").ok is False
    assert checksums.judged_answer(ended(1, "pg_checksums: error: out of memory"), "/d").ok is None
    assert checksums.judged_answer(ended(0), "/d").ok is None


def test_control_file_tells_what_a_server_needs() -> None:
    """The limits that a server wants at least as much of."""
    control = read_control(
        "Database system identifier:           7300000000000000001\n"
        "Database cluster state:               in production\n"
        "Latest checkpoint's TimeLineID:       3\n"
        "max_connections setting:              200\n"
        "max_prepared_xacts setting:           5\n"
        "Data page checksum version:           1\n"
    )
    assert control.system_identifier == "7300000000000000001"
    assert control.state == "in production"
    assert control.timeline == 3
    assert control.has_checksums
    assert control.limits == {"max_connections": 200, "max_prepared_transactions": 5}


def test_folder_without_a_version_is_no_data_directory(tmp_path: Path) -> None:
    """It is told as damage: a base backup without PG_VERSION is none."""
    (tmp_path / "PG_VERSION").write_text("15\n")
    assert major_of(tmp_path) == 15
    (tmp_path / "PG_VERSION").unlink()
    with pytest.raises(BackupError) as caught:
        major_of(tmp_path)
    assert caught.value.trouble is Trouble.DAMAGED


@pytest.mark.integration
async def test_amcheck_that_cannot_be_started_decides_nothing(
    around: Surroundings, postgres15: Cluster, tmp_path: Path
) -> None:
    """The program is not where the server's others are: an obstacle of this machine's, and no pass."""
    server = replace(server_of(postgres15, tmp_path), bin_dir=tmp_path)
    course = Course(around.clock, lambda _: None)
    await looked_into(a_proving(around, a_record(), StandIn()), server, tmp_path, course)
    ((check, weight),) = [(one.check, one.weight) for one in course.findings]
    assert (check.name, check.ok, weight) == ("amcheck", None, Weight.NEEDED)
    assert check.detail == "pg_amcheck: cannot be started: No such file or directory"
