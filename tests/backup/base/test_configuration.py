"""Configuration outside of the data directory, as Debian has it: kept, and brought back to where it is read.

A server started on the restored data directory alone has all of it.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backup.engines.basing.configuration import keep, lies_here
from backup.engines.basing.naming import Named, in_rules, in_settings
from backup.restore.basing.outfitting import Configuration, configure
from backup.restore.contract import Moment
from tests.backup.base.bench import Bench, archiving, begin
from tests.clusters import absence, installations
from tests.installations import as_account
from toban.backups import BackupRecord

MAJOR = 16  # the first whose rules include others
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
    if MAJOR not in installations():
        pytest.skip(absence(MAJOR))
    with archiving(MAJOR) as bench:
        server = bench.cluster
        server.stop()
        data, etc = server.data_dir, server.data_dir.parent / "etc's 設定"
        etc.mkdir()
        for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"):
            shutil.move(data / name, etc / name)
        (etc / "conf.d").mkdir()
        (etc / "conf.d" / "10-own.conf").write_text("work_mem = '7MB'\ninclude '../deeper.conf'\n")
        (etc / "conf.d" / "ignored.txt").write_text("nonsense")
        (etc / "hba rules").mkdir()
        (etc / "hba rules" / "1.conf").write_text("local all @../admins trust\n")
        (etc / "admins").write_text("boss, postgres\n")
        with (etc / "pg_hba.conf").open("a") as file:
            file.write('include_dir "hba rules"\n')
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
        f"{debian.etc}/hba rules/1.conf": "include",
        f"{debian.etc}/admins": "include",
    }
    assert debian.record.manifest.notes == ()


@pytest.mark.integration
async def test_restored_server_has_its_configuration_wherever_it_is_moved_and_restored_again(debian: Debian) -> None:
    """Nothing in it leads to where it was: what comes of its own backup never starts what lies in the first's place."""
    bench = debian.bench
    with bench.room() as server:
        done = await bench.restore(bench.wanted(debian.record, server.data_dir, Moment()))
        assert done.left_to_do[2:] == ()
        moved = server.data_dir.with_name("moved")
        server.data_dir = server.data_dir.rename(moved)
        begin(server)
        assert server.psql("SHOW work_mem") == "7MB"
        assert server.psql("SHOW external_pid_file") == ""
        assert server.psql("SHOW archive_mode") == "off"
        assert server.psql("SHOW data_directory") == str(moved)
        again = Bench(home=bench.home, cluster=server, records=list(bench.records))
        record = await again.back_up("again")
        server.stop()
        assert (record.manifest.detail["configuration"], record.manifest.notes) == ([], ())
        server.data_dir = moved.with_name("second")
        await again.restore(again.wanted(record, server.data_dir, Moment()))
        begin(server)
        assert server.psql("SHOW data_directory") == str(server.data_dir)
        assert server.psql("SHOW hba_file") == f"{server.data_dir}/pg_hba.conf"
        assert server.psql("SHOW maintenance_work_mem") == "70MB"
        assert (
            server.psql("SELECT user_name FROM pg_hba_file_rules WHERE file_name LIKE '%1.conf'") == "{boss,postgres}"
        )
        assert server.psql("SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL") == "0"


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
    tree(tmp_path, {"data/postgresql.conf": "include 'conf.d/own.conf'\n", "data/conf.d/own.conf": ""})
    within = files(tmp_path, config_file=tmp_path / "data" / "postgresql.conf")
    assert keep(within, here=True, place=tmp_path / "backup") == ([], [])


def tree(home: Path, texts: dict[str, str]) -> None:
    """Files below a folder."""
    for name, text in texts.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


RULES = """include hba.d/own.conf  # ours
include_if_exists missing.conf
include_dir "more rules"
local "@quoted" all peer  # @comment
host all,@lists/admins @"it's us" 127.0.0.1/32 scram-sha-256
"""


