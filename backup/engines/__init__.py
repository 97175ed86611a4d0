"""The ways of making backups, a module each; and which of them a job wants, or has made a backup."""

from dataclasses import dataclass
from importlib import import_module
from typing import Final, cast

from backup.engines.contract import Engine, Origin
from backup.errors import BackupError
from backup.settings import Job
from toban.backups import Manifest, Method, Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One engine by its place: it is imported when it is wanted, so that `wal push` starts quickly."""

    name: str
    module: str
    known_as: str  # the class in the module
    method: Method
    kinds: frozenset[str]
    asked_for: bool = False  # only where a job names it

    def made(self) -> Engine:
        """It, imported."""
        return cast("Engine", getattr(import_module(f"backup.engines.{self.module}"), self.known_as)())


ENGINES: Final = (
    Listed(name="dump", module="dump", known_as="Dump", method=Method.DUMP, kinds=frozenset({"postgresql"})),
    Listed(name="base", module="base", known_as="Base", method=Method.BASE, kinds=frozenset({"postgresql"})),
    Listed(
        name="pgbackrest",
        module="pgbackrest",
        known_as="PgBackRest",
        method=Method.BASE,
        kinds=frozenset({"postgresql"}),
        asked_for=True,
    ),
    Listed(name="sqlite", module="sqlite", known_as="Sqlite", method=Method.DUMP, kinds=frozenset({"sqlite"})),
    Listed(name="mariadb", module="mariadb", known_as="MariaDb", method=Method.DUMP, kinds=frozenset({"mariadb"})),
    Listed(
        name="mariadb_base",
        module="mariadb_base",
        known_as="MariaDbBase",
        method=Method.BASE,
        kinds=frozenset({"mariadb"}),
    ),
    Listed(name="files", module="files", known_as="Files", method=Method.FILES, kinds=frozenset({"host"})),
)


def engine_for(job: Job, origin: Origin) -> Engine:
    """Who makes the backups of a job."""
    for listed in ENGINES:
        fits = listed.method is job.method and origin.kind in listed.kinds
        if fits and (listed.name == job.engine if job.engine is not None else not listed.asked_for):
            return listed.made()
    what = job.engine or f"a {job.method}"
    why = f"{what} cannot be made of {origin.name}, which is of kind {origin.kind}"
    raise BackupError(f"backup {job.name}", why, "toban config check", trouble=Trouble.CONFIGURATION)


def engine_named(name: str) -> Engine:
    """An engine by the name that a backup's manifest has."""
    for listed in ENGINES:
        if listed.name == name:
            return listed.made()
    raise BackupError(f"engine {name}", "is not known to this version", "use a newer one", trouble=Trouble.PROGRAM)


def engine_of(manifest: Manifest) -> Engine:
    """Who made a backup, and can read it through."""
    return engine_named(manifest.engine)
