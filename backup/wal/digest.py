"""A small digest of the configuration: what `toban wal push` needs of it, without reading the configuration.

Whoever has loaded the whole configuration leaves it beside the state; it holds as long as no file of the
configuration has changed. There is no secret in it.

A part of the fast path (see `command`): it imports next to nothing.
"""

from __future__ import annotations

import os

from backup.wal.manner import Manner, manner_of
from backup.wal.place import read_document, renew_document
from toban.errors import TobanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FORMAT = 1
SUFFIX = ".wal.json"
SERVICE_STATE = "/var/lib/toban/state"
_CONFIGURATIONS = ("config.yaml", "/etc/toban/config.yaml")
_MOST_LINES_BYTES = 1024 * 1024


class Known:
    """What the digest says."""

    __slots__ = ("manners", "repository", "usual")

    def __init__(self, *, repository: str, usual: str | None, manners: Mapping[str, Manner]) -> None:
        self.repository = repository
        self.usual = usual
        """The target that is meant where none is named."""
        self.manners = dict(manners)
        """By target."""

    def place(self, target: str) -> str:
        """Where the WAL of a target lies."""
        return place_of(self.repository, target)


def place_of(repository: str | os.PathLike[str], target: str) -> str:
    """Where the WAL of a target lies in a repository."""
    return f"{os.fspath(repository)}/{target}/wal"


def keep(
    state: str | os.PathLike[str], known: Known, *, configuration: str | os.PathLike[str], files: Iterable[object]
) -> None:
    """Leave the digest beside the state file, for the configuration that these files make up."""
    main = os.path.abspath(configuration)
    document = {
        "format": FORMAT,
        "configuration": main,
        "files": [[path, *_sign(path)] for path in (os.path.abspath(str(file)) for file in files)],
        "fragments": _sign(_fragments(main)),
        "repository": known.repository,
        "usual": known.usual,
        "targets": {target: manner.document() for target, manner in known.manners.items()},
    }
    renew_document(_stem(os.fspath(state)) + SUFFIX, document)


def known(words_configuration: str | None, environment: Mapping[str, str]) -> Known | None:
    """What is known of the configuration that a command means; None when it must be loaded as a whole."""
    main = os.path.abspath(_chosen(words_configuration, environment))
    for stem in _states(main, environment):
        try:
            document = read_document(stem + SUFFIX)
        except (OSError, TobanError):
            continue
        if document is not None and document.get("configuration") == main and _holds(document):
            manners = {target: manner_of(written) for target, written in document["targets"].items()}
            return Known(repository=document["repository"], usual=document["usual"], manners=manners)
    return None


def _holds(document: Mapping[str, object]) -> bool:
    """Whether nothing of the configuration has changed since."""
    files = document.get("files")
    if document.get("format") != FORMAT or not isinstance(files, list):
        return False
    fragments = _sign(_fragments(str(document["configuration"])))
    return document.get("fragments") == fragments and all(file[1:] == _sign(file[0]) for file in files)


def _sign(path: str) -> list[int]:
    """What changes when a file does; nothing where there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return []
    return [status.st_mtime_ns, status.st_size, status.st_ino]


def _fragments(main: str) -> str:
    return os.path.join(os.path.dirname(main), "config.d")


def _chosen(named: str | None, environment: Mapping[str, str]) -> str:
    """As the whole configuration is chosen: the one named, the environment's, the first usual one that is there."""
    named = named or environment.get("TOBAN_CONFIG")
    return named or next((path for path in _CONFIGURATIONS if os.path.lexists(path)), _CONFIGURATIONS[0])


def _states(main: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Where the state may lie: where the file says, else where it lies when no file does."""
    written = _written(main)
    if written:
        yield _stem(written)
        return
    given = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if given.startswith("/"):
        yield f"{given}/state"
        return
    folder = environment.get("XDG_STATE_HOME", "")
    if not folder.startswith("/"):
        folder = os.path.join(environment.get("HOME", ""), ".local", "state")
    yield os.path.join("/", folder, "toban", "state")
    yield SERVICE_STATE


def _written(main: str) -> str:
    """What a line `state: sqlite:///…` says: enough to find the digest, whose own words then decide."""
    try:
        with open(main, "rb") as file:
            lines = file.read(_MOST_LINES_BYTES).splitlines()
    except OSError:  # whoever archives may not read the configuration, and need not
        return ""
    for line in lines:
        if line.startswith(b"state:"):
            value = line.partition(b":")[2].partition(b" #")[0].strip().strip(b"'\"")
            return value.removeprefix(b"sqlite://").decode(errors="replace")
    return ""


def _stem(state: str) -> str:
    return os.path.splitext(state)[0]
