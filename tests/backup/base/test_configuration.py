"""Configuration outside of the data directory, as Debian has it: kept, and brought back to where it is read.

A server started on the restored data directory alone has all of it.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backup.engines.basing.configuration import keep
from backup.restore.basing.outfitting import Configuration, configure
from backup.restore.contract import Moment
from tests.backup.base.bench import Bench, archiving, begin
from tests.clusters import absence, installations
from tests.installations import as_account
from toban.backups import BackupRecord

ABROAD = "configuration outside of the data directory is on another machine and not included"


@dataclass(frozen=True, kw_only=True)
class Debian:
    """A server whose configuration lies under another folder, and what was kept of it."""

    bench: Bench
    etc: Path
    record: BackupRecord


@pytest.fixture(scope="module")
def debian() -> Iterator[Debian]:
    """Started by its configuration's folder, which says where the data is; with files that include others."""
    if 15 not in installations():
        pytest.skip(absence(15))
    with archiving(15) as bench:
        server = bench.cluster
        server.stop()
        data, etc = server.data_dir, server.data_dir.parent / "etc's 設定"
        etc.mkdir()
        for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"):
            shutil.move(data / name, etc / name)
        (etc / "conf.d").mkdir()
        (etc / "conf.d" / "10-own.conf").write_text("work_mem = '7MB'\ninclude '../deeper.conf'\n")
        (etc / "conf.d" / "ignored.txt").write_text("nonsense")
        (etc / "deeper.conf").write_text("maintenance_work_mem = '70MB'\n")
        with (etc / "postgresql.conf").open("a") as file:
            file.write(f"data_directory = '{data}'\nhba_file = '{quoted(etc)}/pg_hba.conf'\n")
            file.write(f"ident_file = '{quoted(etc)}/pg_ident.conf'\nexternal_pid_file = '{quoted(etc)}/pid'\n")
            file.write("include_dir 'conf.d'  # more of it\ninclude_if_exists 'missing.conf'\n")
        for path in (etc, *etc.rglob("*")):
            if as_account():
                os.chown(path, as_account()["user"], as_account()["group"])
        server.data_dir = etc
        shutil.copy(data / "PG_VERSION", etc)  # nobody reads it there
        start(server, data, etc)
        asyncio.run(bench.back_up())
        server.stop()
        shutil.rmtree(etc)  # as if the machine were gone
        server.data_dir = data
        yield Debian(bench=bench, etc=etc, record=bench.records[0])


def start(server: "object", data: Path, etc: Path) -> None:
    """The fixture looks for the server's lock where it was told that the data is."""
    (etc / "postmaster.pid").symlink_to(data / "postmaster.pid")
    server.start()  # type: ignore[attr-defined] # a cluster


def quoted(path: Path) -> str:
    """As a configuration file has it."""
    return str(path).replace("'", "''")


@pytest.mark.integration
def test_configuration_outside_of_the_data_directory_is_kept(debian: Debian) -> None:
    """The files that the settings name, and those that these include."""
    kept = {one["path"]: one["setting"] for one in debian.record.manifest.detail["configuration"]}
    assert kept == {
        f"{debian.etc}/postgresql.conf": "config_file",
        f"{debian.etc}/pg_hba.conf": "hba_file",
        f"{debian.etc}/pg_ident.conf": "ident_file",
        f"{debian.etc}/conf.d/10-own.conf": "include",
        f"{debian.etc}/deeper.conf": "include",
    }
    assert debian.record.manifest.notes == ()


@pytest.mark.integration
async def test_configuration_is_brought_back_to_where_it_is_read(debian: Debian) -> None:
    """A server is started on the data directory alone, and has every setting, though the old place is gone."""
    with debian.bench.room() as server:
        done = await debian.bench.restore(debian.bench.wanted(debian.record, server.data_dir, Moment()))
        begin(server)
        assert server.psql("SHOW work_mem") == "7MB"
        assert server.psql("SHOW maintenance_work_mem") == "70MB"
        assert server.psql("SHOW data_directory") == str(server.data_dir)
        assert server.psql("SHOW hba_file").startswith(str(server.data_dir))
        assert server.psql("SHOW external_pid_file") == ""
        assert server.psql("SHOW archive_mode") == "off"
        assert done.left_to_do[2:] == ()


