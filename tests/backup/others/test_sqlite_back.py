"""SQLite files put back: never over what is there, never beside a stale log, never under an application."""

import asyncio
import os
import shutil
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backup.engines.sqlite import Sqlite
from backup.errors import BackupError
from backup.programs import Programs
from backup.restore import sqlite as restoring
from backup.restore.contract import Aim, Moment
from backup.restore.sqlite import SqliteRestorer
from tests import sqlite_files
from tests.backup.others.making import Shop, a_shop, faults, wanted
from tests.skips import IMPOSSIBLE
from tests.sqlite_files import a_database, application, held
from toban.backups import Trouble
from toban.secrets import Dsn

pytestmark = pytest.mark.integration


def shop(tmp_path: Path, path: Path, **keys: Any) -> Shop:  # noqa: ANN401 - any field or key
    """A job for that file."""
    return a_shop(tmp_path, Sqlite(), "sqlite", path=path, **keys)


async def test_sqlite_restore_never_goes_over_what_is_there(tmp_path: Path) -> None:
    """Not over a file, and not beside a log that would be played into it."""
    work = shop(tmp_path, a_database(tmp_path / "ledger.db"))
    record = await work.made()
    for name in ("there.db", "alone.db-wal"):
        (tmp_path / name).write_text("precious")
    for place in (tmp_path / "there.db", tmp_path / "alone.db"):
        look = await SqliteRestorer().preflight(wanted(record, data_dir=place), work.around)
        assert list(faults(look.checks)) == ["place"]
        with pytest.raises(BackupError, match="something is there"):
            await SqliteRestorer().restore(wanted(record, data_dir=place), work.around, work.workspace(), print)
    assert (tmp_path / "there.db").read_text() == "precious"
    assert not (tmp_path / "alone.db").exists()


async def test_sqlite_restore_replaces_with_the_stale_log_gone(tmp_path: Path) -> None:
    """The log of the old file would be played into the new one; its owner and mode stay."""
    source = a_database(tmp_path / "ledger.db", sqlite_files.WAL, rows=4)
    work = shop(tmp_path, source)
    record = await work.made()
    with held(source, "PRAGMA wal_autocheckpoint=0", "DELETE FROM trade", "PRAGMA user_version=99"):
        pass
    source.chmod(0o604)
    os.chown(source, os.geteuid(), os.getegid())
    assert (tmp_path / "ledger.db-wal").stat().st_size > 0
    done = await SqliteRestorer().restore(
        wanted(record, data_dir=source, replace=True), work.around, work.workspace(), work.told.append
    )
    assert sorted(path.name for path in tmp_path.glob("*ledger*")) == ["ledger.db"]  # noqa: ASYNC240 - nothing waits
    with closing(application(source, sqlite_files.WAL)) as connection:
        assert connection.execute("SELECT count(*) FROM trade").fetchone() == (2,)
        assert connection.execute("PRAGMA user_version").fetchone() == (7,)
    assert stat.S_IMODE(source.stat().st_mode) == 0o604
    assert done.did[-1] == "removed what was there before, with its -wal, -shm and -journal"


async def test_sqlite_restore_waits_for_nobody_who_has_it_open(tmp_path: Path) -> None:
    """An application goes on writing to the file that it has open, and all that would be lost."""
    source = a_database(tmp_path / "ledger.db")
    work = shop(tmp_path, source)
    record = await work.made()
    asked = wanted(record, data_dir=source, replace=True)
    with held(source, "SELECT 1"):
        look = await SqliteRestorer().preflight(asked, work.around)
        assert "is open in process" in faults(look.checks)["application"]
        with pytest.raises(BackupError, match="stop the application first"):
            await SqliteRestorer().restore(asked, work.around, work.workspace(), work.told.append)
    assert (await SqliteRestorer().preflight(asked, work.around)).ok


async def test_sqlite_restore_into_a_folder_takes_the_files_own_name(tmp_path: Path) -> None:
    """Or the one that is asked for."""
    work = shop(tmp_path, a_database(tmp_path / "ledger.db"))
    record = await work.made()
    folder = tmp_path / "back"
    folder.mkdir()
    for rename in (None, "other.db"):
        await SqliteRestorer().restore(
            wanted(record, data_dir=folder, rename=rename), work.around, work.workspace(), work.told.append
        )
    assert sorted(path.name for path in folder.iterdir()) == ["ledger.db", "other.db"]


async def test_sqlite_restore_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    """Beforehand, each with its reason."""
    work = shop(tmp_path, a_database(tmp_path / "ledger.db"))
    record = await work.made()
    place = tmp_path / "back.db"
    for how, name in (
        ({"moment": Moment(aim=Aim.TIME, at=1.0), "data_dir": place}, "moment"),
        ({"tables": ("trade",), "data_dir": place}, "tables"),
        ({"data_dir": None}, "place"),
        ({"data_dir": tmp_path / "no" / "folder" / "x.db"}, "place"),
        ({"data_dir": place, "owner": "nobody of this name"}, "owner"),
    ):
        look = await SqliteRestorer().preflight(wanted(record, **how), work.around)
        assert list(faults(look.checks)) == [name]
    huge = wanted(record, data_dir=place)
    object.__setattr__(record.manifest, "source_bytes", shutil.disk_usage(tmp_path).free + 10**9)
    assert list(faults((await SqliteRestorer().preflight(huge, work.around)).checks)) == ["space"]


