import errno
import hashlib
import os
from pathlib import Path

import pytest

from backup.repository import digests
from backup.repository.repository import Repository
from tests.backup.repository.builders import unheard
from tests.backup.repository.conftest import Make


async def test_files_that_cannot_be_read_fail_their_check(
    repository: Repository, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad sector is no digest."""
    record = await make()

    def broken(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(digests, "_pieces", broken)
    failed = [check for check in await repository.check_files(record, unheard) if not check.ok]
    assert [(check.name, check.detail) for check in failed] == [
        ("sha256", "1-app.dump cannot be read: Input/output error")
    ]


async def test_large_files_are_read_in_slices(
    repository: Repository, make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In slices of a thread's time, the last of them full, short or empty: the digest is that of the whole."""
    monkeypatch.setattr(digests, "SLICE_BYTES", 1000)
    for size in (999, 1000, 2000, 2500):
        content = os.urandom(size)
        (tmp_path / f"{size}").write_bytes(content)
        heard: list[int] = []
        found = await digests.digest(tmp_path / f"{size}", "x", heard.append)
        copied = await digests.copied(tmp_path / f"{size}", tmp_path / f"{size}.copy", "x")
        assert found == copied
        assert (found.sha256, found.size_bytes) == (hashlib.sha256(content).hexdigest(), size)
        assert (tmp_path / f"{size}.copy").read_bytes() == content
        assert heard[-1] == size
