"""Dumps proved in empty servers: rows that fit and rows that do not, and restores that fail."""

from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.proof.answers import looked_into, rows_there
from backup.proof.course import Course
from backup.proof.dumps import ANEW
from backup.proof.prover import can_be_proved, prove
from backup.proof.verdict import judged
from backup.restore.contract import Preflight
from backup.settings import Assertion, Proof
from backup.space import Room
from tests.backup.proof.scenes import Answer, StandIn, a_proving, a_record, loaded_with, named, server_of, some_rows
from tests.clusters import Cluster
from toban.backups import Check, Method, RestoreProof, TableRows, Trouble, Verdict

pytestmark = pytest.mark.integration
SHOP = "CREATE DATABASE shop"
ITEMS = "CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item SELECT generate_series(1, 300)"


def shop() -> StandIn:
    """A dump of one database."""

    def fill(wanted: object) -> None:
        loaded_with(15, SHOP)(wanted)  # type: ignore[arg-type]
        loaded_with(15, ITEMS, database="shop")(wanted)  # type: ignore[arg-type]

    return StandIn(fill=fill)


async def proved(
    around: Surroundings, restorer: StandIn, *promised: TableRows, settings: Proof | None = None, version: str = "15.20"
) -> tuple[RestoreProof, dict[str, Check]]:
    """The proof of a dump with these rows, and its checks by name."""
    record = a_record(rows=promised, databases=("shop",), server_version=version)
    proof = await prove(a_proving(around, record, restorer, settings))
    return proof, {check.name: check for check in proof.checks}


async def test_dump_is_proven_in_the_nearest_newer_server(around: Surroundings) -> None:
    """PostgreSQL 14 is not on this machine: 15 takes its dumps, which is said; counted, looked into, asked."""
    settings = Proof(assertions=(Assertion(name="ids", sql="SELECT max(id) = 300 FROM item"),))
    restorer = shop()
    promised = some_rows("shop", item=300)
    proof, checks = await proved(around, restorer, *promised, settings=settings, version="14.9 (some build)")
    assert named(proof.checks) == {
        "server": True,
        "restore": True,
        "databases": True,
        "rows": True,
        "amcheck": True,
        "assertion ids": True,
    }
    assert proof.verdict is Verdict.PROVEN
    assert checks["server"].detail == "restored into PostgreSQL 15, for none of 14 is on this machine"
    assert checks["rows"].detail == "1 tables, 300 rows"
    assert list(proof.phases) == ["start", "restore", "rows", "amcheck", "assertions", "end"]
    assert proof.rto_seconds == proof.phases["start"] + proof.phases["restore"]
    into = restorer.wanted[0].into
    assert into is not None
    assert into.local


async def test_rows_are_not_asked_for_where_nobody_wants_them(around: Surroundings) -> None:
    """`none`."""
    proving = a_proving(around, a_record(), StandIn(), Proof.model_validate({"rows": "none"}))
    course = Course(around.clock, lambda _: None)
    await rows_there(proving, None, ("shop",), course)  # type: ignore[arg-type] # it is not asked
    assert course.checks == ()


@pytest.mark.parametrize(
    "case",
    [
        ("", (), {"rows": (True, "there are no tables")}, Verdict.PROVEN),
        (
            "CREATE TABLE item (n int)",
            (),
            {"rows": (None, "none were counted when it was made")},
            Verdict.INCONCLUSIVE,
        ),
        (
            "CREATE TABLE item (n int); CREATE TABLE note (n int)",
            ("item",),
            {
                "rows": (True, "1 tables, 0 rows"),
                "other rows": (None, "of {database}: public.note none were counted when it was made"),
            },
            Verdict.PROVEN,
        ),
    ],
)
async def test_rows_that_nobody_counted_prove_nothing(
    around: Surroundings,
    postgres15: Cluster,
    unique_database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, tuple[str, ...], dict[str, tuple[Answer, str]], Verdict],
) -> None:
    """Indexes that were built anew are well whatever is missing from the tables: they do not speak for the rows."""
    tables, counted, expected, verdict = case
    postgres15.psql(tables or "SELECT 1", unique_database)
    record = a_record(rows=some_rows(unique_database, **dict.fromkeys(counted, 0)))
    proving, course = a_proving(around, record, StandIn()), Course(around.clock, lambda _: None)
    server = server_of(postgres15, tmp_path)

    async def whole(*_: object, **__: object) -> Check:
        return Check(name="amcheck", ok=True, detail="whole")

    monkeypatch.setattr("backup.proof.amcheck.amchecked", whole)
    course.found(Check(name="restore", ok=True))
    await rows_there(proving, server, (unique_database,), course)
    await looked_into(proving, server, tmp_path, course, anew=ANEW)
    found = {check.name: (check.ok, check.detail) for check in course.checks if "rows" in check.name}
    assert found == {name: (ok, said.format(database=unique_database)) for name, (ok, said) in expected.items()}
    assert judged(course.findings)[0] is verdict


