"""What somebody wants restored, and whether this backup can be taken so: refused before anything is looked at. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from backup.restore.contract import Aim, Moment
from toban.backups import Manifest, Method
from toban.errors import NotFoundError, UsageError
from toban.secrets import Dsn

INTO_A_SERVER: Final[Mapping[str, tuple[str, ...]]] = {
    "postgresql": ("postgresql", "postgres"),
    "mariadb": ("mysql", "mariadb"),
}
"""The kinds whose dumps go into a server -> how the connection string of such a one begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody wants restored."""

    backup: str  # its id, or how that begins
    moment: Moment = field(default_factory=Moment)
    database: str | None = None
    tables: tuple[str, ...] = ()
    into: Dsn | None = None
    data_dir: Path | None = None
    rename: str | None = None
    replace: bool = False
    with_roles: bool = True  # of a dump: what is missing of them is made
    jobs: int = 1
    accept_gap: bool = False
    owner: str | None = None
    identity: Path | None = None
    verify: bool | None = None  # read every byte first; by default where nobody has done so yet


def fitting(order: Order, told: Manifest) -> Order:
    """The order as this backup can take it; what cannot be is refused before anything is looked at."""
    for option, why, hint in _misfits(order, told):
        raise UsageError(option, why, hint)
    if order.database is not None and order.database not in told.databases:
        there = f"it has: {', '.join(told.databases)}" if told.databases else "it names no database"
        raise NotFoundError(f"database {order.database}", f"is not in {told.id}", there)
    alone = told.databases[0] if len(told.databases) == 1 else None
    needs_one = order.database is None and (order.tables or order.rename)
    if needs_one and alone is None and told.kind != "sqlite":
        raise UsageError("--database", "is missing: which one of them?", f"there are: {', '.join(told.databases)}")
    return replace(order, database=alone) if needs_one else order


def _misfits(order: Order, told: Manifest) -> Iterator[tuple[str, str, str]]:
    """What of an order a backup cannot do: option, why, mend."""
    whole, server = told.method is Method.BASE, told.method is Method.DUMP and told.kind in INTO_A_SERVER
    if order.into is not None and order.data_dir is not None:
        yield "--into", "does not go with --data-dir", "one place alone"
    if server and order.into is None:
        hint = f"--into {INTO_A_SERVER[told.kind][0]}://…"
        yield "--into", f"is missing: {told.id} is a dump, which a server takes", hint
    if not server and order.data_dir is None:
        what = "a whole server" if whole else "files"
        yield "--data-dir", f"is missing: {told.id} holds {what}", "--data-dir and an empty or absent folder"
    if order.moment.aim is not Aim.BACKUP and not (whole and told.kind == "postgresql"):
        yield "--to-…", f"{told.id} has one moment, its own", "a base backup (toban backup list) reaches any moment"
    if whole and (order.database is not None or order.tables):
        hint = "restore it into a folder, start it, and dump from there"
        yield "--database", f"{told.id} is a whole server, which comes back whole", hint
    if order.tables and told.kind != "postgresql":
        yield "--table", f"cannot be restored alone from {told.kind}", "restore beside, and copy"
    if order.rename is not None and not server and told.kind != "sqlite":
        yield "--as", f"names a database, and {told.id} comes back whole", "name the place by --data-dir"
    if server and order.into is not None and order.into.parts.scheme not in INTO_A_SERVER[told.kind]:
        hint = f"--into {INTO_A_SERVER[told.kind][0]}://…"
        yield "--into", f"names no server that takes {told.id}, which is a dump of {told.kind}", hint
    if order.jobs < 1:
        yield "--jobs", "is at least 1", ""
