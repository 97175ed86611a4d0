"""Verdicts: damaged before inconclusive before proven, and what an obstacle means."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.errors import BackupError
from backup.proof.verdict import Finding, Weight, judged, obstacle, of_reading, spoiled, worst
from tests.backup.proof.scenes import Answer
from toban.backups import Check, Trouble, Verdict

FINDINGS = st.lists(
    st.builds(
        Finding,
        check=st.builds(Check, name=st.just("thing"), ok=st.sampled_from([True, False, None])),
        weight=st.sampled_from(list(Weight)),
    ),
    max_size=6,
)


def found(*, ok: Answer, weight: Weight = Weight.NEEDED, name: str = "thing", detail: str = "") -> Finding:
    """One thing looked at."""
    return Finding(check=Check(name=name, ok=ok, detail=detail), weight=weight)


def test_verdict_is_damaged_when_one_thing_is_bad() -> None:
    """One bad thing beside good and open ones decides, and the reason names it."""
    verdict, reason = judged([found(ok=True), found(ok=None), found(ok=False, name="amcheck", detail="page 3 is torn")])
    assert (verdict, reason) == (Verdict.DAMAGED, "amcheck: page 3 is torn")


def test_verdict_names_a_few_bad_things_and_counts_the_rest() -> None:
    """Five bad things: three are named."""
    _, reason = judged([found(ok=False, name=f"n{number}") for number in range(5)])
    assert reason == "n0; n1; n2; and 2 more"


def test_verdict_is_inconclusive_when_nothing_was_looked_at() -> None:
    """No findings at all are no pass."""
    assert judged([]) == (Verdict.INCONCLUSIVE, "nothing was looked at")


def test_verdict_is_inconclusive_when_only_remarks_were_made() -> None:
    """Things that are only told, and were not seen, prove nothing."""
    assert judged([found(ok=None, weight=Weight.TOLD, name="page_checksums", detail="keeps none")]) == (
        Verdict.INCONCLUSIVE,
        "page_checksums: keeps none",
    )


def test_verdict_is_inconclusive_while_a_needed_answer_is_open() -> None:
    """What could not be told counts as no pass."""
    verdict, reason = judged([found(ok=True), found(ok=None, name="assertion sums", detail="no answer within 5 s")])
    assert (verdict, reason) == (Verdict.INCONCLUSIVE, "assertion sums: no answer within 5 s")


def test_verdict_is_inconclusive_without_any_integrity_check() -> None:
    """What looks into indexes was asked for and is not there, and nothing else speaks for the integrity."""
    verdict, reason = judged(
        [found(ok=True), found(ok=None, weight=Weight.INTEGRITY, name="amcheck", detail="not installed")]
    )
    assert (verdict, reason) == (Verdict.INCONCLUSIVE, "amcheck: not installed")


def test_verdict_is_proven_by_another_integrity_check_and_says_what_was_not_seen() -> None:
    """Amcheck is not there, the pages' checksums hold: a pass, with the one that is missing in its sentence."""
    verdict, reason = judged(
        [
            found(ok=True, name="restore"),
            found(ok=True, weight=Weight.INTEGRITY, name="page_checksums"),
            found(ok=None, weight=Weight.INTEGRITY, name="amcheck", detail="not installed"),
        ]
    )
    assert verdict is Verdict.PROVEN
    assert reason == (
        "restored, and all that was looked at is well (restore, page_checksums); not looked at: amcheck: not installed"
    )


def test_verdict_is_proven_when_all_is_well() -> None:
    """Nothing open, nothing bad."""
    assert judged([found(ok=True, name="restore"), found(ok=True, name="rows")]) == (
        Verdict.PROVEN,
        "restored, and all that was looked at is well (restore, rows)",
    )


@given(FINDINGS)
def test_verdict_never_passes_what_is_bad_or_open(findings: list[Finding]) -> None:
    """Whatever was found: a pass has no bad answer, no open needed one, and at least one good one."""
    verdict, reason = judged(findings)
    assert reason
    answers = [finding.check.ok for finding in findings]
    if verdict is Verdict.PROVEN:
        assert False not in answers
        assert True in answers
        assert not any(one.weight is Weight.NEEDED and one.check.ok is None for one in findings)
    assert (verdict is Verdict.DAMAGED) == (False in answers)


@pytest.mark.parametrize(
    ("trouble", "why", "ok"),
    [
        (Trouble.DAMAGED, "anything", False),
        (Trouble.MISSING, "builds on one that is not there", False),
        (Trouble.SPACE, "could not write: end of file, invalid page", None),
        (Trouble.TIMEOUT, "corrupt", None),
        (Trouble.PROGRAM, "none of PostgreSQL 15 on this machine", None),
        (Trouble.TOOL, "pg_restore ended with status 1: could not read from input file: end of file", False),
        (Trouble.TOOL, "pg_restore ended with status 1: could not uncompress data: incorrect data check", False),
        (Trouble.TOOL, 'could not create unique index "a_pkey" DETAIL: Key (id)=(1) is duplicated.', False),
        (Trouble.TOOL, 'extension "postgis" is not available', None),
        (Trouble.TOOL, 'role "app" does not exist', None),
        (Trouble.TOOL, "could not extend file: No space left on device, corrupt", None),
        (Trouble.TOOL, "ended by signal 9", None),
        (Trouble.TOOL, 'syntax error at or near "WITH"', None),
        (Trouble.TOOL, 'new row for relation "a" violates check constraint "b"', None),
        (Trouble.TOOL, 'identifier "a" will be truncated to "b"', None),
        (Trouble.TOOL, "could not read: Input/output error", None),
        (Trouble.INTERNAL, "invalid page in block 3 of relation base/5/16384", False),
    ],
)
def test_obstacle_is_damage_only_where_it_speaks_of_the_backup(trouble: Trouble, why: str, ok: Answer) -> None:
    """What this machine lacks is no word about the backup."""
    check = obstacle("restore", BackupError("backup", why, trouble=trouble))
    assert (check.name, check.ok, check.detail) == ("restore", ok, f"backup: {why}")


@pytest.mark.parametrize(
    ("sqlstate", "words", "ok"),
    [
        ("XX001", "invalid page in block 3 of relation base/5/16384", False),
        ("XX002", "index is corrupt", False),
        ("22021", "invalid byte sequence", False),
        ("58P01", 'could not open file "base/5/16384": No such file or directory', False),
        ("58P01", 'could not access file "$libdir/postgis-3": No such file or directory', None),
        ("58030", "could not read: Input/output error", None),
        ("53100", "could not extend file", None),
        ("57014", "canceling statement due to statement timeout", None),
        ("57P01", "terminating connection", None),
        ("", "out of memory", None),
    ],
)
def test_reading_that_fails_is_damage_unless_the_machine_is_the_cause(sqlstate: str, words: str, ok: Answer) -> None:
    """Reading does nothing but read."""
    assert of_reading(sqlstate, words) is ok


def test_words_of_a_server_that_does_not_start_tell_damage_from_the_rest() -> None:
    """A log without its checkpoint is damage; a port that is taken and an unknown word are not."""
    assert spoiled("PANIC:  could not locate a valid checkpoint record") is True
    assert spoiled("FATAL:  lock file already exists, address already in use") is None
    assert spoiled("FATAL:  something new") is None


def test_worst_of_answers_is_bad_before_open_before_good() -> None:
    """All combinations of two, and none at all."""
    for one, two in product([True, None, False], repeat=2):
        expected = False if False in (one, two) else None if None in (one, two) else True
        assert worst([one, two]) is expected
    assert worst([]) is None