def test_what_rules_include_and_the_lists_they_take_are_kept(tmp_path: Path) -> None:
    """From a file of rules within the data directory too, and of those that it includes."""
    texts = {"etc/postgresql.conf": "", "data/pg_hba.conf": f"include {tmp_path}/etc/hba.conf\n", "etc/hba.conf": RULES}
    texts |= {"etc/hba.d/own.conf": "include ../deep.conf\n", "etc/deep.conf": "", "etc/lists/admins": "a @others\n"}
    tree(tmp_path, texts | {"etc/lists/others": "b\n", "etc/it's us": "c\n", "etc/more rules/1.conf": ""})
    kept, notes = keep(files(tmp_path, hba_file=tmp_path / "data" / "pg_hba.conf"), here=True, place=tmp_path / "b")
    assert notes == []
    assert [str(Path(one["path"]).relative_to(tmp_path / "etc")) for one in kept] == [
        *("postgresql.conf", "hba.conf", "hba.d/own.conf", "deep.conf", "more rules/1.conf"),
        *("lists/admins", "lists/others", "it's us"),
    ]


def test_folder_of_the_configuration_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """Not passed over as if it were empty."""
    tree(tmp_path, {"etc/postgresql.conf": "include_dir 'conf.d'\n", "etc/conf.d": "a file\n"})
    kept, notes = keep(files(tmp_path), here=True, place=tmp_path / "backup")
    assert [Path(one["path"]).name for one in kept] == ["postgresql.conf"]
    assert notes == [f"{tmp_path}/etc/conf.d is not included: not a directory"]


def test_main_file_within_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """What it includes from elsewhere nobody knows then."""
    main = tmp_path / "data" / "postgresql.conf"
    assert keep(files(tmp_path, config_file=main), here=True, place=tmp_path / "backup") == (
        [],
        [f"{main} cannot be read here: what it includes from elsewhere is not in the backup"],
    )


def test_server_through_a_forwarded_port_is_not_taken_for_one_of_this_machine(tmp_path: Path) -> None:
    """A file of the same name here is another's: the server's own identifier tells."""
    assert not lies_here(files(tmp_path), "7")
    (tmp_path / "data" / "global").mkdir(parents=True)
    (tmp_path / "data" / "global" / "pg_control").write_bytes((7).to_bytes(8, sys.byteorder) + b"more")
    assert lies_here(files(tmp_path), "7")
    assert not lies_here(files(tmp_path), "8")


def named(lines: Iterator[Named]) -> list[tuple[str, str]]:
    """The words, and what they name."""
    return [(one.word, one.path) for one in lines]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("include 'a b.conf' # x", [("include", "a b.conf")]),
        (" INCLUDE_DIR = conf.d", [("include_dir", "conf.d")]),
        ("include'it''s\\'s'", [("include", "it's's")]),
        ("hba_file = '/etc/x'", [("hba_file", "/etc/x")]),
        ("#include 'x'", []),
        ("included = 'x'", []),
        ("data_directory_mode = 0700", []),
        ("work_mem = '/etc/x'", []),
    ],
)
def test_line_of_settings_names_what_the_server_reads(line: str, expected: list[tuple[str, str]]) -> None:
    """Quoted and not, with and without a sign of equality."""
    assert named(in_settings(line)) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('include "a ""b"".conf"', [("include", 'a "b".conf')]),
        ("include a.conf trust", []),
        ("Include a.conf", []),
        ('host @dbs,x "@no",@"b c" all trust # @comment', [("@", "dbs"), ("@", "b c")]),
        ("host all x@y all trust", []),
    ],
)
def test_line_of_rules_names_what_the_server_reads(line: str, expected: list[tuple[str, str]]) -> None:
    """In its own grammar: double quotes, lists behind a sign, two words for an include."""
    assert named(in_rules(line)) == expected


# --- put back ---------------------------------------------------------------------------------------------------------


def outfitted(tmp_path: Path, text: str, *paths: str, **files: str) -> tuple[Path, list[str]]:
    """A data directory of /old that was put in order, and what was said; `paths` lay outside, `files` is by setting."""
    stage = tmp_path / "stage"
    stage.mkdir()
    (stage / "postgresql.conf").write_text(text)
    (stage / "pg_hba.conf").write_text("local all all trust\n")
    kept = [{"setting": "include", "path": path, "stored": f"configuration{path}"} for path in paths]
    (tmp_path / "some").write_text("@list\ninclude more.conf\n")
    clear = {str(one["stored"]): tmp_path / "some" for one in kept}
    return stage, configure(stage, Configuration(kept=kept, clear=clear, files=files, home="/old"))


