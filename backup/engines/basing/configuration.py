"""The server's configuration that lies outside of its data directory, as Debian has it: found by its own words, copied.

A base backup holds the data directory alone. What cannot be read here is said, not passed over.
"""

import asyncio
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from backup.engines.basing.naming import INCLUDES, RULE_FILES, Grammar, Named, in_rules, in_settings
from backup.engines.basing.server import Server
from backup.engines.contract import Making

FOLDER: Final = "configuration"
CONTROL: Final = "global/pg_control"  # it begins with the system identifier
MOST_FILES: Final = 200
MOST_BYTES: Final = 4 * 1024 * 1024  # of one file
DEEPEST: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One file that lay outside: which setting named it (or `include`), where it was, where it lies in the backup."""

    setting: str
    path: str
    stored: str


async def configuration_of(making: Making, server: Server) -> tuple[list[dict[str, Any]], list[str]]:
    """What of it was put into a backup that is being made, and what to say of it."""
    if not making.job.configuration:
        return [], []
    dsn = making.job.dsn or making.origin.dsn
    local = dsn is not None and dsn.local
    here = local and await asyncio.to_thread(lies_here, server.files, server.system_identifier)
    return await asyncio.to_thread(keep, server.files, here=here, place=making.place)


def lies_here(files: Mapping[str, str], system_identifier: str) -> bool:
    """Whether the files are on this machine: through a forwarded port a server only seems to be. It blocks."""
    try:
        with (Path(files.get("data_directory", "/")) / CONTROL).open("rb") as file:
            found = struct.unpack("=Q", file.read(8))[0]
    except (FileNotFoundError, NotADirectoryError, struct.error):
        return False
    except OSError:  # it is closed to us: nothing speaks against it
        return True
    return str(found) == system_identifier


def keep(files: Mapping[str, str], *, here: bool, place: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Copy what lies outside into `place/configuration`; what was kept, and what to say. It blocks."""
    if "data_directory" not in files or "config_file" not in files:
        return [], ["where the configuration lies is not known to this role: GRANT pg_read_all_settings to it"]
    outside = _Outside(files)
    if not here:
        listed = ", ".join(sorted(outside.found))
        why = "configuration outside of the data directory is on another machine and not included"
        return [], [f"{why}: {listed}"] if listed else []
    outside.follow(files)
    kept: list[Kept] = []
    notes = list(outside.notes)
    for path, setting in list(outside.found.items())[:MOST_FILES]:
        why = _copy(Path(path), place / _stored(path))
        if why:
            notes.append(f"{path} is not included: {why}")
        else:
            kept.append(Kept(setting=setting, path=path, stored=_stored(path)))
    if len(outside.found) > MOST_FILES:
        notes.append(f"only the first {MOST_FILES} files of the configuration are included")
    return [asdict(one) for one in kept], notes


class _Outside:
    """The files that lie outside, each once, with what named it; and what could not be looked into."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.found: dict[str, str] = {}
        self.notes: list[str] = []
        self._data_dir = os.path.realpath(files["data_directory"])
        self._read: set[str] = set()
        for setting, path in files.items():
            if setting != "data_directory":
                self._take(setting, Path(self._data_dir) / path)

    def follow(self, files: Mapping[str, str]) -> None:
        """What they include, and what that includes. It blocks."""
        self._follow(Path(files["config_file"]), in_settings, 0)
        for setting in RULE_FILES:
            if setting in files:
                self._follow(Path(files[setting]), in_rules, 0)

    def _take(self, setting: str, path: Path) -> None:
        written = os.path.normpath(path)
        if not self._is_within(written):
            self.found.setdefault(written, setting)

    def _is_within(self, path: str) -> bool:
        return os.path.realpath(path).startswith(f"{self._data_dir}/")

    def _follow(self, path: Path, grammar: Grammar, depth: int) -> None:
        if depth > DEEPEST or len(self._read) > MOST_FILES or os.path.normpath(path) in self._read:
            return
        self._read.add(os.path.normpath(path))
        try:
            with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
                text = file.read(MOST_BYTES)
        except OSError:
            if self._is_within(str(path)):  # of what lies outside its copying tells
                self.notes.append(f"{path} cannot be read here: what it includes from elsewhere is not in the backup")
            return
        for named in (named for line in text.split("\n") for named in grammar(line) if named.word in INCLUDES):
            for member in self._members(named, path.parent / named.path):
                self._take("include", member)
                self._follow(member, grammar, depth + 1)

    def _members(self, named: Named, path: Path) -> Iterator[Path]:
        """The files that are meant."""
        if named.word == "include_dir":
            try:
                names = sorted(os.listdir(path))  # noqa: PTH208 - beside its failure, which a glob passes over
            except OSError as error:
                self.notes.append(f"{path} is not included: {_why(error)}")
                return
            yield from (path / name for name in names if name.endswith(".conf") and not name.startswith("."))
        elif named.word != "include_if_exists" or _may_be_there(path):
            yield path


def _stored(path: str) -> str:
    return FOLDER + path


def _may_be_there(path: Path) -> bool:
    """What is closed to us may be: copying it will tell."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _copy(path: Path, copied: Path) -> str:
    """Why it could not be copied; empty where it was."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        return _why(error)
    if len(content) > MOST_BYTES:
        return f"it is larger than {MOST_BYTES} bytes"
    copied.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(copied, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
    return ""
