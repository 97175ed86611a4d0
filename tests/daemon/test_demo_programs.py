"""Which PostgreSQL the demonstration starts."""

import shutil
from pathlib import Path

import pytest

from backup import programs as finding
from daemon.demo.programs import STATEMENTS_CONTROL, Programs, find_programs
from toban.errors import UnavailableError


def test_programs_that_are_nowhere_are_a_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """With both ways to come by them."""
    monkeypatch.setattr(finding, "postgresql_folders", lambda: iter(()))
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
        (folder / "bin" / "postgres").write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {major}.1'\n")
        (folder / "bin" / "postgres").chmod(0o755)
        if contrib:
            (folder / "share" / "extension").mkdir(parents=True)
            (folder / "share" / STATEMENTS_CONTROL).write_text("")
    monkeypatch.setattr(finding, "SYSTEM_FOLDERS", (f"{tmp_path}/1[56]/bin",))
    monkeypatch.setattr(finding, "WHEEL", "no_such_wheel")
    monkeypatch.setenv("PATH", f"{tmp_path}/18/bin")
    assert find_programs() == Programs(folder=tmp_path / "16" / "bin", has_statements=True)
    shutil.rmtree(tmp_path / "15")
    shutil.rmtree(tmp_path / "16")
    assert find_programs() == Programs(folder=tmp_path / "18" / "bin", has_statements=False)
