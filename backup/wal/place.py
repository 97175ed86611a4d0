"""A place for WAL: whose it is, how files appear in it (whole, synced, never over another), and its small documents.

A part of the fast path (see `command`): it imports next to nothing.
"""

from __future__ import annotations

import errno
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from backup.errors import BackupError

IDENTITY = "identity.json"
DESCRIPTION = "repository.json"  # what makes a folder a repository (see `backup.repository`)
FOLDER_MODE, FILE_MODE = 0o700, 0o600
MOST_BYTES = 64 * 1024  # of a small document of ours
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def failure(what: str, why: str, hint: str = "", trouble: str = "tool") -> BackupError:
    """An expected failure. Its class is imported only now: whoever succeeds has no use for it."""
    from backup.errors import BackupError  # noqa: PLC0415 - see above
    from toban.backups import Trouble  # noqa: PLC0415 - likewise

    return BackupError(what, why, hint, trouble=Trouble(trouble))


def disk_failure(error: OSError, what: str) -> BackupError:
    """What a file system refused, as an expected failure."""
    trouble = "space" if error.errno in _NO_ROOM else "repository"
    return failure(str(error.filename or what), error.strerror or str(error), "", trouble)


def make(place: str) -> None:
    """The place itself, in a repository that is one: the bare folder of a disk that is not mounted gets none."""
    try:
        os.stat(place)
    except FileNotFoundError:
        target = os.path.dirname(place)
        repository = os.path.dirname(target)
        if not os.path.exists(f"{repository}/{DESCRIPTION}"):
            hint = "is its disk mounted? A new one is made by the daemon, and by `toban backup run`"
            raise failure(repository, f"is no repository: it has no {DESCRIPTION}", hint, "repository") from None
        for folder in (target, place):
            try:
                os.mkdir(folder, FOLDER_MODE)
            except FileExistsError:
                continue
            sync_folder(os.path.dirname(folder))


# --- files ------------------------------------------------------------------------------------------------------------


def appear(unfinished: str, name: str) -> None:
    """Give a file that is whole and synced its name. Never over another: FileExistsError."""
    try:
        os.link(unfinished, name)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from None
        os.rename(unfinished, name)
    discard(unfinished)
    sync_folder(os.path.dirname(name))


def discard(path: str) -> None:
    """Away with what nobody needs; it may be gone already."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def sync_folder(path: str) -> None:
    """Make what has happened to the names in a folder last."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- documents --------------------------------------------------------------------------------------------------------


def owner(place: str) -> tuple[str, int] | None:
    """The system identifier of the server whose WAL is there, and its segments' size; None while it is nobody's."""
    document = read_document(f"{place}/{IDENTITY}")
    if document is None:
        return None
    try:
        return str(document["system_identifier"]), int(document["segment_bytes"])
    except (KeyError, ValueError, TypeError):
        hint = "move it away: the next segment that comes says whose this is"
        raise failure(f"{place}/{IDENTITY}", "is damaged: it names no server", hint, "damaged") from None


def claim(place: str, system_identifier: str, segment_bytes: int) -> tuple[str, int]:
    """Make a place that of a server if it is nobody's yet; whose it is then."""
    there = owner(place)
    if there is None:
        document = {"system_identifier": system_identifier, "segment_bytes": segment_bytes}
        write_document(f"{place}/{IDENTITY}", document, once=True)
        sync_folder(os.path.dirname(place))  # whoever made these folders may have been cut off before they lasted
        sync_folder(os.path.dirname(os.path.dirname(place)))
        there = owner(place)
    return there or (system_identifier, segment_bytes)


def read_document(path: str) -> dict[str, Any] | None:
    """A small JSON file of ours; None where there is none, a refusal where it is none of ours."""
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES)
    except FileNotFoundError:
        return None
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise failure(path, "is damaged: it is no JSON with keys", "", "damaged")
    return document


def renew_document(path: str, document: Mapping[str, Any]) -> None:
    """Write it where it is not there as it is; a damaged one is written over."""
    from toban.errors import TobanError  # noqa: PLC0415 - late: no push and no fetch writes one

    try:
        there = read_document(path)
    except TobanError:
        there = None
    if there != document:
        write_document(path, document)


def write_document(path: str, document: Mapping[str, Any], *, once: bool = False) -> None:
    """Write a small JSON file whole or not at all; with `once` what is there stays."""
    unfinished = f"{path}.{os.getpid()}.new"
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        try:
            os.write(handle, json.dumps(document, sort_keys=True).encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        if once:
            appear(unfinished, path)
        else:
            os.rename(unfinished, path)
            sync_folder(os.path.dirname(path))
    except FileExistsError:
        pass  # somebody was quicker, and it is theirs that counts
    finally:
        discard(unfinished)
