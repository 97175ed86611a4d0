"""How WAL is written into a place: compressed and sealed by which programs. Nothing of it is secret.

A part of the fast path (see `command`): it imports next to nothing.
"""

from __future__ import annotations

import os

from backup.wal.place import failure, make, read_document, renew_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

MANNER = "manner.json"
_BY_PREFERENCE = ("zstd", "lz4", "gzip")
_LEVEL = "1"  # WAL waits for nobody: what more a higher one would save is not worth its time
_OPTIONS = {"zstd": ("--single-thread",)}  # for one segment its threads cost more than they bring: half of its time
_SEARCHED = ("/usr/local/bin", "/usr/bin", "/bin")
_PACKAGES = {"gpg": "gnupg"}


class Manner:
    """How what comes into a place is written, and read again."""

    __slots__ = ("compress", "home", "identity", "programs", "recipients", "seal")

    def __init__(
        self,
        *,
        compress: str = "",
        seal: str = "",
        recipients: Iterable[str] = (),
        identity: str = "",
        home: str = "",
        programs: Iterable[str] = (),
    ) -> None:
        self.compress = compress
        """As in a job: `none`, `zstd:1`; empty for the best that is on this machine."""
        self.seal = seal
        """`age`, `gpg` or nothing."""
        self.recipients = tuple(recipients)
        self.identity = identity
        """age's identity file, by its path."""
        self.home = home
        """GPG's home."""
        self.programs = tuple(programs)
        """Folders to look for programs in first."""

    def document(self) -> dict[str, Any]:
        """As JSON carries it."""
        listed = {"recipients": list(self.recipients), "programs": list(self.programs)}
        return {name: getattr(self, name) for name in self.__slots__} | listed

    @property
    def compression(self) -> tuple[str, str]:
        """Which, and how hard: `("zstd", "1")`; twice nothing for none."""
        name, _, level = self.compress.partition(":")
        if name == "none":
            return "", ""
        if name not in ("", *_BY_PREFERENCE) or not (level or _LEVEL).isdigit():
            why = f"{self.compress!r} is none of none, gzip, lz4, zstd, with a level as in zstd:3"
            raise failure("compress", why, "", "configuration")
        name = name or next((known for known in _BY_PREFERENCE if self._found(known)), "")
        return name, level or _LEVEL

    def packing(self) -> list[list[str]]:
        """The programs that what comes in is piped through."""
        name, level = self.compression
        words = [[self._program(name), f"-{level}", "-c", "-q", *_OPTIONS.get(name, ())]] if name else []
        if self.seal == "age":
            words.append([self._program("age"), "--encrypt", *_each("-r", self.recipients)])
        elif self.seal == "gpg":
            words.append([*self._gpg(), "--trust-model", "always", *_each("-r", self.recipients), "--encrypt"])
        return words

    def unpacking(self, compression: str, seal: str) -> list[list[str]]:
        """The programs that it is piped through on its way out."""
        words = []
        if seal == "age":
            if not self.identity:
                hint = "set backups.encryption.identity, or give --identity FILE"
                raise failure("age", "nobody said where its identity file is", hint, "configuration")
            words.append([self._program("age"), "--decrypt", "-i", self.identity])
        elif seal == "gpg":
            words.append([*self._gpg(), "--decrypt"])
        if compression:
            words.append([self._program(compression), "-d", "-c", "-q"])
        return words

    def _gpg(self) -> list[str]:
        home = ["--homedir", self.home] if self.home else []
        return [self._program("gpg"), "--batch", "--no-tty", "--quiet", "--no-auto-key-locate", *home]

    def _program(self, name: str) -> str:
        found = self._found(name)
        if not found:
            raise failure(name, "is not on this machine", f"apt install {_PACKAGES.get(name, name)}", "program")
        return found

    def _found(self, name: str) -> str:
        for folder in (*self.programs, *os.environ.get("PATH", "").split(":"), *_SEARCHED):
            candidate = f"{folder}/{name}"
            if folder and os.access(candidate, os.X_OK):
                return candidate
        return ""


def manner_of(document: Mapping[str, Any]) -> Manner:
    """What `document` gave, read back; anything unknown in it is another version's."""
    return Manner(**{name: document[name] for name in Manner.__slots__ if name in document})


def known_manner(place: str) -> Manner:
    """What whoever read the whole configuration left in a place; else the usual one."""
    return manner_of(read_document(f"{place}/{MANNER}") or {})


def keep_manner(place: str, manner: Manner) -> None:
    """Leave it there, for pushes and fetches that are told of a repository and of no configuration."""
    make(place)
    renew_document(f"{place}/{MANNER}", manner.document())


def _each(option: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option, value)]
