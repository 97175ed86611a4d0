"""Which permissions of a file are wrong: what was said to be right, and else what is wrong on every machine."""

import os
import pwd
import stat
from fnmatch import fnmatchcase

from collectors.host.files.walking import File
from toban.findings import Finding, Severity
from toban.printable import printable

ROOT = 0
OWNER_ONLY = 0o600
GROUP_OF_ROOT = 0o640  # a key of root's that a group may read, as PostgreSQL takes it
KEYS = ("*.key", "*-key.pem", "*_key.pem", "privkey*.pem", "ssh_host_*_key", "*.p12", "*.pfx", "*.jks")
PERSONAL = ("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", ".pgpass", ".my.cnf", ".netrc", "*.keytab")


def is_key(name: str) -> bool:
    """Whether a file of this name is one that holds a secret by its nature."""
    return any(fnmatchcase(name, pattern) for pattern in (*KEYS, *PERSONAL))


def wrong_permissions(file: File, *, mode: int | None, owner: str | None) -> Finding | None:
    """The first thing that is wrong with a file's mode or owner; `mode` is the most that is allowed."""
    if owner is not None and owner not in (str(file.owner), account_name(file.owner)):
        return _finding(file, Severity.WARNING, "file_owner", present=account_name(file.owner), wanted=owner)
    if mode is not None and not file.is_folder and file.mode & ~mode:
        return _loose(file, mode)
    name = os.path.basename(file.path)  # noqa: PTH119 - a text, of which there are millions
    if mode is None and not file.is_folder and is_key(name):
        rooted = file.owner == ROOT and not any(fnmatchcase(name, pattern) for pattern in PERSONAL)
        most = GROUP_OF_ROOT if rooted else OWNER_ONLY
        if file.mode & ~most & 0o077:
            return _loose(file, most)
    if file.mode & stat.S_IWOTH and not (file.is_folder and file.mode & stat.S_ISVTX):
        return _finding(file, Severity.CRITICAL, "file_writable_by_all", present=f"{file.mode:04o}")
    return None


def account_name(number: int) -> str:
    """Who an owner is; the number where nobody is called so."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _loose(file: File, most: int) -> Finding:
    severity = Severity.CRITICAL if file.mode & 0o007 & ~most else Severity.WARNING
    return _finding(file, severity, "file_mode", present=f"{file.mode:04o}", wanted=f"{most:04o}")


def _finding(file: File, severity: Severity, what: str, **values: str) -> Finding:
    return Finding(severity=severity, subject=printable(file.path), what=what, values=values)
