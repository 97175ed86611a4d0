"""What a restored data directory needs to become a server of its own: configuration where it is looked for, recovery.

The files that lay outside of the old data directory come to lie within the new one. What leads to them is written so
that the folder can be moved, and nothing in it leads to where the old server was: that one may be there still.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from backup.engines.basing.configuration import DEEPEST, FOLDER
from backup.engines.basing.naming import INCLUDES, RULE_FILES, TLS_FILES, Grammar, Named, in_rules, in_settings
from backup.restore.recovery import quoted, written

AUTO: Final = "postgresql.auto.conf"
MAIN: Final = "postgresql.conf"
RULES: Final = "pg_hba.conf"
NAMES: Final = "pg_ident.conf"
SIGNAL: Final = "recovery.signal"
STALE: Final = ("standby.signal", "postmaster.pid", "postmaster.opts", "recovery.conf", "recovery.done")
USUAL_RULES: Final = "local all all peer\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n"
OFF: Final = "#{line}  # off by Toban's restore: it led to where the old server was"
MODE: Final = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a backup knows of the configuration: the files that lay outside, and where the old server had its own."""

    kept: Sequence[Mapping[str, Any]] = ()  # which setting named each, and where it lies in the backup
    clear: Mapping[str, Path] = field(default_factory=dict)  # by its path in the backup: where it is in the clear
    files: Mapping[str, str] = field(default_factory=dict)  # by setting; older backups do not say
    home: str | None = None  # the old data directory, where it is known


def configure(stage: Path, found: Configuration) -> list[str]:
    """Put the configuration in place; what is to be said of it. It blocks."""
    for one in found.kept:
        _write(stage / str(one["stored"]), found.clear[str(one["stored"])].read_bytes())
    moved = _Moved(stage, found)
    if moved.brought("config_file", MAIN):
        moved.lead(stage / MAIN, moved.origin("config_file", MAIN), in_settings)
    else:
        _write(stage / MAIN, b"# The old server's configuration was not in the backup: all is at its default.\n")
        moved.left.append(f"the server's configuration was not in the backup: write {MAIN} anew")
    if (stage / AUTO).exists():
        moved.lead(stage / AUTO, f"{moved.home}/{AUTO}", in_settings)
    for setting, name, usual in zip(RULE_FILES, (RULES, NAMES), (USUAL_RULES, ""), strict=True):
        if moved.brought(setting, name):
            moved.lead(stage / name, moved.origin(setting, name), in_rules)
        else:
            _write(stage / name, usual.encode())
            if usual:
                moved.left.append(f"who may connect was not in the backup: {name} lets in local connections alone")
    return moved.left


def recover(stage: Path, settings: Mapping[str, str]) -> None:
    """Make it recover when it starts, and to what end. It blocks."""
    for name in STALE:
        (stage / name).unlink(missing_ok=True)
    auto = stage / AUTO
    existing = auto.read_bytes().decode("utf-8", "surrogateescape") if auto.exists() else ""
    _write(auto, written(existing, settings).encode("utf-8", "surrogateescape"))
    _write(stage / SIGNAL, b"")


def give(stage: Path, uid: int, gid: int) -> None:
    """Make everything the account's, links themselves and not what they lead to. It blocks."""
    for folder, folders, files in os.walk(stage):
        for name in (*folders, *files):
            os.chown(os.path.join(folder, name), uid, gid, follow_symlinks=False)  # noqa: PTH118 - thousands of them
    os.chown(stage, uid, gid)


class _Moved:
    """What lay where, and lies where now."""

    def __init__(self, stage: Path, found: Configuration) -> None:
        self.left: list[str] = []
        self.home = found.home or str(stage)
        self._stage = stage
        self._known = frozenset(str(one["path"]) for one in found.kept)
        self._told = {str(one["setting"]): str(one["path"]) for one in found.kept} | dict(found.files)
        self._read: dict[str, str] = {}  # by setting, out of the files themselves
        self._led: set[Path] = set()

    def origin(self, setting: str, name: str) -> str:
        """Where the old server had one of its files."""
        return self._told.get(setting) or self._read.get(setting) or f"{self.home}/{name}"

    def brought(self, setting: str, name: str) -> bool:
        """Whether it is in the backup: then it lies where a server looks for it that is told nothing."""
        there = self._place(self.origin(setting, name))
        if there is None or not there.is_file():
            return False
        if there != self._stage / name:
            _write(self._stage / name, there.read_bytes())
        return True

    def lead(self, path: Path, origin: str, grammar: Grammar, depth: int = 0) -> None:
        """Let a file, and those that it includes, lead to where everything is now."""
        if path in self._led or depth > DEEPEST or not path.is_file():
            return
        self._led.add(path)
        lines = path.read_bytes().decode("utf-8", "surrogateescape").split("\n")
        led = [self._line(line, _Within(path=path, origin=origin, grammar=grammar, depth=depth)) for line in lines]
        _write(path, "\n".join(led).encode("utf-8", "surrogateescape"))

    def _line(self, line: str, within: "_Within") -> str:
        for named in reversed(list(within.grammar(line))):  # from the end, so that the places before it hold
            now = self._now(named, within)
            if now is None:
                return OFF.format(line=line.rstrip("\r"))
            written_now = quoted(now) if within.grammar is in_settings else '"' + now.replace('"', '""') + '"'
            line = line[: named.begins] + written_now + line[named.ends :]
        return line

    def _now(self, named: Named, within: "_Within") -> str | None:
        """What a line is to name instead; None where it is not to hold any more."""
        if named.word in INCLUDES:
            return self._included(named, within)
        meant = os.path.normpath(Path(self.home) / named.path)
        if named.word not in TLS_FILES:  # where the data, the rules, this very file are: a server finds them by itself
            self._read[named.word] = meant
            return None
        there = self._place(meant)
        if there is None and named.path:
            self.left.append(f"{named.word} is {meant}, which was not in the backup")
        return named.path if there is None else os.path.relpath(there, self._stage)

    def _included(self, named: Named, within: "_Within") -> str | None:
        meant = os.path.normpath(Path(within.origin).parent / named.path)
        there = self._place(meant)
        if there is None or not there.exists():
            if named.word in ("include", "@"):
                self.left.append(f"{meant}, which {within.origin} includes, was not in the backup: that line is off")
            return None
        for one in sorted(there.glob("*.conf")) if there.is_dir() else ():
            self.lead(one, f"{meant}/{one.name}", within.grammar, within.depth + 1)
        self.lead(there, meant, within.grammar, within.depth + 1)
        return os.path.relpath(there, within.path.parent)

    def _place(self, meant: str) -> Path | None:
        """Where it is now; None for what is not in the backup."""
        if meant in self._known or any(one.startswith(f"{meant}/") for one in self._known):
            return self._stage / (FOLDER + meant)
        if meant.startswith(f"{self.home}/"):
            return self._stage / meant.removeprefix(f"{self.home}/")
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Within:
    """The file that a line is of."""

    path: Path
    origin: str
    grammar: Grammar
    depth: int


def _write(path: Path, content: bytes) -> None:
    """A small file of ours alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
