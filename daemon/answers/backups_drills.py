"""`toban drill`: a restore for its own sake, and what it says of the recovery point and time."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo

from backup.settings import Drill
from daemon.answers.backups_keeping import Kept, keeping
from daemon.answers.backups_opening import Place, Shelf, carried_out, opened
from daemon.answers.backups_progress import Telling
from daemon.answers.backups_story import checks_table, phases_line
from daemon.answers.printing import console, plain, print_json, table
from daemon.documents import Document, stamp
from daemon.documents_backups import drill_document, number
from toban.backups import DrillRecord, Method
from toban.catalogue import say
from toban.errors import NotFoundError, TobanError
from toban.language import Language
from toban.printable import printable
from toban.units import NOTHING, seconds_text

PAST_COLUMNS = ("at", "drill", "backup", "recovered_to", ">rpo", ">rto", "verdict", "reason")


def drill(place: Place, *, name: str | None, as_json: bool) -> int:
    """One, or all that are configured; 1 where one failed or missed a goal."""

    async def work() -> int:
        async with keeping(place) as kept:
            found, failed, names = list[DrillRecord](), dict[str, TobanError](), _names(kept, name)
            for one in names:
                try:
                    with Telling(kept.shelf.language, quiet=as_json) as tell:
                        found.append(await kept.keeper.drill(one, tell))
                except TobanError as error:  # one that cannot be held keeps no other back
                    if len(names) == 1:
                        raise
                    failed[one] = error
                    print(printable(error.line), file=sys.stderr)
                    continue
                if not as_json:
                    _tell(found[-1], kept.shelf)
            if as_json:
                print_json(drills_document(found, kept.shelf.zone, failed))
            return _status(found, failed)

    return carried_out(work)


def _status(found: Sequence[DrillRecord], failed: Mapping[str, TobanError]) -> int:
    if failed:
        return max(error.exit_status for error in failed.values())
    return 0 if all(one.ok for one in found) else 1


def past(place: Place, *, name: str | None, as_json: bool) -> int:
    """The drills that were, newest first."""

    async def work() -> int:
        async with opened(place) as shelf:
            found = [one for one in shelf.repository.drills() if name in (None, one.name)]
            if as_json:
                print_json([drill_document(one, shelf.zone) for one in found])
            else:
                _list(found, shelf)
            return 0

    return carried_out(work)


def _names(kept: Kept, name: str | None) -> Sequence[str]:
    """Those that are meant; where none is configured, and for a job's name, one is made up: to the latest moment."""
    plan = kept.keeper.plan
    drills = [one.name for one in plan.drills]
    if name in drills or (name is None and drills):
        return drills if name is None else [name]
    jobs = sorted(plan.provable, key=lambda job: job.method is not Method.BASE)  # a whole server comes first
    chosen = next((job for job in jobs if name in (None, job.name)), None)
    if chosen is None:
        there = ", ".join([*drills, *(job.name for job in jobs)])
        why = (
            "there is no backup job that it could restore from"
            if name is None
            else f"none is called {name}, and no job"
        )
        raise NotFoundError("drill", why, f"there are: {there}" if there else "toban config show")
    drill_of = Drill(name=chosen.name, backup=chosen.name)
    settings = plan.settings.model_copy(update={"drills": (*plan.drills, drill_of)})
    kept.keeper.plan = replace(plan, settings=settings)
    return [drill_of.name]


def drills_document(
    found: Sequence[DrillRecord], zone: tzinfo, failed: Mapping[str, TobanError] | None = None
) -> Document:
    """One drill as it is; of several the worst figures, and each of them under `drills`; what could not be held."""
    failed = failed or {}
    if len(found) == 1 and not failed:
        return drill_document(found[0], zone)
    rpos = [one.rpo_seconds for one in found if one.rpo_seconds is not None]
    rtos = [one.rto_seconds for one in found if one.rto_seconds is not None]
    documents = [drill_document(one, zone) for one in found]
    checks = [check | {"name": f"{one['name']}: {check['name']}"} for one in documents for check in one["checks"]]
    checks += [{"name": f"{name}: drill", "ok": False, "detail": error.why} for name, error in failed.items()]
    return {
        "ok": not failed and all(one.ok for one in found),
        "checks": checks,
        "rpo_seconds": number(max(rpos)) if rpos and len(rpos) == len(found) + len(failed) else None,
        "rto_seconds": number(max(rtos)) if rtos and len(rtos) == len(found) + len(failed) else None,
        "phases": {f"{one['name']}: {name}": spent for one in documents for name, spent in one["phases"].items()},
        "drills": documents,
    }


def _tell(one: DrillRecord, shelf: Shelf) -> None:
    language, out = shelf.language, console()
    out.print(checks_table("", one.checks, language))
    if one.recovered_to is not None:
        figures = {
            "rpo": _span(one.rpo_seconds, language),
            "rto": _span(one.rto_seconds, language),
            "rpo_goal": _span(one.rpo_goal_seconds, language),
            "rto_goal": _span(one.rto_goal_seconds, language),
        }
        at = stamp(one.recovered_to, shelf.zone)
        out.print(
            plain(say("drill.held", language, name=one.name, backup=one.backup, at=at, **figures)), soft_wrap=True
        )
    if one.phases:
        out.print(plain(phases_line(one.phases, language)), soft_wrap=True)
    if one.forecast_seconds is not None:
        out.print(plain(say("drill.forecast", language, span=_span(one.forecast_seconds, language))), soft_wrap=True)
    if not one.ok:
        said = say("drill.not_held", language, name=one.name, why=one.reason)
        out.print(f"[bold red]{plain(said)}[/]", soft_wrap=True)


def _list(found: Sequence[DrillRecord], shelf: Shelf) -> None:
    language, out = shelf.language, console()
    if not found:
        out.print(say("empty.drills", language))
        return
    headings = ((">" if one[0] == ">" else "") + say(f"column.{one.lstrip('>')}", language) for one in PAST_COLUMNS)
    made = table(say("table.drills", language), *headings)
    for one in found:
        verdict = say("drill.met" if one.ok else "drill.missed", language)
        made.add_row(
            stamp(one.at, shelf.zone) or "",
            plain(one.name),
            plain(one.backup),
            stamp(one.recovered_to, shelf.zone) or NOTHING,
            _span(one.rpo_seconds, language),
            _span(one.rto_seconds, language),
            f"[green]{verdict}[/]" if one.ok else f"[bold red]{verdict}[/]",
            plain(one.reason),
        )
    out.print(made)


def _span(seconds: float | None, language: Language) -> str:
    return NOTHING if seconds is None else seconds_text(max(0.0, seconds), language)