async def test_sqlite_restore_that_cannot_be_put_in_place_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old file steps aside first, and comes back with its log."""
    source = a_database(tmp_path / "ledger.db", sqlite_files.WAL, rows=4)
    work = shop(tmp_path, source)
    record = await work.made()
    with held(source, "PRAGMA wal_autocheckpoint=0", "PRAGMA user_version=99"):
        pass
    before = contents_of(tmp_path)

    def refused(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(BackupError, match="No space left") as failed:
        await SqliteRestorer().restore(
            wanted(record, data_dir=source, replace=True), work.around, work.workspace(), work.told.append
        )
    assert failed.value.trouble is Trouble.SPACE
    assert contents_of(tmp_path) == before


def contents_of(folder: Path) -> dict[str, bytes]:
    """The files of a folder itself."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


async def test_sqlite_restore_says_what_cannot_be_seen_or_is_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other accounts' programs; the program that unpacks; a place that is a folder of its own name."""
    work = shop(tmp_path, a_database(tmp_path / "ledger.db"), compress="zstd:1")
    record = await work.made()
    asked = wanted(record, data_dir=tmp_path / "ledger.db", replace=True)
    monkeypatch.setattr(restoring, "holders_of", lambda _: ((), False))
    look = await SqliteRestorer().preflight(asked, work.around)
    assert [check.name for check in look.checks if check.ok is None] == ["application"]
    assert look.ok
    (tmp_path / "folder" / "ledger.db").mkdir(parents=True)
    look = await SqliteRestorer().preflight(wanted(record, data_dir=tmp_path / "folder"), work.around)
    assert list(faults(look.checks)) == ["place"]
    look = await SqliteRestorer().preflight(wanted(record, into=Dsn("postgresql://h/d")), work.around)
    assert list(faults(look.checks)) == ["place"]
    record.manifest.detail["file"] = "database.sqlite3.lz4"  # type: ignore[index] # a test's own record
    monkeypatch.setattr(Programs, "other", missing)
    look = await SqliteRestorer().preflight(wanted(record, data_dir=tmp_path / "x.db"), work.around)
    assert list(faults(look.checks)) == ["programs"]


def missing(_: Programs, *names: str) -> Path:
    """No program is here."""
    raise BackupError(names[0], "is not on this machine", trouble=Trouble.PROGRAM)


async def test_sqlite_restore_goes_on_after_one_that_was_killed(tmp_path: Path) -> None:
    """What the dead left beside the place neither stands in its way nor stays; what it claims is what it has seen."""
    work = shop(tmp_path, a_database(tmp_path / "ledger.db"), rows="none")
    record = await work.made()
    place = tmp_path / "back" / "ledger.db"
    left = place.parent / ".ledger.db.restoring-dead" / "data"
    left.mkdir(parents=True)
    (left / "database.sqlite3").write_text("half")
    done = await SqliteRestorer().restore(wanted(record, data_dir=place), work.around, work.workspace(), print)
    assert [path.name for path in place.parent.iterdir()] == ["ledger.db"]
    assert done.did == (
        f"restored {record.id} to {place}",
        "pages and indexes are whole; 0 rows break a foreign key, 0 did when it was made",
    )


async def test_sqlite_restore_to_a_link_replaces_the_file_that_it_leads_to(tmp_path: Path) -> None:
    """The link stays, and the database on its own disk."""
    source = a_database(tmp_path / "ledger.db", rows=4)
    link = tmp_path / "app.db"
    link.symlink_to(source)
    work = shop(tmp_path, link)
    record = await work.made()
    with closing(application(source)) as connection:
        connection.execute("DELETE FROM trade")
    await SqliteRestorer().restore(wanted(record, data_dir=link, replace=True), work.around, work.workspace(), print)
    assert link.is_symlink()
    with closing(application(source)) as connection:
        assert connection.execute("SELECT count(*) FROM trade").fetchone() == (2,)


async def test_sqlite_restore_that_is_stopped_while_it_is_put_in_place_is_done_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it would be the old file gone and the new one not there."""
    source = a_database(tmp_path / "ledger.db", rows=4)
    work = shop(tmp_path, source)
    record = await work.made()
    with closing(application(source)) as connection:
        connection.execute("DELETE FROM trade")
    real, tasks = os.link, list[asyncio.Task[object]]()

    def slowly(*arguments: str) -> None:
        asyncio.run_coroutine_threadsafe(_stopped(tasks[0]), loop).result()
        real(*arguments)

    monkeypatch.setattr(os, "link", slowly)
    loop = asyncio.get_running_loop()
    restore = SqliteRestorer().restore(
        wanted(record, data_dir=source, replace=True), work.around, work.workspace(), print
    )
    tasks.append(asyncio.create_task(restore))
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    assert sorted(path.name for path in tmp_path.glob("*ledger*")) == ["ledger.db"]  # noqa: ASYNC240 - nothing waits
    with closing(application(source)) as connection:
        assert connection.execute("SELECT count(*) FROM trade").fetchone() == (2,)


async def _stopped(task: asyncio.Task[object]) -> None:
    """Asked to stop; it has a moment to do that too early."""
    task.cancel()
    await asyncio.wait({task}, timeout=0.2)


async def test_sqlite_restore_gives_it_to_whom_it_is_meant_for(tmp_path: Path) -> None:
    """By the account's name."""
    if os.geteuid() != 0:
        pytest.skip(f"{IMPOSSIBLE}only root gives files away")
    work = shop(tmp_path, a_database(tmp_path / "ledger.db"))
    record = await work.made()
    place = tmp_path / "back.db"
    await SqliteRestorer().restore(
        wanted(record, data_dir=place, owner="nobody"), work.around, work.workspace(), work.told.append
    )
    assert place.owner() == "nobody"
