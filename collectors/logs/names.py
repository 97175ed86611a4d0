"""What rotated files of a log are called, and which of many files are: found by name without trying every pair."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from collectors.logs.position import Entry, Position

_PACKED = re.compile(r"\.(?:gz|bz2|xz|zst|lz4|Z|zip)$")
# Behind the name comes a number, a date or a word that says it is an old one: `mail.err` is no rotated `mail`, and
# `app-worker.log` no rotated `app`.
_OLD = r"[-._~](?:old|bak|backup|saved?|prev|previous|last|orig|copy|rotated)(?:[-._]?\d+)*"
_BEHIND = re.compile(rf"[-._~]\d[\w.:+-]*|(?:{_OLD})?~?")
# Before the ending a date, or a number behind a dot: `app-2.log` is a second program's.
_BETWEEN = re.compile(r"[-._]\d{4}[\d._:TZ-]*|\.\d{1,3}")
Key = tuple[int, int]


def is_rotated(name: str, file: str) -> bool:
    """Whether a rotated file of a name is called so: app.log.1, app.log-20261121.gz, app-20261121.log, app.1.log.xz."""
    whole = _PACKED.sub("", file)
    if whole.startswith(name) and _BEHIND.fullmatch(whole, len(name)):
        return True
    stem, dot, ending = name.rpartition(".")
    if not stem or not whole.startswith(stem) or not whole.endswith(dot + ending):
        return False
    return _BETWEEN.fullmatch(whole, len(stem), len(whole) - len(dot + ending)) is not None


class Names:
    """The names of some logs, to be asked whose a file is."""

    def __init__(self) -> None:
        self._by_beginning: dict[str, list[str]] = {}
        self._known: set[str] = set()

    def add(self, *names: str) -> None:
        """Some more."""
        for name in names:
            if name not in self._known:
                self._known.add(name)
                for beginning in {name, name.rpartition(".")[0]} - {""}:
                    self._by_beginning.setdefault(beginning, []).append(name)

    def of(self, file: str) -> Iterator[str]:
        """The logs that a file of this name is, or is a rotated one of."""
        told: set[str] = set()
        for end in range(1, len(file) + 1):
            for name in self._by_beginning.get(file[:end], ()):
                if name not in told and (name == file or is_rotated(name, file)):
                    told.add(name)
                    yield name


class Kin:
    """Which files are called like a log that is followed, or like a rotated one of it."""

    def __init__(self, positions: Iterable[Position], entries: Iterable[Entry]) -> None:
        self._positions, self._entries = list(positions), list(entries)
        self._keys: dict[str, set[Key]] = {}
        self._real: dict[str, str] = {}

    def are(self, position: Position, entry: Entry) -> bool:
        """Whether it may be this one, by its name."""
        if not self._keys:
            self._compare()
        return any(entry.key in self._keys.get(name, ()) for name in self._called(position))

    def _compare(self) -> None:
        """Once in a look, and only where something has moved."""
        names = Names()
        for position in self._positions:
            names.add(*self._called(position))
        for entry in self._entries:
            names.add(Path(entry.path).name, Path(os.path.realpath(entry.path)).name)
        for entry in self._entries:
            for name in names.of(Path(entry.path).name):
                self._keys.setdefault(name, set()).add(entry.key)

    def _called(self, position: Position) -> tuple[str, ...]:
        origin = position.origin
        if origin not in self._real:
            self._real[origin] = os.path.realpath(origin)
        return Path(origin).name, Path(self._real[origin]).name, Path(position.path).name


class Origins:
    """The logs that are followed, to be asked which of them a file is a rotated one of."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._names = Names()
        self._origins: dict[str, list[str]] = {}
        for origin in origins:
            self.add(origin)

    def add(self, origin: str) -> None:
        """One more."""
        name = Path(origin).name
        if origin not in self._origins.setdefault(name, []):
            self._names.add(name)
            self._origins[name].append(origin)

    def of(self, entry: Entry) -> str | None:
        """The one beside it; of what the log's own pattern does not name also one elsewhere."""
        folder, name = os.path.split(entry.path)
        found = [origin for called in self._names.of(name) for origin in self._origins[called]]
        beside = [o for o in found if folder in {os.path.split(o)[0], os.path.split(os.path.realpath(o))[0]}]
        if entry.path in beside:
            return entry.path
        return next(iter(beside if entry.wanted else [*beside, *found]), None)
