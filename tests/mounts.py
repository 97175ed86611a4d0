"""Folders mounted so that nobody can write to them, or only little: a disk error, a careful person, a full disk."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.skips import IMPOSSIBLE


def mount(*words: str | Path) -> None:
    """Skips the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip(f"{IMPOSSIBLE}mounting is root's")
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{IMPOSSIBLE}{done.stderr.strip()}")


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """For as long as the block lasts."""
    mount("--bind", folder, folder)
    try:
        mount("-o", "remount,bind,ro", folder)
        yield
    finally:
        subprocess.run(["umount", folder], capture_output=True, check=False)


@contextmanager
def small(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, of a size as `mount` takes it, in a folder that is made for it."""
    folder.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
