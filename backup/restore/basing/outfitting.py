"""What a restored data directory needs to become a server of its own: configuration where it is looked for, recovery.

The files that lay outside of the old data directory come to lie within the new one, and it is told so.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from backup.engines.basing.configuration import FOLDER, INCLUDE, unquoted
from backup.restore.recovery import quoted, written

AUTO: Final = "postgresql.auto.conf"
MAIN: Final = "postgresql.conf"
RULES: Final = "pg_hba.conf"
SIGNAL: Final = "recovery.signal"
STALE: Final = ("standby.signal", "postmaster.pid", "postmaster.opts", "recovery.conf", "recovery.done")
SETTINGS: Final = frozenset(
    {"hba_file", "ident_file", "ssl_cert_file", "ssl_key_file", "ssl_ca_file", "ssl_crl_file", "ssl_dh_params_file"}
)
USUAL_RULES: Final = "local all all peer\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n"
HEAD: Final = "# From here on by Toban's restore: the files that lay outside of the old data directory."


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The configuration files of a backup that lay outside: which setting named each, and where it is in the clear."""

    kept: Sequence[Mapping[str, Any]] = ()
    clear: Mapping[str, Path] = field(default_factory=dict)  # by its path in the backup


def configure(stage: Path, home: Path, found: Configuration, old_home: str | None) -> list[str]:
    """Put the configuration in place; what is to be said of it. It blocks."""
    left: list[str] = []
    known = frozenset(str(one["path"]) for one in found.kept)
    moved = _Moved(known=known, old_home=old_home or str(home), home=home)
    for one in found.kept:
        copied = stage / str(one["stored"])
        copied.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = found.clear[str(one["stored"])].read_bytes()
        copied.write_bytes(moved.file(text, str(one["path"])) if _is_read(one) else text)
        copied.chmod(0o600)
    main = next((one for one in found.kept if one["setting"] == "config_file"), None)
    if main is not None:
        shutil.copyfile(stage / str(main["stored"]), stage / MAIN)
    elif (stage / MAIN).exists() and known:
        (stage / MAIN).write_bytes(moved.file((stage / MAIN).read_bytes(), f"{moved.old_home}/{MAIN}"))
    left += _complete(stage)
    told = _told(found.kept, home, with_home=main is not None)
    if told:
        with (stage / MAIN).open("a", encoding="utf-8") as file:
            file.write("\n".join(("", HEAD, *told, "")))
    return left


def recover(stage: Path, settings: Mapping[str, str]) -> None:
    """Make it recover when it starts, and to what end. It blocks."""
    for name in STALE:
        (stage / name).unlink(missing_ok=True)
    auto = stage / AUTO
    existing = auto.read_text(encoding="utf-8", errors="surrogateescape") if auto.exists() else ""
    _write(auto, written(existing, settings))
    _write(stage / SIGNAL, "")


def give(stage: Path, uid: int, gid: int) -> None:
    """Make everything the account's, links themselves and not what they lead to. It blocks."""
    for folder, folders, files in os.walk(stage):
        for name in (*folders, *files):
            os.chown(os.path.join(folder, name), uid, gid, follow_symlinks=False)  # noqa: PTH118 - thousands of them
    os.chown(stage, uid, gid)


def _is_read(one: Mapping[str, Any]) -> bool:
    """Whether the server reads it as a configuration file that may include others."""
    return one["setting"] in ("config_file", "include")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moved:
    """What lay where, and lies where now."""

    known: frozenset[str]  # files that are in the backup, from outside of the data directory
    old_home: str
    home: Path

    def file(self, content: bytes, path: str) -> bytes:
        """A configuration file whose includes lead to where those files lie now."""
        lines = content.decode("utf-8", "surrogateescape").splitlines()
        return "\n".join([*(self._line(line, path) for line in lines), ""]).encode("utf-8", "surrogateescape")

    def _line(self, line: str, path: str) -> str:
        found = INCLUDE.match(line)
        if found is None:
            return line
        meant = os.path.normpath(Path(path).parent / unquoted(found["value"]))
        now = self._now(meant)
        return f"#{line}  # not in the backup" if now is None else f"{found['head']}{quoted(now)}{found['tail']}"

    def _now(self, meant: str) -> str | None:
        if meant in self.known or any(one.startswith(f"{meant}/") for one in self.known):
            return f"{self.home}/{FOLDER}{meant}"
        if meant.startswith(f"{self.old_home}/"):
            return f"{self.home}{meant.removeprefix(self.old_home)}"
        return None


def _told(kept: Sequence[Mapping[str, Any]], home: Path, *, with_home: bool) -> list[str]:
    """The settings that name the files where they are now."""
    if not kept:
        return []
    first = [f"data_directory = {quoted(str(home))}"] if with_home else []
    own = [f"{one['setting']} = {quoted(str(home / str(one['stored'])))}" for one in kept if one["setting"] in SETTINGS]
    settings = {str(one["setting"]) for one in kept}
    for name, setting in ((RULES, "hba_file"), ("pg_ident.conf", "ident_file")):
        if with_home and setting not in settings:
            own.append(f"{setting} = {quoted(str(home / name))}")
    return [*first, *own, "external_pid_file = ''"]


def _complete(stage: Path) -> list[str]:
    """Without these files no server starts; what is to be said where they had to be made up."""
    left = []
    if not (stage / MAIN).exists():
        _write(stage / MAIN, "# The old server's configuration was not in the backup: all is at its default.\n")
        left.append(f"the server's configuration was not in the backup: write {MAIN} anew")
    if not (stage / RULES).exists():
        _write(stage / RULES, USUAL_RULES)
        if not (stage / FOLDER).exists():
            left.append(f"who may connect was not in the backup: {RULES} lets in local connections alone")
    if not (stage / "pg_ident.conf").exists():
        _write(stage / "pg_ident.conf", "")
    return left


def _write(path: Path, text: str) -> None:
    """A small file of ours alone."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