async def test_dump_of_an_unknown_or_future_version_is_not_proved(around: Surroundings) -> None:
    """No server for it, which says nothing about the dump; and a manifest without a version is none."""
    proof, _ = await proved(around, shop(), version="99.1")
    assert proof.verdict is Verdict.INCONCLUSIVE
    assert "none of PostgreSQL 99 or newer on this machine" in proof.reason
    proof, _ = await proved(around, shop(), version="")
    assert proof.verdict is Verdict.DAMAGED


@pytest.mark.parametrize(
    ("error", "files", "verdict"),
    [
        (BackupError("pg_restore", "could not read from input file: end of file"), None, Verdict.DAMAGED),
        (BackupError("pg_restore", "ended by signal 11"), None, Verdict.INCONCLUSIVE),
        (BackupError("pg_restore", "ended by signal 11"), True, Verdict.INCONCLUSIVE),
        (BackupError("pg_restore", "ended by signal 11"), False, Verdict.DAMAGED),
        (BackupError("place", "no room", trouble=Trouble.SPACE), False, Verdict.INCONCLUSIVE),
    ],
)
async def test_restore_that_fails_is_damage_where_the_backup_is_the_cause(
    around: Surroundings, error: BackupError, files: object, verdict: Verdict
) -> None:
    """Its words tell; where they do not, all files are read again, and their digests do."""
    asked = []

    async def reread() -> tuple[Check, ...]:
        asked.append(1)
        return (Check(name="1.dump", ok=bool(files), detail="its digest is another one"),)

    restorer = StandIn(error=error)
    proving = a_proving(around, a_record(Method.BASE), restorer, reread=None if files is None else reread)
    proof = await prove(proving)
    assert proof.verdict is verdict
    assert proof.rto_seconds is None
    assert proof.reason.startswith(
        f"restore: {error.reason}" if verdict is not Verdict.DAMAGED or files is None else "files"
    )
    assert bool(asked) == (files is not None and error.trouble is Trouble.TOOL)


async def test_files_that_cannot_be_read_again_decide_nothing(around: Surroundings) -> None:
    """The repository is gone in the meantime."""

    async def reread() -> tuple[Check, ...]:
        raise BackupError("repository", "is gone", trouble=Trouble.REPOSITORY)

    restorer = StandIn(error=BackupError("pg_restore", "ended by signal 11"))
    proof = await prove(a_proving(around, a_record(Method.BASE), restorer, reread=reread))
    assert proof.verdict is Verdict.INCONCLUSIVE
    assert named(proof.checks) == {"restore": None, "files": None}


async def test_preflight_that_speaks_against_it_decides_nothing(around: Surroundings) -> None:
    """What this machine lacks is said, and nothing is restored."""
    lacking = Preflight(checks=(Check(name="extensions", ok=False, detail="postgis is not here"),))
    restorer = StandIn(preflight_=lacking)
    proof = await prove(a_proving(around, a_record(Method.BASE), restorer))
    assert (proof.verdict, proof.reason) == (Verdict.INCONCLUSIVE, "restore: preflight: postgis is not here")
    assert restorer.wanted == []


async def test_proof_is_not_begun_without_room(around: Surroundings) -> None:
    """What it takes, and what stays free, against what is free."""
    record = a_record(Method.BASE, source_bytes=10**9)
    proving = a_proving(around, record, StandIn(), look=lambda _: Room(free_bytes=10**9, total_bytes=10**12))
    proof = await prove(proving)
    assert proof.verdict is Verdict.INCONCLUSIVE
    assert proof.reason.startswith("restore: scratch place: no space left: it takes about 1 GB, and 256 MB stay free")
    assert proving.restorer.wanted == []  # type: ignore[attr-defined]


async def test_proof_that_takes_too_long_is_ended(around: Surroundings) -> None:
    """The limit is over while it is restored: that is no word about the backup."""
    settings = Proof.model_validate({"timeout": "50ms"})
    proof = await prove(a_proving(around, a_record(Method.BASE), StandIn(stalls=True), settings))
    assert proof.verdict is Verdict.INCONCLUSIVE
    assert proof.reason == "restore: proof: not done within 0 s (see backups.proof.timeout)"
    assert list(proof.phases) == ["restore"]


async def test_proof_of_what_nobody_can_prove_says_so(around: Surroundings) -> None:
    """WAL is no backup that could be restored alone."""
    record = a_record(Method.WAL)
    assert not can_be_proved(record.manifest)
    proof = await prove(a_proving(around, record, StandIn()))
    assert (proof.verdict, proof.reason) == (
        Verdict.INCONCLUSIVE,
        "proof: nobody knows how to prove postgresql wal",
    )
