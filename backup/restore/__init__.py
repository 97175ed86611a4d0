"""The ways back, a module each; and which of them a backup takes."""

from collections.abc import Mapping
from importlib import import_module
from typing import Final, cast

from backup.errors import BackupError
from backup.restore.contract import Restorer, Wanted
from toban.backups import BackupRecord, Manifest, Trouble

RESTORERS: Final[Mapping[str, tuple[str, str]]] = {
    "dump": ("dump", "DumpRestorer"),
    "base": ("base", "BaseRestorer"),
    "pgbackrest": ("pgbackrest", "PgBackRestRestorer"),
    "sqlite": ("sqlite", "SqliteRestorer"),
    "mariadb": ("mariadb", "MariaDbRestorer"),
    "mariadb_base": ("mariadb", "MariaDbBaseRestorer"),
    "files": ("files", "FilesRestorer"),
}
"""The engine that made a backup -> the module here and its class, imported when it is wanted."""


def restorer_of(manifest: Manifest) -> Restorer:
    """The way back of a backup."""
    if manifest.engine not in RESTORERS:
        why = f"was made by {manifest.engine or 'nobody known'}, which this version has no way back from"
        raise BackupError(f"backup {manifest.id}", why, "use a newer version", trouble=Trouble.PROGRAM)
    module, known_as = RESTORERS[manifest.engine]
    return cast("Restorer", getattr(import_module(f"backup.restore.{module}"), known_as)())


def restorer_for(record: BackupRecord, _wanted: Wanted | None = None) -> Restorer:
    """The same of a record, for callers that know already what is wanted."""
    return restorer_of(record.manifest)
