"""Dumps of PostgreSQL come back: each database under a name of no consequence until all of it is there, then at once.

What was there under its name is never written over: an empty one is replaced, any other is put aside when asked to.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import structlog

from backup.engines.contract import Contents, Surroundings, Tell
from backup.engines.dumping.packing import PLAIN
from backup.engines.dumping.reading import Told, dressed, told_by
from backup.errors import BackupError
from backup.repository.turns import finished
from backup.restore.contract import Preflight, Restored, Wanted
from backup.restore.dumping.filling import Filling, wanders
from backup.restore.dumping.looking import lost_tablespaces, of_names, of_room, of_server, of_wants
from backup.restore.dumping.naming import Destination, chosen_entries
from backup.restore.dumping.roles import lacking, script
from backup.restore.dumping.site import Site, site
from backup.sql import quote_identifier
from backup.way import Way
from toban.backups import Check, Progress, Trouble
from toban.clock import moment

MOST_GLOBALS_BYTES: Final = 64 * 1024 * 1024
MOST_DETAIL: Final = 500
UNDO_SECONDS: Final = 660.0  # a little more than the server has for each statement
logger = structlog.get_logger(__name__)


class DumpRestorer:
    """Into a server that is named by its DSN."""

    async def preflight(self, wanted: Wanted, around: Surroundings) -> Preflight:
        """The server, the names, the room, and what the databases want of the place."""
        async with _on_site(wanted, around) as here:
            checks = (*here.checks(), *await _of_programs(here))
            needed = sum(one.entry.source_bytes for one in here.site.destinations)
            return Preflight(
                checks=checks,
                needed_bytes=needed,
                forecast_seconds=_forecast(wanted),
                reaches_at=wanted.record.manifest.created_at,
            )

    async def restore(self, wanted: Wanted, around: Surroundings, workspace: Path, tell: Tell) -> Restored:
        """All or nothing: the names are given in one transaction when everything is there."""
        async with _on_site(wanted, around) as here:
            faults = [check for check in here.checks() if check.ok is False]
            if faults:
                why = "; ".join(f"{check.name}: {check.detail}" for check in faults)
                raise BackupError(f"restore of {wanted.record.id}", why, trouble=Trouble.CONFIGURATION)
            return await _restored(here, workspace, tell)


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """All that is known before the first byte."""

    wanted: Wanted
    around: Surroundings
    told: Told
    contents: Contents
    site: Site
    globals: str  # their SQL; empty where there is none
    makes: tuple[str, ...]  # the roles to be made
    held: dict[str, int]  # of the databases that are there by these names: how much of somebody's own is in them

    def checks(self) -> tuple[Check, ...]:
        """What is to be looked at on the server."""
        site, wanted = self.site, self.wanted
        found = [
            *of_server(site.facts, wanted.record.manifest),
            *of_names(site.destinations, site.there, self.held, replace=wanted.replace),
            *of_wants(site.destinations, site.there, self.told, self.makes),
        ]
        if wanted.tables and self.told.format == PLAIN:
            detail = "a plain dump comes back whole: restore it under another name, and copy the tables"
            found.append(Check(name="tables", ok=False, detail=detail))
        if self.makes and not site.facts.superuser:  # pg_dumpall says of each that it is none, as a superuser alone may
            detail = f"role {site.facts.role} may not make roles: {', '.join(self.makes)}; come as a superuser"
            found.append(Check(name="privilege", ok=False, detail=detail))
        needed = sum(one.entry.source_bytes for one in site.destinations)
        found.append(of_room("room", needed, _free_bytes(site)))
        largest = max((one.entry.source_bytes for one in site.destinations if one.entry.pipe), default=0)
        if largest and wanders(self.told, wanted):
            found.append(of_room("workspace", largest, _free_at(self.around.workspace)))
        return tuple(found)


@asynccontextmanager
async def _on_site(wanted: Wanted, around: Surroundings) -> AsyncIterator[Here]:
    """The server, looked at, with a private folder for the password."""
    if wanted.into is None:
        raise BackupError(
            f"restore of {wanted.record.id}", "wants a server", "--into postgresql://…", trouble=Trouble.CONFIGURATION
        )
    contents = wanted.lineage[-1][1]
    told = await dressed(told_by(wanted.record.manifest), contents)
    entries = chosen_entries(told.entries, wanted.database, wanted.record.id)
    around.workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="into-", dir=around.workspace) as folder:
        async with site(Way(wanted.into, Path(folder)), entries, wanted) as found:
            sql = await _globals(told, contents) if wanted.with_roles else ""
            yield Here(
                wanted=wanted,
                around=around,
                told=told,
                contents=contents,
                site=found,
                globals=sql,
                makes=_makes(sql, wanted, found),
                held={name: await found.held(name) for name in _in_the_way(found)},
            )


def _in_the_way(found: Site) -> tuple[str, ...]:
    return tuple(one.name for one in found.destinations if one.name in found.there.databases)


def _makes(sql: str, wanted: Wanted, found: Site) -> tuple[str, ...]:
    """The roles that the server lacks: for the whole all of them, for one database those that it needs."""
    roles = {role for one in found.destinations for role in one.entry.properties.roles}
    return lacking(sql, found.there.roles, needed=None if wanted.database is None else roles)


async def _globals(told: Told, contents: Contents) -> str:
    if told.globals is None:
        return ""
    path = await contents.path(told.globals)
    return await asyncio.to_thread(_read, path)


def _read(path: Path) -> str:
    """In one piece, or not at all: half of it would be half of the roles."""
    with path.open("rb") as file:
        found = file.read(MOST_GLOBALS_BYTES + 1)
    if len(found) > MOST_GLOBALS_BYTES:
        hint = "make the roles by psql, and restore without those of the dump"
        raise BackupError(path.name, f"is larger than {MOST_GLOBALS_BYTES} bytes", hint)
    return found.decode(errors="surrogateescape")


async def _of_programs(here: Here) -> tuple[Check, ...]:
    """Whether the programs are here that would do it."""
    program = "psql" if here.told.format == PLAIN else "pg_restore"
    major = max(here.told.dumped_by, here.site.facts.major)
    try:
        path = await asyncio.to_thread(here.around.programs.postgresql, program, major=major, or_newer=True)
    except BackupError as error:
        return (Check(name="programs", ok=False, detail=error.reason),)
    return (Check(name="programs", ok=True, detail=str(path)),)


def _free_bytes(found: Site) -> int | None:
    """Of the disk that the server's files lie on, where that is a disk of this machine."""
    folder = found.facts.data_directory
    return None if folder is None or not found.way.dsn.local else _free_at(folder)


