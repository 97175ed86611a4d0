"""Where programs are, by major version, and whom a server may run as."""

import os
import shutil
from pathlib import Path

import pytest

from backup import programs as finding
from backup.errors import BackupError
from backup.programs import Programs, account, becoming, enterable
from toban.backups import Trouble


def installed(folder: Path, program: str, version: str) -> Path:
    """A program that says its version, as PostgreSQL's do."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / program
    made.write_text(f"#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n")
    made.chmod(0o755)
    return made


@pytest.fixture
def no_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any PostgreSQL of its own."""
    monkeypatch.setattr(finding, "SYSTEM_FOLDERS", ())
    monkeypatch.setattr(finding, "WHEEL", "no_such_wheel")
    monkeypatch.setenv("PATH", "/nowhere")


def test_programs_are_found_by_major_or_the_nearest_newer(tmp_path: Path, no_system: None) -> None:
    """A dump of 15 by the pg_dump of 16 is fine; a base backup by another major is not."""
    sixteen = installed(tmp_path / "a", "pg_dump", "16.4 (Debian 16.4-1)")
    eighteen = installed(tmp_path / "b", "pg_dump", "18beta1")
    programs = Programs((tmp_path / "a", tmp_path / "b"))
    assert programs.majors("pg_dump") == {16: sixteen, 18: eighteen}
    assert programs.postgresql("pg_dump", major=15, or_newer=True) == sixteen
    assert programs.postgresql("pg_dump", major=18) == eighteen
    with pytest.raises(BackupError, match="none of PostgreSQL 15 on this machine; there is: 16, 18") as refused:
        programs.postgresql("pg_dump", major=15)
    assert refused.value.trouble is Trouble.PROGRAM
    assert "apt install postgresql-client-15" in refused.value.hint


def test_programs_of_a_server_want_its_package(no_system: None) -> None:
    """And not the client's."""
    with pytest.raises(BackupError, match="there is: none") as refused:
        Programs().postgresql("initdb", major=15)
    assert "apt install postgresql-15," in refused.value.hint


def test_programs_of_the_first_folder_win(tmp_path: Path, no_system: None) -> None:
    """Of two with the same version, and by any of a program's names."""
    first = installed(tmp_path / "a", "pg_dump", "16.4")
    installed(tmp_path / "b", "pg_dump", "16.9")
    older = installed(tmp_path / "b", "mysqldump", "10")
    programs = Programs((tmp_path / "a", tmp_path / "b"))
    assert programs.majors("pg_dump") == {16: first}
    assert programs.other("mariadb-dump", "mysqldump") == older
    assert programs.has("mysqldump")


def test_program_that_is_nowhere_is_one_line_with_its_package(no_system: None) -> None:
    """So that the mend can be typed."""
    with pytest.raises(BackupError, match="is not on this machine") as refused:
        Programs().other("no-such-program-here", "nor-this")
    assert refused.value.hint == "apt install no-such-program-here"
    assert not Programs().has("no-such-program-here")


def test_program_that_is_replaced_is_asked_anew(tmp_path: Path, no_system: None) -> None:
    """An upgrade while the daemon runs."""
    made = installed(tmp_path, "pg_dump", "15.1")
    assert finding.version_of(made) == 15
    installed(tmp_path, "pg_dump", "16.1")
    os.utime(made, ns=(1, 1))
    assert finding.version_of(made) == 16
    assert finding.version_of(tmp_path / "nothing") is None


def test_program_that_did_not_answer_once_is_asked_again(tmp_path: Path, no_system: None) -> None:
    """On a busy machine, or while a library is missing: else there would be none until the daemon is started anew."""
    program = tmp_path / "pg_dump"
    program.write_text(
        "#!/bin/sh\n"
        f"[ -e {tmp_path}/late ] && echo 'pg_dump (PostgreSQL) 15.2' && exit\n"
        f"echo > {tmp_path}/late; echo 'libpq.so.5: cannot open shared object file' >&2; exit 127\n"
    )
    program.chmod(0o755)
    assert Programs([tmp_path]).majors("pg_dump") == {}, "libpq's version is none of the program's"
    assert Programs([tmp_path]).majors("pg_dump") == {15: program}


def test_program_that_cannot_be_run_has_no_version(tmp_path: Path) -> None:
    """Broken, or for another machine."""
    made = installed(tmp_path, "pg_dump", "15.1")
    made.write_text("#!/nowhere/at/all\n")
    assert finding.version_text(made) == ""


def test_becoming_another_wants_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user runs everything as himself."""
    assert becoming(None) == ()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    chosen = account()
    assert chosen is not None
    words = becoming(chosen)
    assert words[1:] == (f"--reuid={chosen.uid}", f"--regid={chosen.gid}", "--clear-groups", "--")
    monkeypatch.setattr("backup.programs.shutil.which", lambda *_, **__: None)
    with pytest.raises(BackupError, match="setpriv"):
        becoming(chosen)


def test_account_is_an_unprivileged_one_for_root_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL refuses root; an ordinary user runs it as himself."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    chosen = account()
    assert chosen is not None
    assert chosen.uid != 0
    assert finding.as_account()["user"] == chosen.uid
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert account() is None
    assert finding.as_account() == {}


def test_programs_in_a_closed_folder_are_copied_with_their_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout below a private home: the server's account could not enter it."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    site = tmp_path / "private"
    home = site / finding.WHEEL / "pginstall"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "postgres").write_text("server")
    (site / f"{finding.WHEEL}.libs").mkdir()
    (site / f"{finding.WHEEL}.libs" / "libpq.so").write_text("library")
    site.chmod(0o700)
    found = enterable(home / "bin", tmp_path / "open")
    assert (found / "postgres").read_text() == "server"
    assert (tmp_path / "open" / f"{finding.WHEEL}.libs" / "libpq.so").exists()
    assert (tmp_path / "open").stat().st_mode & 0o001
    shutil.rmtree(site / f"{finding.WHEEL}.libs")
    again = enterable(home / "bin", tmp_path / "again")
    assert (again / "postgres").exists()
