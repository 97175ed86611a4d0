"""Who has a file open, as far as this machine tells: by the descriptors of processes, and by the locks held."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

PROCESSES: Final = Path("/proc")
MOST_NAMED: Final = 5


def holders_of(paths: Iterable[Path], processes: Path = PROCESSES) -> tuple[tuple[str, ...], bool]:
    """The programs that have one of the files open, but for ourselves; and whether all of them could be asked."""
    wanted = set()
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            wanted.add((status.st_dev, status.st_ino))
    if not wanted:
        return (), True
    found, complete = dict[int, None](), processes.is_dir()
    for process in _numbered(processes):
        try:
            if any(key in wanted for key in _open_in(processes / str(process))):
                found[process] = None
        except PermissionError:
            complete = False
        except OSError:
            continue
    found.update(dict.fromkeys(_lockers(processes / "locks", wanted)))
    found.pop(os.getpid(), None)
    return tuple(_called(processes, process) for process in list(found)[:MOST_NAMED]), complete


def _numbered(processes: Path) -> list[int]:
    with suppress(OSError):
        return sorted(int(entry.name) for entry in processes.iterdir() if entry.name.isdigit())
    return []


def _open_in(process: Path) -> Iterator[tuple[int, int]]:
    with os.scandir(process / "fd") as descriptors:
        for descriptor in descriptors:
            with suppress(OSError):
                status = descriptor.stat()
                yield status.st_dev, status.st_ino


def _lockers(locks: Path, wanted: set[tuple[int, int]]) -> Iterator[int]:
    """`1: POSIX  ADVISORY  READ 1234 08:01:5678 128 128`, of everybody's processes."""
    with suppress(OSError):
        for line in locks.read_text().splitlines():
            words = [word for word in line.split() if word != "->"]
            with suppress(ValueError, IndexError):
                major, minor, inode = words[5].split(":")
                if (os.makedev(int(major, 16), int(minor, 16)), int(inode)) in wanted and int(words[4]) > 0:
                    yield int(words[4])


def _called(processes: Path, process: int) -> str:
    name = ""
    with suppress(OSError):
        name = (processes / str(process) / "comm").read_text(errors="replace").strip()
    return f"process {process}" + (f" ({name})" if name else "")
