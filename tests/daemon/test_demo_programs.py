"""Which PostgreSQL the demonstration starts, and as whom."""

import os
import shutil
from pathlib import Path

import pytest

from daemon.demo import programs as programs_module
from daemon.demo.programs import Programs, account, enterable, find_programs
from toban.errors import UnavailableError


def test_programs_that_are_nowhere_are_a_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """With both ways to come by them."""
    monkeypatch.setattr(programs_module, "_folders", lambda: iter(()))
    with pytest.raises(UnavailableError, match="no PostgreSQL server programs") as refused:
        find_programs()
    assert "apt install postgresql" in refused.value.hint


def test_programs_with_statements_are_chosen_first_and_the_newest_among_equals(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever lies on the PATH as well."""
    for major, contrib in ((15, True), (16, True), (18, False)):
        folder = tmp_path / str(major)
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "postgres").write_text("")
        (folder / "bin" / "postgres").chmod(0o755)
        if contrib:
            (folder / "share" / "extension").mkdir(parents=True)
            (folder / "share" / programs_module.STATEMENTS_CONTROL).write_text("")
    monkeypatch.setattr(programs_module, "SYSTEM_FOLDERS", (f"{tmp_path}/1[56]/bin",))
    monkeypatch.setattr(programs_module, "WHEEL", "no_such_wheel")
    monkeypatch.setenv("PATH", f"{tmp_path}/18/bin")
    assert find_programs() == Programs(folder=tmp_path / "16" / "bin", has_statements=True)
    shutil.rmtree(tmp_path / "15")
    shutil.rmtree(tmp_path / "16")
    assert find_programs() == Programs(folder=tmp_path / "18" / "bin", has_statements=False)


def test_account_is_an_unprivileged_one_for_root_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL refuses root; an ordinary user runs it as himself."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    chosen = account()
    assert chosen is not None
    assert chosen.pw_uid != 0
    assert programs_module.as_account()["user"] == chosen.pw_uid
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert account() is None
    assert programs_module.as_account() == {}


def test_programs_in_a_closed_folder_are_copied_with_their_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout below a private home: the server's account could not enter it."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    site = tmp_path / "private"
    home = site / programs_module.WHEEL / "pginstall"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "postgres").write_text("server")
    (site / f"{programs_module.WHEEL}.libs").mkdir()
    (site / f"{programs_module.WHEEL}.libs" / "libpq.so").write_text("library")
    site.chmod(0o700)
    found = enterable(Programs(folder=home / "bin", has_statements=False), tmp_path / "open")
    assert (found.folder / "postgres").read_text() == "server"
    assert (tmp_path / "open" / f"{programs_module.WHEEL}.libs" / "libpq.so").exists()
    assert (tmp_path / "open").stat().st_mode & 0o001
    shutil.rmtree(site / f"{programs_module.WHEEL}.libs")
    again = enterable(Programs(folder=home / "bin", has_statements=False), tmp_path / "again")
    assert (again.folder / "postgres").exists()
