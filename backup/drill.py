"""A restore for its own sake, to a chosen moment, with the clock running: what would be lost, how long it would take.

The loss is measured on what came back: from the moment asked for (else from the drill's beginning, as if the server had
been lost then) to the newest heartbeat or commit that is there again.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from backup.engines.contract import Surroundings, Tell
from backup.errors import BackupError
from backup.forecast import Pace, forecast
from backup.programs import account
from backup.proof.contract import Proving
from backup.proof.course import Course
from backup.proof.dumps import major_in
from backup.proof.looking import databases_in, heard
from backup.proof.place import grounds, housed, scratch_place, sweep
from backup.proof.prover import UNFORESEEN, lineage_of, of_this_machine, wal_place_of
from backup.proof.restoring import placed, restored
from backup.proof.room import bounded
from backup.proof.scratch import ScratchServer, fresh_server, restored_server
from backup.proof.verdict import obstacle
from backup.repository.layout import backup_id
from backup.restore.contract import Aim, Moment, Restorer, Wanted
from backup.restore.restoring import Shelves
from backup.settings import Drill, Proof
from backup.way import Way
from toban.backups import BackupRecord, Check, DrillRecord, Manifest, Method
from toban.clock import moment as at_moment
from toban.language import Language
from toban.secrets import Secret
from toban.units import seconds_text

_LAST_COMMIT: Final = re.compile(r"last completed transaction was at log time (\S+ \S+)")
SERVED: Final = ("start", "restore", "recovery")  # until somebody can work again


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilling:
    """One drill to be done, of one backup."""

    drill: Drill
    record: BackupRecord
    moment: Moment
    shelves: Shelves
    restorer_of: Callable[[Manifest], Restorer]
    settings: Proof  # its workspace, and its time limit
    around: Surroundings
    tell: Tell
    paces: Sequence[Pace] = ()  # of the restores before
    size_bytes: int | None = None  # of the source today; by default as it was when the backup was made
    beat: Callable[[Way], Awaitable[float | None]] | None = None  # the newest heartbeat in a server
    accept_gap: bool = False
    secret: Secret | None = None  # of the job: a restic repository's password


async def drill(drilling: Drilling) -> DrillRecord:
    """Do it. What fails is part of the record; only being cancelled is raised."""
    clock = drilling.around.clock
    course, began = Course(clock, drilling.tell), clock.now()
    workspaces = grounds(drilling.settings.workspace, drilling.around.workspace)
    recovered_to: float | None = None
    try:
        await sweep(*workspaces)
        async with (
            scratch_place(*workspaces) as place,
            bounded(place, within_seconds=drilling.settings.timeout),
        ):
            here = replace(drilling, around=await asyncio.to_thread(housed, drilling.around, place))
            recovered_to = await _restored(here, place, course)
    except BackupError as error:
        course.found(_failed(course, error))
    except UNFORESEEN as error:
        course.found(_failed(course, of_this_machine(error)))
    return _written(drilling, course, began, recovered_to)


def _failed(course: Course, error: BackupError) -> Check:
    """Whatever the reason, it did not come back."""
    return replace(obstacle(course.now or "drill", error), ok=False)


async def _restored(drilling: Drilling, place: Path, course: Course) -> float | None:
    """Bring it back, and see to which moment."""
    told = drilling.record.manifest
    with course.phase("restore"):
        clear = place / "clear"
        clear.mkdir(mode=0o700)
        lineage = await asyncio.to_thread(lineage_of, drilling.shelves, drilling.record, clear)
        wanted = Wanted(
            record=drilling.record,
            lineage=lineage,
            moment=drilling.moment if told.method is Method.BASE else Moment(),
            wal_place=await asyncio.to_thread(wal_place_of, drilling.shelves, drilling.record),
            accept_gap=drilling.accept_gap,
            secret=drilling.secret,
            durable=False,
        )
        proving = Proving(
            wanted=wanted,
            restorer=drilling.restorer_of(told),
            settings=drilling.settings,
            around=drilling.around,
            tell=drilling.tell,
        )
    if told.kind == "postgresql" and told.method is Method.BASE:
        return await _base(drilling, proving, place, course)
    if told.kind == "postgresql":
        return await _dump(drilling, proving, place, course)
    with course.phase("restore"):
        await restored(proving, placed(proving, data_dir=place / "data"), place, course)
    return told.created_at


async def _base(drilling: Drilling, proving: Proving, place: Path, course: Course) -> float | None:
    """A whole server, with its WAL, until it answers."""
    owner, data_dir = account(), place / "data"
    with course.phase("restore"):
        wanted = placed(proving, data_dir=data_dir, owner=None if owner is None else owner.name)
        await restored(proving, wanted, place, course)
    async with AsyncExitStack() as stack:
        with course.phase("recovery"):
            starting = restored_server(proving.around, place, data_dir, within_seconds=proving.settings.timeout)
            server = await stack.enter_async_context(starting)
        course.found(Check(name="recovery", ok=True, detail=f"PostgreSQL {server.major} recovered and answers"))
        with course.phase("look"):
            return await _newest(drilling, server)


async def _newest(drilling: Drilling, server: ScratchServer) -> float:
    """The newest moment that came back: at least the backup's own end."""
    told, moment = drilling.record.manifest, drilling.moment
    found = [_ended_at(told) if moment.aim is not Aim.BACKUP else told.created_at, *last_commit(server.said)]
    if drilling.beat is not None:
        with heard():
            at = await drilling.beat(server.way)
        found += [at] if at is not None else []
    return max(found)


