"""The way back of base backups: a data directory that, when a server is started on it, recovers to the chosen moment.

No server is started here. What is made is complete: files, WAL or the way to it, configuration, the target.
"""

import asyncio
import os
import shlex
from collections.abc import Awaitable
from pathlib import Path
from typing import Final, TypeVar

from backup.engines.contract import Surroundings, Tell
from backup.repository.turns import finished
from backup.restore.basing.extracting import lay_out, link_tablespaces
from backup.restore.basing.feeding import FOLDER, Feed, feed, must_carry_on
from backup.restore.basing.outfitting import Configuration, configure, give, recover
from backup.restore.basing.placing import flush, settle, staged
from backup.restore.basing.planning import Plan, lineage_checks, planned, refuse
from backup.restore.contract import Aim, Preflight, Restored, Wanted
from backup.restore.recovery import Course, settings
from backup.wal.chain import Listing
from backup.wal.listing import look as look_at_wal
from toban.backups import Manifest, Progress

T = TypeVar("T")
QUIETED: Final = (
    "archiving, synchronous standbys and logical replication are off in it: once it is the one that counts, ALTER "
    "SYSTEM RESET archive_mode, synchronous_standby_names and max_logical_replication_workers, and restart it"
)


class BaseRestorer:
    """The way back of what `base` has made."""

    async def preflight(self, wanted: Wanted, around: Surroundings) -> Preflight:
        """Look, and change nothing."""
        plan = await self._plan(wanted, around)
        return Preflight(
            checks=plan.checks,
            needed_bytes=plan.needed_bytes,
            forecast_seconds=plan.seconds,
            reaches_at=wanted.moment.at if wanted.moment.aim is Aim.TIME else plan.course.reaches_at,
            timeline=plan.course.timeline,
        )

    async def restore(
        self,
        wanted: Wanted,
        around: Surroundings,
        workspace: Path,  # noqa: ARG002 - everything is made beside where it is to be, to be put there by a rename
        tell: Tell,
    ) -> Restored:
        """Make the data directory. Until it is whole it does not have its name."""
        plan = await self._plan(wanted, around)
        refuse(wanted, plan)
        timed = Timed(around, tell)
        async with staged(plan.site, plan.owner) as stage:
            spaces = await timed.phase("files", self._laid_out(wanted, plan, stage, around, tell))
            fed = await timed.phase("wal", self._fed(wanted, plan, stage, around, tell))
            left = await timed.phase("configuration", self._outfitted(wanted, plan, stage, fed))
            aside = await timed.phase("place", _placed(stage, plan, durable=wanted.durable))
        return described(wanted, plan, fed, timed, aside=aside, left=left, spaces=spaces)

    async def _plan(self, wanted: Wanted, around: Surroundings) -> Plan:
        place = wanted.wal_place
        listing = Listing() if place is None else await asyncio.to_thread(look_at_wal, place)
        return await planned(wanted, around, listing, lineage_checks(wanted))

    async def _laid_out(self, wanted: Wanted, plan: Plan, stage: Path, around: Surroundings, tell: Tell) -> list[str]:
        """The files; the tablespaces among them."""
        await lay_out(wanted.lineage, stage, around, jobs=wanted.jobs, tell=tell)
        return await finished(asyncio.to_thread(link_tablespaces, stage, plan.site.path))

    async def _fed(self, wanted: Wanted, plan: Plan, stage: Path, around: Surroundings, tell: Tell) -> Feed:
        await must_carry_on(plan.course, wanted.record, wanted.wal_place, stage, around)
        return await feed(
            plan.course,
            wanted,
            stage,
            plan.site.path,
            owner=plan.owner,
            around=around,
            tell=tell,
        )

    async def _outfitted(self, wanted: Wanted, plan: Plan, stage: Path, fed: Feed) -> list[str]:
        record, contents = wanted.lineage[-1]
        detail = record.manifest.detail
        kept = detail.get("configuration") or ()
        found = Configuration(
            kept=kept,
            clear={str(one["stored"]): await contents.path(str(one["stored"])) for one in kept},
            files=detail.get("files") or {},
            home=detail.get("data_directory"),
        )
        left = await finished(asyncio.to_thread(configure, stage, found))
        await finished(asyncio.to_thread(recover, stage, settings(plan.course, fed.restore_command)))
        return left


