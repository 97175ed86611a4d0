"""`toban wal push|fetch` the long way round: where the quick one found no digest it could trust."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backup.wal.command import carry_out, faulty, said
from backup.wal.digest import Known, place_of
from backup.wal.manner import Manner, known_manner
from daemon.backups.archiving import archiving, leave_digest
from daemon.configuration import load
from daemon.configuration.problems import Problems
from toban.errors import ConfigurationError, TobanError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What is to be carried, and between where."""

    action: str  # push or fetch
    operands: tuple[str, ...]
    config: Path | None = None
    target: str | None = None
    repository: Path | None = None
    identity: Path | None = None
    compress: str | None = None
    partial: bool = False
    accept_gap: bool = False


def answer(carried: Carried) -> int:
    """Do it. Whatever goes wrong before, PostgreSQL must not take it for the end of the WAL."""
    try:
        place, manner = _where(carried)
    except Problems as error:  # on one line, as everything that PostgreSQL puts into its log
        return said(ConfigurationError(error.what, error.why), carried.action)
    except TobanError as error:
        return said(error, carried.action)
    except Exception as error:  # noqa: BLE001 - the last stop before PostgreSQL takes a fault for "not there"
        return faulty(error, carried.action)
    manner.identity = str(carried.identity.absolute()) if carried.identity is not None else manner.identity
    manner.compress = carried.compress or manner.compress
    flags = {"--partial"} if carried.partial else set()
    flags |= {"--accept-gap"} if carried.accept_gap else set()
    return carry_out(carried.action, carried.operands, place, manner, flags=flags)


def _where(carried: Carried) -> tuple[str, Manner]:
    if carried.repository is not None:
        if carried.target is None:
            raise UsageError("--target", "is missing: whose WAL is it?", _there(_targets_in(carried.repository)))
        place = place_of(carried.repository.absolute(), carried.target)
        return place, known_manner(place)
    loaded = load(carried.config, os.environ)
    found = archiving(loaded.configuration)
    if found is None:
        raise ConfigurationError("backups.repository", "is not configured", "name it there, or say --repository DIR")
    leave_digest(loaded)
    target = _target(carried.target, found)
    return found.place(target), found.manners[target]


def _target(named: str | None, found: Known) -> str:
    target = named or found.usual
    if target is None:
        raise UsageError("--target", "is missing: whose WAL is it?", _there(tuple(found.manners)))
    if target not in found.manners:
        raise UsageError("--target", f"no WAL is kept of {target}", _there(tuple(found.manners)))
    return target


def _targets_in(repository: Path) -> Sequence[str]:
    try:
        return sorted(path.parent.name for path in repository.glob("[!.]*/wal"))
    except OSError:
        return ()


def _there(targets: Sequence[str]) -> str:
    return f"there is: {', '.join(targets)}" if targets else "docs/wal.md says how"
