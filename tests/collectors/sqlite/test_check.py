"""Claims about quick_check at a slow cadence."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from collectors.sqlite import check as check_module
from collectors.sqlite import survey
from collectors.sqlite.check import QUICK_CHECK_DURATION, QUICK_CHECK_OK, SqliteCheckCollector, SqliteCheckSettings
from collectors.sqlite.file import SqliteFile
from tests.builders import ManualClock
from tests.sqlite_files import ROLLBACK, WAL, Writer, a_database, application, contents, flip_byte, held
from tests.waiting import eventually
from toban.outcomes import Reason
from toban.samples import Findings

pytestmark = pytest.mark.integration
PAGE_BYTES = 4096


def verdict(findings: Findings) -> float | None:
    """1, 0, or nothing said."""
    return next((s.value for s in findings.samples if s.metric is QUICK_CHECK_OK), None)


def a_collector(path: Path, clock: ManualClock, settings: SqliteCheckSettings | None = None) -> SqliteCheckCollector:
    """A collector of that file."""
    return SqliteCheckCollector(SqliteFile(path), settings or SqliteCheckSettings(), clock)


def reasons(findings: Findings) -> list[Reason]:
    """Why something was left out."""
    return [gap.reason for gap in findings.gaps]


@pytest.mark.parametrize("journal_mode", [ROLLBACK, WAL])
async def test_check_of_a_sound_file_passes(journal_mode: str, tmp_path: Path, manual_clock: ManualClock) -> None:
    """At rest, in either mode, and nothing is left beside it."""
    path = a_database(tmp_path / "ledger.db", journal_mode)
    findings = await a_collector(path, manual_clock).collect()
    assert verdict(findings) == 1
    assert QUICK_CHECK_DURATION in {s.metric for s in findings.samples}
    assert not findings.gaps
    assert set(contents(tmp_path)) == {"ledger.db"}


@pytest.mark.parametrize("journal_mode", [ROLLBACK, WAL])
@pytest.mark.parametrize("place", [100, PAGE_BYTES])
async def test_check_finds_a_flipped_byte(
    journal_mode: str, place: int, tmp_path: Path, manual_clock: ManualClock
) -> None:
    """The kind of a page turned over, of a table or of the schema: 0, what SQLite says of it, and no failure."""
    path = a_database(tmp_path / "ledger.db", journal_mode)
    flip_byte(path, place)
    findings = await a_collector(path, manual_clock).collect()
    assert verdict(findings) == 0
    assert reasons(findings) == [Reason.CORRUPT]
    assert findings.gaps[0].detail


async def test_check_of_a_wal_in_use_passes(tmp_path: Path, manual_clock: ManualClock) -> None:
    """While an application has it open and half of it stands in the WAL."""
    path = a_database(tmp_path / "ledger.db", WAL)
    with held(path, "INSERT INTO trade (note) SELECT note FROM trade", "BEGIN IMMEDIATE"):
        findings = await a_collector(path, manual_clock).collect()
    assert verdict(findings) == 1


@pytest.mark.parametrize("journal_mode", [ROLLBACK, WAL])
async def test_check_refuses_no_writer(journal_mode: str, tmp_path: Path, manual_clock: ManualClock) -> None:
    """Beside a process that commits in a tight loop: it meets no lock, and no check fails."""
    path = a_database(tmp_path / "ledger.db", journal_mode, rows=5000)
    collector = a_collector(path, manual_clock)
    with Writer(path) as writer:
        seen = [await collector.collect() for _ in range(20)]
    assert writer.commits > 0
    assert writer.refused == 0
    assert {verdict(findings) for findings in seen} <= {1, None}
    assert {reason for findings in seen for reason in reasons(findings)} <= {Reason.LOCKED}
    assert verdict(await collector.collect()) == 1


async def test_check_waits_for_no_writer(tmp_path: Path, manual_clock: ManualClock) -> None:
    """In rollback mode a file in mid-write proves nothing: a gap, and no verdict."""
    path = a_database(tmp_path / "ledger.db")
    with held(path, "BEGIN IMMEDIATE"):
        findings = await a_collector(path, manual_clock).collect()
    assert verdict(findings) is None
    assert reasons(findings) == [Reason.LOCKED]


@pytest.mark.parametrize("refused", [False, True])
async def test_check_of_a_file_that_changes_meanwhile_counts_for_nothing(
    refused: bool,  # noqa: FBT001 - a case of this test
    tmp_path: Path,
    manual_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A commit during each attempt: whatever the check said, or that it could say nothing, is thrown away."""
    path = a_database(tmp_path / "ledger.db")

    def errors_of(*_: object) -> tuple[str, ...]:
        with closing(application(path)) as connection:
            connection.execute("INSERT INTO trade (note) VALUES ('meanwhile')")
        if refused:
            raise sqlite3.OperationalError("a journal appeared")
        return ("torn page",)

    monkeypatch.setattr(check_module, "errors_of", errors_of)
    findings = await a_collector(path, manual_clock).collect()
    assert verdict(findings) is None
    assert reasons(findings) == [Reason.LOCKED]


