import errno
import hashlib
import os
from pathlib import Path

import pytest

from backup.repository import digests
from backup.repository.repository import Repository
from tests.backup.repository.builders import unheard
from tests.backup.repository.conftest import Make
from toban.backups import Check


@pytest.mark.parametrize(
    ("number", "ok"), [(errno.EIO, False), (errno.EMFILE, None), (errno.EACCES, None), (errno.ESTALE, None)]
)
async def test_files_that_cannot_be_read_fail_their_check(
    repository: Repository, make: Make, monkeypatch: pytest.MonkeyPatch, number: int, *, ok: bool | None
) -> None:
    """A bad sector is no digest; a limit, a right or a connection of ours says nothing of what is written."""
    record = await make()

    def broken(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(digests, "_pieces", broken)
    failed = [check for check in await repository.check_files(record, unheard) if not check.ok]
    assert failed == [Check(name="sha256", ok=ok, detail=f"1-app.dump cannot be read: {os.strerror(number)}")]
    with monkeypatch.context() as patch:
        patch.setattr(digests, "read_manifest", broken)
        (check,) = await repository.check_files(record, unheard)
        assert (check.name, check.ok) == ("manifest", ok)
    with monkeypatch.context() as patch:
        patch.setattr(digests, "_sizes", broken)
        assert (await repository.check_files(record, unheard))[1].ok is ok


async def test_link_where_a_file_was_is_damage(repository: Repository, make: Make, tmp_path: Path) -> None:
    """Moved to another disk by hand to make room: what is reached through it is no part of the backup."""
    record = await make()
    path = Path(record.place) / "1-app.dump"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    failed = [check for check in await repository.check_files(record, unheard) if not check.ok]
    assert [(check.name, check.ok) for check in failed] == [("files", False)]
    assert failed[0].detail == f"{path}: is neither a file nor a folder, and cannot be kept"


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