def lines(path: Path) -> list[str]:
    """Of a file."""
    return path.read_text().split("\n")


def test_include_of_what_was_kept_leads_to_it(tmp_path: Path) -> None:
    """By a path from the file itself: the folder can be moved. A sign that ends lines elsewhere ends none here."""
    text = "include '/etc/it''s.conf' # see there\ninclude = '/old/x/own.conf'\n# \u2028hba_file = 'x'\n"
    stage, left = outfitted(tmp_path, text, "/etc/it's.conf", "/etc/more.conf")
    assert lines(stage / "postgresql.conf")[:3] == [
        "include 'configuration/etc/it''s.conf' # see there",
        "#include = '/old/x/own.conf'  # off by Toban's restore: it led to where the old server was",
        "# \u2028hba_file = 'x'",
    ]
    assert lines(stage / "configuration/etc/it's.conf") == ["@list", "include 'more.conf'", ""]
    assert left == ["/old/x/own.conf, which /old/postgresql.conf includes, was not in the backup: that line is off"]


def test_include_of_what_was_not_kept_is_off_and_said(tmp_path: Path) -> None:
    """The server would not start with it. What need not be there is not missed."""
    stage, left = outfitted(tmp_path, "include '/etc/gone.conf'\ninclude_if_exists 'gone'\ninclude_dir 'gone'\n")
    assert [line[:1] for line in lines(stage / "postgresql.conf")] == ["#", "#", "#", ""]
    assert left == ["/etc/gone.conf, which /old/postgresql.conf includes, was not in the backup: that line is off"]


def test_settings_that_lead_to_the_old_place_are_off(tmp_path: Path) -> None:
    """A server that is started on the new folder would else work in the old one, which may be there still."""
    text = "data_directory = '/old'\nexternal_pid_file = '/run/x'\nssl_cert_file = '/old/s.crt'\nssl_key_file = 'k'\n"
    stage, left = outfitted(tmp_path, text + "ssl_ca_file = '/etc/ca'\nssl_crl_file = ''\nwork_mem = '7MB'\n")
    assert lines(stage / "postgresql.conf")[2:] == [
        *("ssl_cert_file = 's.crt'", "ssl_key_file = 'k'", "ssl_ca_file = '/etc/ca'", "ssl_crl_file = ''"),
        *("work_mem = '7MB'", ""),
    ]
    assert all(line.startswith("#") for line in lines(stage / "postgresql.conf")[:2])
    assert left == ["ssl_ca_file is /etc/ca, which was not in the backup"]


@pytest.mark.parametrize("setting", ["postgresql.conf", "told"])
def test_rules_come_from_where_the_old_server_had_them(tmp_path: Path, setting: str) -> None:
    """By its own word, and else by its configuration; they lie where a server looks for them that is told nothing."""
    told = {"hba_file": "/etc/hba.conf"} if setting == "told" else {}
    text = "" if told else "hba_file = '/etc/hba.conf'\n"
    stage, left = outfitted(tmp_path, text, "/etc/hba.conf", "/etc/list", "/etc/more.conf", **told)
    assert lines(stage / "pg_hba.conf") == ['@"configuration/etc/list"', 'include "configuration/etc/more.conf"', ""]
    assert left == []


def test_rules_that_were_not_kept_are_not_replaced_by_stale_ones(tmp_path: Path) -> None:
    """What lies in the data directory beside them nobody obeyed, and it may let in everybody."""
    stage, left = outfitted(tmp_path, "", hba_file="/etc/gone.conf")
    assert "trust" not in (stage / "pg_hba.conf").read_text()
    assert left == ["who may connect was not in the backup: pg_hba.conf lets in local connections alone"]


def test_data_directory_without_any_configuration_gets_the_least(tmp_path: Path) -> None:
    """Without these files no server starts; it is said what is missing."""
    assert configure(tmp_path, Configuration()) == [
        "the server's configuration was not in the backup: write postgresql.conf anew",
        "who may connect was not in the backup: pg_hba.conf lets in local connections alone",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pg_hba.conf", "pg_ident.conf", "postgresql.conf"]