def files(home: Path, **more: Path) -> dict[str, str]:
    """What a server says of where its files are."""
    data = home / "data"
    found = {"data_directory": data, "config_file": home / "etc" / "postgresql.conf", **more}
    return {name: str(path) for name, path in found.items()}


def test_configuration_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """What is not in the backup nobody shall miss at three in the morning."""
    (tmp_path / "etc").mkdir()
    kept, notes = keep(files(tmp_path), here=True, place=tmp_path / "backup")
    assert (kept, notes) == ([], [f"{tmp_path}/etc/postgresql.conf is not included: no such file or directory"])
    (tmp_path / "etc" / "postgresql.conf").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    kept, notes = keep(files(tmp_path), here=True, place=tmp_path / "backup")
    assert notes == [f"{tmp_path}/etc/postgresql.conf is not included: it is larger than 4194304 bytes"]


def test_configuration_of_another_machine_is_said(tmp_path: Path) -> None:
    """A file of the same name here is another's."""
    assert keep(files(tmp_path), here=False, place=tmp_path) == ([], [f"{ABROAD}: {tmp_path}/etc/postgresql.conf"])


def test_configuration_that_includes_itself_comes_to_an_end(tmp_path: Path) -> None:
    """PostgreSQL refuses it; we do not hang on it."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "postgresql.conf").write_text("include 'postgresql.conf'\ninclude = other.conf # more\n")
    (tmp_path / "etc" / "other.conf").write_text("")
    kept, _ = keep(files(tmp_path), here=True, place=tmp_path / "backup")
    assert [Path(one["path"]).name for one in kept] == ["postgresql.conf", "other.conf"]


def test_configuration_within_the_data_directory_is_no_business_of_ours(tmp_path: Path) -> None:
    """It is in the backup already."""
    (tmp_path / "data").mkdir()
    within = files(tmp_path, config_file=tmp_path / "data" / "postgresql.conf")
    assert keep(within, here=True, place=tmp_path / "backup") == ([], [])


def outfitted(tmp_path: Path, text: str, *paths: str) -> str:
    """The main file of a data directory after it was put in order; `paths` lay outside."""
    stage = tmp_path / "stage"
    stage.mkdir()
    (stage / "postgresql.conf").write_text(text)
    kept = [{"setting": "include", "path": path, "stored": f"configuration{path}"} for path in paths]
    (tmp_path / "some").write_text("work_mem = '7MB'\n")
    clear = {str(one["stored"]): tmp_path / "some" for one in kept}
    configure(stage, Path("/new"), Configuration(kept=kept, clear=clear), "/old")
    return (stage / "postgresql.conf").read_text()


def test_include_of_what_was_kept_leads_to_it(tmp_path: Path) -> None:
    """From a main file within the data directory too."""
    text = outfitted(
        tmp_path, "include '/etc/it''s.conf' # see there\ninclude 'own.conf'\ninclude '/old/x'\n", "/etc/it's.conf"
    )
    assert text.splitlines()[:3] == [
        "include '/new/configuration/etc/it''s.conf' # see there",
        "include '/new/own.conf'",
        "include '/new/x'",
    ]
    assert text.endswith("external_pid_file = ''\n")


def test_include_of_what_was_not_kept_is_taken_out(tmp_path: Path) -> None:
    """The server would not start with it."""
    assert outfitted(tmp_path, "include '/etc/gone.conf'\n", "/etc/there.conf").splitlines()[0] == (
        "#include '/etc/gone.conf'  # not in the backup"
    )


def test_data_directory_without_any_configuration_gets_the_least(tmp_path: Path) -> None:
    """Without these files no server starts; it is said what is missing."""
    assert configure(tmp_path, tmp_path, Configuration(), None) == [
        "the server's configuration was not in the backup: write postgresql.conf anew",
        "who may connect was not in the backup: pg_hba.conf lets in local connections alone",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pg_hba.conf", "pg_ident.conf", "postgresql.conf"]