def _free_at(folder: str | Path) -> int | None:
    try:
        state = os.statvfs(folder)
    except OSError:
        return None
    return state.f_bavail * state.f_frsize


def _forecast(wanted: Wanted) -> float | None:
    """What the last proof of this backup took to restore."""
    proof = wanted.record.marks.proof
    return None if proof is None else proof.phases.get("restore")


async def _restored(here: Here, workspace: Path, tell: Tell) -> Restored:
    """Make, fill, dress, publish; and when any of it fails, nothing is left."""
    site, clock = here.site, here.around.clock
    ones = site.destinations
    begun = clock.monotonic()
    made_roles: tuple[str, ...] = ()
    claimed: list[Destination] = []  # what is another restore's is not ours to clear away
    with TemporaryDirectory(prefix="restore-", dir=workspace) as folder:
        filling = _filling(here, Path(folder), tell)
        try:
            if here.makes:
                await filling.make_roles(script(here.globals, here.makes, site.there.roles))
                made_roles = here.makes  # until then they are not ours to take away again
            warnings, refused = await _filled(here, filling, claimed)
            filled = clock.monotonic()
            now_there = await site.databases()
            standing = tuple(one.name for one in ones if one.name in now_there)
            stamp = moment(clock.now()).strftime("%Y%m%dT%H%M%SZ")
            aside = await site.publish(ones, standing, stamp)
        except BaseException:  # raised again, once what was begun is cleared away
            await finished(_undo(site, claimed, made_roles))
            raise
    kept = {name: other for name, other in aside.items() if here.held.get(name) or not await _dropped(site, other)}
    done = clock.monotonic()
    return Restored(
        phases={"restore": filled - begun, "publish": done - filled},
        restored_bytes=await _size_of(site, ones),
        databases=tuple(one.name for one in ones),
        did=_did(here, made_roles, kept),
        left_to_do=(*_left_to_do(here, kept, warnings), *(f"this server did not take: {one}" for one in refused)),
        detail={"aside": kept, "roles": list(made_roles)},
    )