def _ended_at(told: Manifest) -> float:
    """When the last of its files had come: what was done to them afterwards brings no later moment back."""
    copied_at = told.detail.get("copied_at")
    return float(copied_at) if isinstance(copied_at, (int, float)) else told.finished_at


def last_commit(lines: Sequence[str]) -> list[float]:
    """When the last transaction was committed that a recovery replayed, by the server's log; none where it had none."""
    for line in reversed(list(lines)):
        said = _LAST_COMMIT.search(line)
        if said is not None:
            return [datetime.fromisoformat(said[1]).timestamp()]
    return []


async def _dump(drilling: Drilling, proving: Proving, place: Path, course: Course) -> float:
    """Databases into an empty server: all of them, or those that the drill names."""
    told = drilling.record.manifest
    async with AsyncExitStack() as stack:
        with course.phase("start"):
            server = await stack.enter_async_context(fresh_server(proving.around, place, major=major_in(told)))
        restored_bytes = 0
        for database in drilling.drill.databases or (None,):
            with course.phase("restore"):
                await restored(proving, placed(proving, into=server.dsn, database=database), place, course)
            restored_bytes += course.restored_bytes
        course.restored_bytes = restored_bytes
        there = await databases_in(server)
        absent = [name for name in drilling.drill.databases or told.databases if name not in there]
        detail = f"not there: {', '.join(absent)}" if absent else f"{len(there)} there"
        course.found(Check(name="databases", ok=not absent, detail=detail))
    return told.created_at


# --- what it came to -------------------------------------------------------------------------------------------------


def _written(drilling: Drilling, course: Course, began: float, recovered_to: float | None) -> DrillRecord:
    """The record: measured against the goals, and foretold for today's size."""
    wanted, told, goals = drilling.moment, drilling.record.manifest, drilling.drill
    rpo = None if recovered_to is None else max(0.0, (wanted.at or began) - recovered_to)
    rto = None if recovered_to is None else sum(course.phases.get(phase, 0.0) for phase in SERVED)
    checks = (*course.checks, *_against("rpo", rpo, goals.rpo_goal), *_against("rto", rto, goals.rto_goal))
    missed = [check for check in checks if check.ok is False]
    now = Pace(at=began, size_bytes=course.restored_bytes, seconds=rto or 0.0)
    size = drilling.size_bytes or told.source_bytes or course.restored_bytes
    return DrillRecord(
        id=backup_id(goals.name, float(int(began))),
        name=goals.name,
        target=told.target,
        backup=told.id,
        at=began,
        wanted=_named(wanted),
        ok=recovered_to is not None and not missed,
        reason="; ".join(check.detail or check.name for check in missed),
        checks=checks,
        phases=course.phases,
        recovered_to=recovered_to,
        rpo_seconds=rpo,
        rto_seconds=rto,
        rpo_goal_seconds=goals.rpo_goal,
        rto_goal_seconds=goals.rto_goal,
        forecast_seconds=forecast((*drilling.paces, now), size).seconds,
        restored_bytes=course.restored_bytes,
    )


def _against(name: str, seconds: float | None, goal: float) -> tuple[Check, ...]:
    """A measure against its goal; nothing where nothing was measured."""
    if seconds is None:
        return ()
    took, wanted = (seconds_text(value, Language.EN) for value in (seconds, goal))
    return (Check(name=name, ok=seconds <= goal, detail=f"{name.upper()} {took}, the goal is {wanted}"),)


def _named(moment: Moment) -> str:
    if moment.aim is Aim.TIME and moment.at is not None:
        return at_moment(moment.at).isoformat(timespec="seconds")
    return moment.value or str(moment.aim)
