"""SQLite, MariaDB and folders proved through their own engines and ways back."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from backup.engines.contract import Surroundings
from backup.engines.mariadb import MariaDb
from backup.engines.mariadb_base import MariaDbBase
from backup.engines.sqlite import Sqlite
from backup.proof.contract import Proving
from backup.proof.course import Course
from backup.proof.mariadb import CHECKED, _questions
from backup.proof.prover import prove
from backup.proof.verdict import judged
from backup.restore.contract import Restorer, Wanted
from backup.restore.mariadb import MariaDbBaseRestorer, MariaDbRestorer
from backup.restore.sqlite import SqliteRestorer
from backup.settings import Assertion, Proof
from tests.backup.others.making import a_shop, flip, wanted
from tests.backup.proof.scenes import StandIn, a_proving, a_record, named
from tests.installations import account
from tests.mariadbs import Mariadb
from tests.sqlite_files import a_database
from toban.backups import BackupRecord, Check, Method, RestoreProof, TableRows, Verdict

pytestmark = pytest.mark.integration
KIND = "sqlite"
OWN = "no such collation sequence: own"
WELL = "restored, and all that was looked at is well (restore, integrity_check)"


async def proved(
    around: Surroundings,
    record: BackupRecord,
    restorer: Restorer,
    settings: Proof | None = None,
    **more: Any,  # noqa: ANN401 - any of a restore's
) -> tuple[RestoreProof, dict[str, Check]]:
    """The proof, and its checks by name."""
    proving = Proving(
        wanted=wanted(record, **more),
        restorer=restorer,
        settings=settings or Proof(),
        around=around,
        tell=lambda _: None,
    )
    proof = await prove(proving)
    return proof, {check.name: check for check in proof.checks}


async def test_sqlite_file_is_proven_with_its_rows_and_assertions(around: Surroundings, tmp_path: Path) -> None:
    """Unpacked, looked through, counted, asked; a spoiled one is damaged."""
    work = a_shop(tmp_path, Sqlite(), KIND, path=a_database(tmp_path / "台帳 'x'.db"), compress="zstd:1")
    record = await work.made()
    asked = {
        "full": ("SELECT count(*) = 250 FROM trade", "30s"),
        "off": ("SELECT count(*) = 1 FROM trade", "30s"),
        "wrong": ("SELECT absent", "30s"),
        "slow": ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) > 0 FROM n", "50ms"),
    }
    made = [Assertion.model_validate({"name": name, "sql": sql, "timeout": t}) for name, (sql, t) in asked.items()]
    proof, checks = await proved(around, record, SqliteRestorer(), Proof(assertions=tuple(made[:1])))
    assert proof.verdict is Verdict.PROVEN, proof.reason
    assert named(proof.checks) == {"restore": True, "integrity_check": True, "rows": True, "assertion full": True}
    assert checks["rows"].detail == "1 tables, 250 rows"
    proof, checks = await proved(around, record, SqliteRestorer(), Proof(assertions=tuple(made)))
    assert proof.verdict is Verdict.DAMAGED
    assert checks["assertion off"].detail == "main: is false"
    assert checks["assertion wrong"].detail == "main: failed: no such column: absent"
    assert checks["assertion slow"].detail == "main: no answer within 0 s"
    flip(Path(record.place, record.manifest.files[0].path), -40)
    proof, _ = await proved(around, record, SqliteRestorer())
    assert proof.verdict is Verdict.DAMAGED, proof.reason


async def test_sqlite_rows_are_compared_where_both_are_known(around: Surroundings) -> None:
    """What the way back counted against what was counted when it was made; a file that cannot be opened is told."""
    record = a_record(kind=KIND, rows=(TableRows(database="main", schema="", table="trade", rows=3),))
    off = Proof.model_validate({"assertions": [{"name": "any", "sql": "SELECT 1"}]})
    proof = await prove(a_proving(around, record, StandIn(detail={"rows": {"trade": 2}}), off))
    assert named(proof.checks)["rows"] is False
    assert named(proof.checks)["assertion any"] is None
    proof = await prove(a_proving(around, a_record(kind=KIND), StandIn(detail={"rows": {}})))
    assert (proof.verdict, named(proof.checks)["rows"]) == (Verdict.PROVEN, None)
    proof = await prove(a_proving(around, record, StandIn(), Proof(rows="none")))
    assert (proof.verdict, "rows" in named(proof.checks)) == (Verdict.PROVEN, False)


@pytest.mark.parametrize(
    ("looked", "verdict", "reason"),
    [
        (True, Verdict.PROVEN, f"; not looked at: indexes: could not be held against their tables: {OWN}"),
        (False, Verdict.INCONCLUSIVE, f"integrity_check: could not be looked at: {OWN}"),
    ],
)
async def test_sqlite_that_only_its_application_can_read_says_what_was_not_checked(
    around: Surroundings,
    looked: bool,  # noqa: FBT001 - a case
    verdict: Verdict,
    reason: str,
) -> None:
    """Nothing is called whole that nobody looked at: its indexes, or all of it."""
    detail = {"unchecked": OWN, "looked": looked}
    proof = await prove(a_proving(around, a_record(kind=KIND), StandIn(detail=detail), Proof(rows="none")))
    assert proof.verdict is verdict
    assert proof.reason.removeprefix(WELL) == reason


@pytest.fixture
def in_use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary table of another server, in the machine's folder for such, as every program here is told of it.

    It must still be there in the end.
    """
    with TemporaryDirectory(prefix="toban-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        table = Path(folder, "#sql-temptable-1-1-1.MAD")
        table.touch()
        for path in (folder, table):
            os.chown(path, account().pw_uid, account().pw_gid)
        yield table
        assert table.exists()


@pytest.mark.usefixtures("in_use")
@pytest.mark.parametrize("method", [Method.DUMP, Method.BASE])
async def test_mariadb_is_proven_in_a_server_of_its_own(
    around: Surroundings, tmp_path: Path, mariadb: Mariadb, method: Method
) -> None:
    """A dump and a base backup: rows, CHECK TABLE, assertions; one that does not hold is damage.

    What another server has in the machine's folder for temporary files is left to it.
    """
    database = f"laden {uuid4().hex[:6]}"
    mariadb.sql(f"create database `{database}`")
    try:
        mariadb.sql(
            "create table item (id int primary key, n int, key (n)); insert into item values (1, 2), (2, 3)", database
        )
        engine = MariaDb() if method is Method.DUMP else MariaDbBase()
        restorer = MariaDbRestorer() if method is Method.DUMP else MariaDbBaseRestorer()
        work = a_shop(tmp_path, engine, "mariadb", dsn=mariadb.dsn())
        record = await work.made()
        asked = {
            "sums": "select sum(n) = 5 from item",
            "off": "select count(*) = 1 from item",
            "wrong": "select nothing from item",
            "slow": "select sleep(60)",
            "writes": "delete from item",
        }
        made = [
            Assertion.model_validate(
                {"name": name, "sql": sql, "database": database, "timeout": "1s" if name == "slow" else "30s"}
            )
            for name, sql in asked.items()
        ]
        proof, checks = await proved(around, record, restorer, Proof(assertions=tuple(made)))
    finally:
        mariadb.sql(f"drop database `{database}`")
    told = named(proof.checks)
    assert told.pop("rows", True) is True, proof
    assert told.pop("recovery", True) is True
    assert told == {
        "restore": True,
        "databases": True,
        "check_table": True,
        "assertion sums": True,
        "assertion off": False,
        "assertion wrong": None,
        "assertion slow": None,
        "assertion writes": None,
    }, proof
    assert "read only" in checks["assertion writes"].detail.lower()
    assert proof.verdict is Verdict.DAMAGED


async def test_folders_are_proven_by_bringing_them_back(around: Surroundings) -> None:
    """Their way back reads every file once more; where nothing came back, it is damage."""
    record = a_record(Method.FILES, kind="host")

    def fill(wanted: Wanted) -> None:
        assert wanted.data_dir is not None
        wanted.data_dir.mkdir()
        (wanted.data_dir / "app.conf").touch()

    proof = await prove(a_proving(around, record, StandIn(fill=fill)))
    assert (proof.verdict, named(proof.checks)) == (Verdict.PROVEN, {"restore": True, "files": True})
    proof = await prove(a_proving(around, record, StandIn()))
    assert (proof.verdict, proof.reason) == (Verdict.DAMAGED, "files: nothing came back")


@pytest.mark.parametrize(
    ("kinds", "anew", "verdict", "rows"),
    [
        (("BASE TABLE",), True, Verdict.INCONCLUSIVE, "none were counted when it was made"),
        (("VIEW",), True, Verdict.PROVEN, "there are no tables"),
        (("BASE TABLE",), False, Verdict.PROVEN, None),
    ],
)
async def test_mariadb_whose_rows_nobody_counted_is_not_proven_by_tables_built_anew(
    around: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
    kinds: tuple[str, ...],
    anew: bool,  # noqa: FBT001 - a case
    verdict: Verdict,
    rows: str | None,
) -> None:
    """Of a dump; the files of a base backup are the very tables that are checked."""

    async def databases(_: object) -> list[object]:
        return []

    async def tables(_: object) -> list[object]:
        return [SimpleNamespace(kind=kind) for kind in kinds]

    async def whole(*_: object) -> Check:
        return Check(name=CHECKED, ok=True)

    monkeypatch.setattr("backup.proof.mariadb._tables_checked", whole)
    server: Any = SimpleNamespace(way=SimpleNamespace(databases=databases, tables=tables))
    course = Course(around.clock, lambda _: None)
    await _questions(a_proving(around, a_record(kind="mariadb"), StandIn()), server, course, anew=anew)
    assert judged(course.findings)[0] is verdict
    assert {check.name: check.detail for check in course.checks}.get("rows") == rows


async def test_mariadb_that_does_not_start_says_why(around: Surroundings, mariadb: Mariadb) -> None:
    """Files that are no database: the server's own words, and nothing of it is left."""

    def fill(wanted: Wanted) -> None:
        assert wanted.data_dir is not None
        wanted.data_dir.mkdir(mode=0o700)
        (wanted.data_dir / "ibdata1").write_bytes(b"\xff" * 12 * 1024 * 1024)
        for path in (wanted.data_dir, wanted.data_dir / "ibdata1"):
            shutil.chown(path, account().pw_uid, account().pw_gid)

    proof = await prove(a_proving(around, a_record(Method.BASE, kind="mariadb"), StandIn(fill=fill)))
    assert proof.verdict is not Verdict.PROVEN
    assert proof.reason.startswith("recovery: scratch server: did not start: ")
    assert "[ERROR]" in proof.reason