def _filling(here: Here, folder: Path, tell: Tell) -> Filling:
    lost = lost_tablespaces(here.site.destinations, here.site.there)
    return Filling(
        told=here.told,
        contents=here.contents,
        wanted=here.wanted,
        site=here.site,
        around=here.around,
        workspace=folder,
        tell=tell,
        tablespaces=not lost,
    )


async def _filled(here: Here, filling: Filling, claimed: list[Destination]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Every database under its partial name; what the programs warned of, and which settings were not taken."""
    total = sum(one.entry.source_bytes for one in here.site.destinations)
    before, warnings, refused = 0, list[str](), list[str]()
    for one in here.site.destinations:
        await here.site.claim(one)
        claimed.append(one)
        await here.site.begin(one, here.wanted.record.id, tablespaces=filling.tablespaces)
        warning = await filling.fill(one, before, total)
        refused += await here.site.dress(one)
        before += one.entry.source_bytes
        filling.tell(Progress(phase="restore", done_bytes=before, total_bytes=total, what=one.name))
        if warning:
            warnings.append(f"{one.name}: {warning[:MOST_DETAIL]}")
    return tuple(warnings), tuple(refused)


async def _size_of(site: Site, ones: Sequence[Destination]) -> int:
    """How much came back. They have their names by now: that nobody answers any more takes nothing of that back."""
    with suppress(BackupError):
        return sum([await site.size_bytes(one.name) for one in ones])
    return 0


async def _dropped(site: Site, database: str) -> bool:
    """What held nothing goes, if it still holds nothing."""
    try:
        if await site.held(database):
            return False
        await site.drop(database)
    except BackupError:
        return False
    return True


async def _undo(site: Site, ones: Sequence[Destination], roles: Sequence[str]) -> None:
    """As it was before. What cannot be undone is gone over by the next restore of that name, and told of until then."""
    try:
        async with asyncio.timeout(UNDO_SECONDS):
            await site.abandon(ones)
            await site.drop_roles(roles)
    except (BackupError, TimeoutError) as error:
        why = error.reason if isinstance(error, BackupError) else f"not done within {UNDO_SECONDS:.0f} s"
        left = {"databases": [one.partial for one in ones], "roles": list(roles)}
        logger.warning("restore_not_undone", server=site.way.dsn.masked, why=why, **left)


def _did(here: Here, roles: Sequence[str], aside: dict[str, str]) -> tuple[str, ...]:
    said = [f"made the roles {', '.join(roles)}"] if roles else []
    for one in here.site.destinations:
        what = f"tables {', '.join(here.wanted.tables)} of {one.entry.name}" if here.wanted.tables else one.entry.name
        said.append(f"restored {what} into database {one.name}")
    said += [f"put the database {name} that was there aside as {other}" for name, other in aside.items()]
    return tuple(said)


def _left_to_do(here: Here, aside: dict[str, str], warnings: Sequence[str]) -> tuple[str, ...]:
    names = ", ".join(one.name for one in here.site.destinations)
    said = [f"ANALYZE in {names}: until then the planner knows nothing of the tables"]
    said += [f"DROP DATABASE {quote_identifier(other)} when nobody misses it" for other in aside.values()]
    if not here.told.passwords and here.makes:
        said.append(f"give passwords to the roles {', '.join(here.makes)}: the dump has none")
    lost = lost_tablespaces(here.site.destinations, here.site.there)
    if lost:
        said.append(f"move what lay in the tablespaces {', '.join(sorted(lost))}: the server has none of these")
    return (*said, *(f"read the warning of the restore: {warning}" for warning in warnings))
