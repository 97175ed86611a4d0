"""What a repository says of itself: that it is one, which one, and how to get data out of it without Toban."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from backup.errors import BackupError
from backup.repository.durable import TEMPORARY, appear_durably, make_folders, unusable, write_durably
from backup.repository.forms import MOST_BYTES
from backup.repository.layout import (
    ATTEMPTS,
    DESCRIPTION,
    DRILLS,
    FOLDER_MODE,
    FSCK,
    LOCKS,
    MAKING,
    OURS,
    below,
)
from backup.repository.listing import folders
from toban.backups import Trouble
from toban.clock import moment

FORMAT: Final = 1
BY_HAND: Final = (
    "A folder TARGET/METHOD/ID is one backup: manifest.json names each file with its size and SHA-256 (sha256sum).",
    "What ends in .partial is not whole. marks.json says what was found when it was verified and proved.",
    "*.age: age --decrypt -i IDENTITY FILE.age > FILE. *.gpg: gpg --decrypt FILE.gpg > FILE.",
    "*.zst: zstd -d FILE.zst. *.lz4: lz4 -d FILE.lz4. *.gz: gzip -d FILE.gz.",
    "dump/*.dump and folders with a toc.dat: pg_restore --create --dbname=postgres FILE. *.sql: psql -f FILE.",
    "base: unpack base.tar into an empty data directory of mode 0700, and pg_wal.tar into its pg_wal;",
    "touch recovery.signal, set restore_command to copy from TARGET/wal, start the server of the same major version.",
    "wal/: WAL segments by name, perhaps compressed and sealed as above.",
    "With Toban: toban backup list --repository DIR, toban restore ID --repository DIR.",
)


def describe(root: Path, now: float, before: str = "") -> str:
    """Make a folder a repository, or see that it is one that can be written to; its identity.

    One that has lost its description has the identity again that it had `before`, where somebody remembers that.
    """
    make_folders(root)
    try:
        identity = identity_of(root)
    except BackupError as error:
        if error.trouble is not Trouble.MISSING or not _is_ours(root):
            raise
        if not any(root.iterdir()):
            root.chmod(FOLDER_MODE)
        identity = _begun(root, now, before)
    for name in (LOCKS, MAKING, ATTEMPTS, DRILLS):
        make_folders(below(root, name))
    write_durably(below(root, "writable"), b"")
    return identity


def _begun(root: Path, now: float, before: str) -> str:
    """Describe it. Of two that do so at the same moment the first one's word holds, and the second takes it."""
    path = root / DESCRIPTION
    _set_aside(path)
    with suppress(FileExistsError):
        appear_durably(path, described(before or str(uuid4()), now))
    return identity_of(root)


def identity_of(root: Path) -> str:
    """Which repository this is; a BackupError that is `missing` where the folder does not say."""
    path = root / DESCRIPTION
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(MOST_BYTES))
    except FileNotFoundError:
        if not root.is_dir():
            why = "there is no such folder"
            raise BackupError(str(root), why, "is it mounted?", trouble=Trouble.REPOSITORY) from None
        why = f"is no repository: it has no {DESCRIPTION}"
        raise BackupError(str(root), why, "is it mounted?", trouble=Trouble.MISSING) from None
    except ValueError as error:
        raise BackupError(str(path), f"is no JSON: {error}", trouble=Trouble.MISSING) from None
    except OSError as error:
        raise unusable(root, error) from error
    return _identity(path, said)


def looked_at(root: Path) -> str:
    """The identity of a repository that is only read: one whose description is lost is read all the same."""
    try:
        return identity_of(root)
    except BackupError as error:
        if error.trouble is Trouble.MISSING and any(folders(root)):
            return ""
        error.trouble = Trouble.REPOSITORY
        error.exit_status = 3
        raise


def _set_aside(path: Path) -> None:
    """What is broken stays, under another name; what somebody else has mended meanwhile is not."""
    with suppress(FileNotFoundError):
        try:
            identity_of(path.parent)
        except BackupError as error:
            if error.trouble is not Trouble.MISSING:
                raise
            path.rename(path.with_name(f"{path.name}.broken-{uuid4().hex[:8]}"))


def _identity(path: Path, said: Any) -> str:  # noqa: ANN401 - whatever JSON held
    if not isinstance(said, dict) or not isinstance(said.get("identity"), str):
        raise BackupError(str(path), "does not describe a repository", trouble=Trouble.MISSING)
    if not isinstance(said.get("format"), int) or said["format"] > FORMAT:
        why = f"is of format {said.get('format')}, and this version of Toban knows {FORMAT}"
        raise BackupError(str(path), why, "use the Toban that made it, or a newer one", trouble=Trouble.REPOSITORY)
    identity: str = said["identity"]
    return identity


def _is_ours(root: Path) -> bool:
    """Whether a folder without a description may become a repository: an empty one, or one that holds backups."""
    names = {path.name for path in root.iterdir() if not path.name.startswith(TEMPORARY)} - {FSCK, OURS, DESCRIPTION}
    if not names or any(folders(root)):
        return True
    why = f"holds other things ({', '.join(sorted(names)[:3])}) and is no repository"
    hint = "name an empty folder, or one that is not there yet"
    raise BackupError(str(root), why, hint, trouble=Trouble.CONFIGURATION)


def described(identity: str, now: float) -> bytes:
    """The description as a file."""
    said = {
        "format": FORMAT,
        "what": "a repository of backups made by Toban",
        "identity": identity,
        "created": moment(now).isoformat(timespec="seconds"),
        "restore_by_hand": BY_HAND,
    }
    return (json.dumps(said, ensure_ascii=False, indent=1) + "\n").encode()
