"""Closing files to everybody but those who hold a key: by age or GPG, whose programs do it. Never a cipher of ours."""

import asyncio
from pathlib import Path
from typing import Final

from backup.children import Children, Command
from backup.errors import BackupError
from backup.programs import Programs
from backup.settings import Encryption
from toban.backups import Trouble

SUFFIXES: Final = {"age": ".age", "gpg": ".gpg"}
TRY_SECONDS: Final = 60.0
SEAL_SECONDS: Final = 24 * 3600.0  # for one file; the job's own limit is shorter


def suffix(method: str | None) -> str:
    """What stands behind the name of a sealed file."""
    return SUFFIXES.get(method or "", "")


def sealing(encryption: Encryption, programs: Programs) -> Command:
    """A program that reads what is in the clear, and writes it sealed."""
    if encryption.method == "age":
        recipients = [word for recipient in encryption.recipients for word in ("--recipient", recipient)]
        return Command(words=(str(programs.other("age")), "--encrypt", *recipients))
    recipients = [word for recipient in encryption.recipients for word in ("--recipient", recipient)]
    plain = ("--compress-algo", "none", "--no-encrypt-to")  # it is compressed already, and for those named alone
    trusted = ("--trust-model", "always", "--no-auto-key-locate")  # they are named by us; nobody else is asked
    return Command(words=(*_gpg(encryption, programs), *plain, *trusted, *recipients, "--encrypt"))


def unsealing(method: str, encryption: Encryption | None, programs: Programs) -> Command:
    """A program that reads what is sealed, and writes it in the clear."""
    if method == "age":
        if encryption is None or encryption.identity is None:
            hint = "name age's identity file under backups.encryption.identity"
            raise BackupError("age", "no identity to open the backup with", hint, trouble=Trouble.CONFIGURATION)
        words = (str(programs.other("age")), "--decrypt", "--identity", str(encryption.identity))
        return Command(words=words)
    if method == "gpg":
        return Command(words=(*_gpg(encryption, programs), "--decrypt"))
    what = f"sealed by {method}"
    raise BackupError(what, "this version of Toban does not know how to open that", trouble=Trouble.CONFIGURATION)


async def seal(path: Path, encryption: Encryption, programs: Programs, children: Children) -> Path:
    """A file's sealed form beside it; the one in the clear is gone then."""
    sealed = path.with_name(path.name + suffix(encryption.method))
    output = await children.run(sealing(encryption, programs), source=path, into=sealed, within_seconds=SEAL_SECONDS)
    output.checked(f"sealing {path.name}", "are the recipients under backups.encryption right?")
    await asyncio.to_thread(path.unlink)
    return sealed


async def try_out(encryption: Encryption, programs: Programs, children: Children) -> None:
    """See that the program is there and takes the recipients, before hours are spent on what cannot be sealed."""
    output = await children.run(sealing(encryption, programs), within_seconds=TRY_SECONDS)
    output.checked(f"sealing by {encryption.method}", "are the recipients under backups.encryption right?")


def _gpg(encryption: Encryption | None, programs: Programs) -> tuple[str, ...]:
    home = encryption.home if encryption is not None else None
    words = (str(programs.other("gpg")), "--batch", "--no-tty", "--yes", "--quiet")
    return words if home is None else (*words, "--homedir", str(home))