async def failed(path: Path, clock: ManualClock) -> Reason:
    """The reason of a check that fails."""
    collector = a_collector(path, clock)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its meaning is what is looked at
        await collector.collect()
    return collector.source.explain(caught.value).reason


async def test_check_of_a_file_left_in_mid_write_says_so(tmp_path: Path, manual_clock: ManualClock) -> None:
    """A hot journal: only the application may roll it back, and Toban leaves it as it is."""
    path = a_database(tmp_path / "ledger.db")
    with held(
        path, "PRAGMA cache_size=1", "PRAGMA cache_spill=1", "BEGIN", "INSERT INTO trade (note) SELECT note FROM trade"
    ):
        pass
    before = contents(tmp_path)
    assert "ledger.db-journal" in before
    assert await failed(path, manual_clock) is Reason.LOCKED
    assert contents(tmp_path) == before


async def test_check_of_a_wal_of_one_alone_says_so(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Half of the database stands in a WAL that nobody else may read."""
    path = a_database(tmp_path / "ledger.db", WAL)
    with held(path, "PRAGMA locking_mode=exclusive", "INSERT INTO trade (note) VALUES ('x')"):
        assert await failed(path, manual_clock) is Reason.LOCKED


async def test_check_of_something_else_is_no_verdict(tmp_path: Path, manual_clock: ManualClock) -> None:
    """What is no database is not called a damaged one: the target is down."""
    (tmp_path / "ledger.db").write_bytes(b"something else" * 1000)
    assert await failed(tmp_path / "ledger.db", manual_clock) is Reason.CORRUPT


async def test_check_of_an_empty_file_passes(tmp_path: Path, manual_clock: ManualClock) -> None:
    """An empty file is an empty database."""
    (tmp_path / "ledger.db").touch()
    assert verdict(await a_collector(tmp_path / "ledger.db", manual_clock).collect()) == 1


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


async def test_check_is_interrupted_at_its_deadline(
    tmp_path: Path, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes too long ends, with a gap that names the setting; its thread comes back."""
    monkeypatch.setattr(survey, "query", lambda _: ENDLESS)
    collector = a_collector(a_database(tmp_path / "ledger.db"), manual_clock, SqliteCheckSettings(timeout=0.2))
    findings = await collector.collect()
    assert reasons(findings) == [Reason.TIMEOUT]
    assert "sqlite_check" in findings.gaps[0].hint
    await eventually(lambda: collector.source.blocking.under_way == 0)


async def test_check_ends_when_it_is_cancelled(
    tmp_path: Path, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon stops: nobody waits for the check, and its thread comes back."""
    monkeypatch.setattr(survey, "query", lambda _: ENDLESS)
    collector = a_collector(a_database(tmp_path / "ledger.db"), manual_clock)
    task = asyncio.create_task(collector.collect())
    await eventually(lambda: collector.source.blocking.under_way == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: collector.source.blocking.under_way == 0)
