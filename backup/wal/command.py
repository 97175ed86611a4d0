"""`toban wal push PATH`, `toban wal fetch NAME DEST`, as PostgreSQL calls them: quick to start, exact in how they end.

PostgreSQL starts one of these for each segment. The whole command line would cost it half a second each time, so these
two are answered here, with next to nothing imported; whatever is unusual is left to the ordinary command.

How they end: a push 0 when it is safe, else at most 125, since PostgreSQL counts no failure above that. A fetch 0 when
it is there, 1 when it is not there, else 126: PostgreSQL then stops, where it would else be promoted.
"""

from __future__ import annotations

import os
import sys

from backup.wal.digest import known, place_of
from backup.wal.manner import known_manner
from backup.wal.place import disk_failure
from toban.errors import TobanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backup.wal.manner import Manner

FAILED, MISSING, ABORT = 1, 1, 126
HIGHEST_OF_PUSH = 125
_WITH_VALUE = {
    "-c": "configuration",
    "--config": "configuration",
    "--lang": "language",
    "--target": "target",
    "--repository": "repository",
    "--identity": "identity",
    "--compress": "compress",
}
_FLAGS = ("--partial", "--accept-gap")
_OPERANDS = {"push": 1, "fetch": 2}
_STANDBY, _OWN = "standby.signal", "pg_wal"  # in the data directory, which is where PostgreSQL starts us


class Words:
    """What the command line says."""

    def __init__(self) -> None:
        self.options: dict[str, str] = {}
        self.flags: set[str] = set()
        self.operands: list[str] = []

    @property
    def action(self) -> str:
        """`push` or `fetch`."""
        return self.operands[1]


def answer(words: Sequence[str], environment: Mapping[str, str]) -> int | None:
    """Do what the words say, and how it ended; None for whatever the ordinary command has to look at."""
    read = _read(words)
    if read is None:
        return None
    try:
        where = _where(read, environment)
    except TobanError as error:  # a digest or a manner that is damaged
        return said(error, read.action)
    except OSError as error:
        return said(disk_failure(error, read.options.get("repository", "")), read.action)
    if where is None:
        return None
    return carry_out(read.action, read.operands[2:], *where, flags=read.flags)


def carry_out(
    action: str, operands: Sequence[str], place: str, manner: Manner, *, flags: set[str] | frozenset[str] = frozenset()
) -> int:
    """Push or fetch, say on stderr what went wrong, and give the exit status."""
    try:
        if action == "push":
            from backup.wal.pushing import push  # noqa: PLC0415 - whoever pushes does not fetch

            push(operands[0], place, manner)
            return 0
        from backup.wal.fetching import fetch  # noqa: PLC0415 - likewise

        own = os.path.exists(f"{_OWN}/{operands[0]}")  # a restored backup brings the WAL that it needs itself
        partial = "--partial" in flags and not own
        accept_gap = "--accept-gap" in flags or own or os.path.exists(_STANDBY)  # which waits for it
        there = fetch(operands[0], operands[1], place, manner, partial=partial, accept_gap=accept_gap)
    except TobanError as error:
        return said(error, action)
    except Exception as error:  # noqa: BLE001 - the last stop: PostgreSQL must never take a fault for "not there"
        return faulty(error, action)
    return 0 if there else MISSING


def faulty(error: Exception, action: str) -> int:
    """Say what nobody expected, in one line; the exit status."""
    from toban.secrets import blot  # noqa: PLC0415 - late: it would cost every segment its start

    line = f"toban: internal fault: {type(error).__name__}: {blot(str(error))}"
    print(line, file=sys.stderr)  # noqa: T201 - for its log
    return FAILED if action == "push" else ABORT


def said(error: TobanError, action: str) -> int:
    """Say what was expected to fail, in one line; the exit status."""
    print(error.line, file=sys.stderr)  # noqa: T201 - PostgreSQL keeps it in its log
    return min(error.exit_status, HIGHEST_OF_PUSH) if action == "push" else ABORT


def restore_command(
    repository: str | os.PathLike[str],
    target: str,
    *,
    identity: str | os.PathLike[str] | None = None,
    partial: bool = False,
    accept_gap: bool = False,
) -> str:
    """The setting of PostgreSQL's that fetches from a repository with no configuration at all."""
    words = ["wal", "fetch", "--repository", os.path.abspath(repository), "--target", target]
    words += ["--identity", os.path.abspath(identity)] if identity is not None else []
    words += ["--partial"] if partial else []
    words += ["--accept-gap"] if accept_gap else []
    return f"{_program(words)} %f %p"


def archive_command(repository: str | os.PathLike[str], target: str) -> str:
    """The setting of PostgreSQL's that pushes into a repository with no configuration at all."""
    return f"{_program(['wal', 'push', '--repository', os.path.abspath(repository), '--target', target])} %p"


def _program(words: Sequence[str]) -> str:
    """As a shell reads it, and as PostgreSQL does before, to which % is a sign."""
    quoted = ["'" + word.replace("'", "'\"'\"'") + "'" for word in (sys.executable, "-m", "daemon", *words)]
    return " ".join(quoted).replace("%", "%%")


def _read(words: Sequence[str]) -> Words | None:
    """The words taken apart; None where one of them is not known here."""
    found = Words()
    left = list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        if name in _WITH_VALUE and equals and name.startswith("--"):
            found.options[_WITH_VALUE[name]] = value
        elif word in _WITH_VALUE and left:
            found.options[_WITH_VALUE[word]] = left.pop(0)
        elif word in _FLAGS:
            found.flags.add(word)
        elif word.startswith("-"):
            return None
        else:
            found.operands.append(word)
    if len(found.operands) < 2 or found.operands[0] != "wal":  # noqa: PLR2004 - `wal` and what to do
        return None
    wanted = _OPERANDS.get(found.action)
    return found if wanted is not None and len(found.operands) == wanted + 2 else None


def _where(read: Words, environment: Mapping[str, str]) -> tuple[str, Manner] | None:
    """The place that is meant and its manner; None where only the whole configuration can tell."""
    repository, target = read.options.get("repository"), read.options.get("target")
    if repository is not None and target is not None:
        place = place_of(os.path.abspath(repository), target)
        manner = known_manner(place)
    else:
        digest = known(read.options.get("configuration"), environment)
        target = target or (digest.usual if digest is not None else None)
        if repository is not None or digest is None or target is None or target not in digest.manners:
            return None
        place, manner = digest.place(target), digest.manners[target]
    manner.identity = read.options.get("identity", manner.identity)
    manner.compress = read.options.get("compress", manner.compress)
    return place, manner
