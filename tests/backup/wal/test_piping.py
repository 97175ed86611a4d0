"""A pipe of programs without asyncio: what comes out, which of them failed, and that none is left."""

import gc
import os
import subprocess
from pathlib import Path

import pytest

from backup.errors import BackupError
from backup.wal import piping
from backup.wal.manner import Manner
from backup.wal.piping import Pipe
from backup.wal.pushing import push
from tests.backup.wal.places import a_file, a_place, a_segment
from toban.backups import Trouble

SH = "/bin/sh"


def opened(tmp_path: Path, content: bytes = b"abc\n") -> int:
    """A file to read from."""
    path = tmp_path / "in"
    path.write_bytes(content)
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def handles() -> int:
    """How many files this process has open, besides those that an earlier test left to the collector."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_pipe_hands_on_from_one_program_to_the_next(tmp_path: Path) -> None:
    """Larger than any buffer; nothing stays open."""
    content = os.urandom(300_000)
    source = opened(tmp_path, content)
    before = handles()
    pipe = Pipe([["/bin/cat"], ["/bin/cat"], ["/bin/cat"]], source)
    assert b"".join(pipe.pieces()) == content
    pipe.close()
    pipe.close()
    assert handles() == before
    os.close(source)


def test_pipe_tells_the_first_that_failed_and_what_it_said(tmp_path: Path) -> None:
    """Though the last one succeeded."""
    source = opened(tmp_path)
    pipe = Pipe([[SH, "-c", "echo first >&2; exit 3"], ["/bin/cat"]], source)
    with pytest.raises(BackupError, match="sh: ended with status 3: first"):
        list(pipe.pieces())
    pipe.close()
    pipe = Pipe([[SH, "-c", "kill -9 $$"]], source, os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT))
    with pytest.raises(BackupError, match=r"sh: ended with status -9$"):
        pipe.ended()
    pipe.close()
    full = Pipe([[SH, "-c", "echo 'x: No space left on device' >&2; exit 1"]], source)
    with pytest.raises(BackupError) as refused:
        full.ended()
    assert refused.value.trouble is Trouble.SPACE
    full.close()
    os.close(source)


def test_pipe_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether somebody reads from it or waits for it."""
    monkeypatch.setattr(piping, "WITHIN_SECONDS", 0.05)
    source = opened(tmp_path)
    for act, why in ((lambda pipe: list(pipe.pieces()), "silent for"), (lambda pipe: pipe.ended(), "not done within")):
        pipe = Pipe([["/bin/sleep", "60"]], source)
        (process,) = pipe._running
        with pytest.raises(BackupError, match=why) as refused:
            act(pipe)
        assert refused.value.trouble is Trouble.TIMEOUT
        pipe.close()
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    os.close(source)


def test_pipe_of_what_is_no_program_leaves_nothing_open(tmp_path: Path) -> None:
    """The ones before it are ended."""
    source = opened(tmp_path)
    before = handles()
    with pytest.raises(FileNotFoundError):
        Pipe([["/bin/cat"], ["/bin/no such program"]], source)
    assert handles() == before
    os.close(source)


def test_programs_are_looked_for_in_the_named_folders_first(tmp_path: Path) -> None:
    """Before those of the system."""
    own = tmp_path / "zstd"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    (words,) = Manner(compress="zstd:9", programs=[str(tmp_path)]).packing()
    assert words == [str(own), "-9", "-c", "-q", "--single-thread"]
    assert Manner(compress="none").packing() == []
    assert Manner(compress="none").unpacking("", "") == []


def test_gpg_asks_nobody_for_keys() -> None:
    """A recipient whose key is not here would be looked up elsewhere, each time that a segment is pushed."""
    words = Manner(compress="none", seal="gpg", recipients=["db1"], programs=["/bin"])
    assert [words._gpg()[-1], "--no-auto-key-locate" in words.packing()[0]] == ["--no-auto-key-locate", True]


@pytest.mark.integration
def test_gpg_seals_and_opens(tmp_path: Path) -> None:
    """By its own home; whoever has the key reads it."""
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    options = ("--batch", "--quiet", "--passphrase", "", "--quick-gen-key", "db1", "future-default")
    subprocess.run(["gpg", "--homedir", str(home), *options], check=True, capture_output=True)
    manner = Manner(compress="lz4", seal="gpg", recipients=["db1"], home=str(home))
    try:
        place = a_place(tmp_path)
        source = a_file(tmp_path / "pg_wal")
        push(source, place, manner)
        (path,) = place.glob("*.lz4.gpg")
        assert b"rows" not in path.read_bytes()
        (place / "000000010000000000000001.sha256").unlink()
        assert push(source, place, manner) == "there already"
        handle = os.open(path, os.O_RDONLY)
        pipe = Pipe(manner.unpacking("lz4", "gpg"), handle)
        assert b"".join(pipe.pieces()) == a_segment(1)
        pipe.close()
        os.close(handle)
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
