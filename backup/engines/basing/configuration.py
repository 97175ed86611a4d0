"""The server's configuration that lies outside of its data directory, as Debian has it: found by its own words, copied.

A base backup holds the data directory alone. What cannot be read here is said, not passed over.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = "configuration"
MOST_FILES: Final = 200
MOST_BYTES: Final = 4 * 1024 * 1024  # of one file
DEEPEST: Final = 10
INCLUDE = re.compile(
    r"^(?P<head>\s*(?P<word>include|include_if_exists|include_dir)\s*(?:=\s*|\s+))"
    r"(?P<value>'(?:[^']|'')*'|[^\s'#]+)(?P<tail>.*)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One file that lay outside: which setting named it (or `include`), where it was, where it lies in the backup."""

    setting: str
    path: str
    stored: str


def keep(files: Mapping[str, str], *, here: bool, place: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Copy what lies outside into `place/configuration`; what was kept, and what to say. It blocks."""
    if "data_directory" not in files or "config_file" not in files:
        return [], ["where the configuration lies is not known to this role: GRANT pg_read_all_settings to it"]
    outside = list(_outside(files))
    if outside and not here:
        listed = ", ".join(sorted(path for _, path in outside))
        return [], [f"configuration outside of the data directory is on another machine and not included: {listed}"]
    kept: list[Kept] = []
    notes: list[str] = []
    for setting, path in outside[:MOST_FILES]:
        why = _copy(Path(path), place / _stored(path))
        if why:
            notes.append(f"{path} is not included: {why}")
        else:
            kept.append(Kept(setting=setting, path=path, stored=_stored(path)))
    return [asdict(one) for one in kept], notes


def included(text: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """What a configuration file includes: by which word, and the absolute path."""
    for line in text.splitlines():
        found = INCLUDE.match(line)
        if found is not None:
            yield found["word"].lower(), folder / unquoted(found["value"])


def unquoted(value: str) -> str:
    """A value as a configuration file has it, without its quotes."""
    return value[1:-1].replace("''", "'") if value.startswith("'") else value


def _outside(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each file once, with what named it."""
    data_dir = os.path.realpath(files["data_directory"])
    seen: set[str] = set()
    named = [(setting, Path(path)) for setting, path in files.items() if setting != "data_directory"]
    everything = [(setting, Path(data_dir) / path) for setting, path in named]
    everything += [("include", path) for path in _included_by(Path(files["config_file"]), 0)]
    for setting, path in everything:
        written = os.path.normpath(path)
        if written not in seen and not os.path.realpath(written).startswith(f"{data_dir}/"):
            seen.add(written)
            yield setting, written


def _included_by(path: Path, depth: int) -> Iterator[Path]:
    if depth > DEEPEST:
        return
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            text = file.read(MOST_BYTES)
    except OSError:  # said of the file itself, where it lies outside
        return
    for word, found in included(text, path.parent):
        members = sorted(found.glob("[!.]*.conf")) if word == "include_dir" else [found]
        for member in members[:MOST_FILES]:
            if word != "include_if_exists" or member.exists():
                yield member
                yield from _included_by(member, depth + 1)


def _stored(path: str) -> str:
    return FOLDER + path


def _copy(path: Path, copied: Path) -> str:
    """Why it could not be copied; empty where it was."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    if len(content) > MOST_BYTES:
        return f"it is larger than {MOST_BYTES} bytes"
    copied.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(copied, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
    return ""