class Timed:
    """How long each phase takes."""

    def __init__(self, around: Surroundings, tell: Tell) -> None:
        self.phases: dict[str, float] = {}
        self._clock = around.clock
        self._tell = tell

    async def phase(self, name: str, work: Awaitable[T]) -> T:
        """Do one of them."""
        self._tell(Progress(phase=name))
        began = self._clock.monotonic()
        try:
            return await work
        finally:
            self.phases[name] = self._clock.monotonic() - began


async def _placed(stage: Path, plan: Plan, *, durable: bool) -> Path | None:
    """Nothing has the name that was asked for before all of it is on the disk.

    Whoever stops us meanwhile is heard when a step is over: else its thread would give the name to what is being
    removed.
    """
    await finished(asyncio.to_thread(_finish, stage, plan, durable=durable))
    return await finished(asyncio.to_thread(settle, stage, plan.site, durable=durable))


def _finish(stage: Path, plan: Plan, *, durable: bool) -> None:
    if plan.owner is not None and os.geteuid() == 0:
        give(stage, plan.owner.uid, plan.owner.gid)
    if durable:
        flush(stage)


def described(
    wanted: Wanted, plan: Plan, fed: Feed, timed: Timed, *, aside: Path | None, left: list[str], spaces: list[str]
) -> Restored:
    """What was done, and what is left to do."""
    home, moment = plan.site.path, plan.course.moment
    manifest = wanted.record.manifest
    did = [f"{wanted.record.id} lies in {home}; when started it recovers {_target(plan.course)}"]
    did += [f"tablespaces {', '.join(spaces)} lie in {home}/tablespaces"] if spaces else []
    did += [f"what was there before lies in {aside}"] if aside is not None else []
    did += [f"{fed.staged} segments of WAL were laid out in it"] if fed.staged else []
    todo = [_starting(plan, manifest), QUIETED, *left]
    todo += [f"where it is moved, let the links in {home}/pg_tblspc lead to its tablespaces again"] if spaces else []
    todo += [f"once it has recovered, remove {home}/{FOLDER}"] if fed.staged else []
    todo += [f"when it is well, remove {aside}"] if aside is not None else []
    return Restored(
        phases=timed.phases,
        restored_bytes=sum(record.manifest.source_bytes or 0 for record, _ in wanted.lineage),
        databases=manifest.databases,
        did=tuple(did),
        left_to_do=tuple(todo),
        detail={
            "data_dir": str(home),
            "timeline": plan.course.timeline,
            "aim": str(moment.aim),
            "wal": fed.way,
            "restore_command": fed.restore_command,
        },
    )


def _starting(plan: Plan, manifest: Manifest) -> str:
    """How, by words that can be copied."""
    becoming = ("runuser", "-u", plan.owner.name, "--") if plan.owner is not None and os.geteuid() == 0 else ()
    program = "pg_ctl" if plan.server is None else str(plan.server.with_name("pg_ctl"))
    home = str(plan.site.path)
    words = shlex.join((*becoming, program, "-D", home, "-l", f"{home}/restore.log", "start"))
    major = manifest.server_version.partition(".")[0]
    return f"start it: {words} (PostgreSQL {major}, port {manifest.detail.get('port', 5432)})"


def _target(way: Course) -> str:
    words = {Aim.BACKUP: "to the backup's own end", Aim.LATEST: "as far as the WAL goes"}
    moment = way.moment
    if moment.aim is Aim.TIME:
        return f"to the time asked for, on timeline {way.timeline}"
    return f"{words.get(moment.aim, f'to {moment.aim} {moment.value}')}, on timeline {way.timeline}"
