"""Claims about asking for other processes' locks."""

import os
from pathlib import Path

import pytest

from collectors.sqlite.locks import descriptor_of


def test_descriptor_is_that_of_the_same_file(tmp_path: Path) -> None:
    """Found by inode, by whatever name it was opened; a file this process has not open has none."""
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    os.link(tmp_path / "a", tmp_path / "c")
    with (tmp_path / "c").open() as file:
        assert descriptor_of((tmp_path / "a").stat()) == file.fileno()
        assert descriptor_of((tmp_path / "b").stat()) is None


def test_descriptor_closed_meanwhile_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the list and the look another thread may close one."""
    (tmp_path / "a").touch()
    with (tmp_path / "a").open() as file:
        numbers = ["987654", str(file.fileno())]
        monkeypatch.setattr("collectors.sqlite.locks.os.listdir", lambda _: numbers)
        assert descriptor_of((tmp_path / "a").stat()) == file.fileno()
