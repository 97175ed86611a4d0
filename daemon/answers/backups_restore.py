"""`toban restore`: look first, then give it back; `--dry-run` looks alone. A repository is all that it needs."""

from contextlib import AsyncExitStack
from datetime import tzinfo

from rich.console import Console

from backup.restore import restorer_of
from backup.restore.contract import Aim, Moment, Restored
from backup.restore.ordering import Order
from backup.restore.restoring import Restoring, Seen, refusal, restoring
from daemon.answers.backups_forecast import Foretold, foretold
from daemon.answers.backups_opening import Place, Shelf, carried_out, opened
from daemon.answers.backups_progress import Telling
from daemon.answers.backups_story import checks_table, phases_line
from daemon.answers.printing import console, plain, print_json
from daemon.documents import Document, stamp
from daemon.documents_backups import check_documents, number, phases_of
from toban.catalogue import say
from toban.language import Language
from toban.units import seconds_text, size_text


def answer(place: Place, *, order: Order, dry_run: bool, as_json: bool) -> int:
    """Look, and where nothing speaks against it restore; 1 where something does."""

    async def work() -> int:
        async with AsyncExitStack() as stack:
            shelf = await stack.enter_async_context(opened(place))
            prepared = await stack.enter_async_context(
                restoring(
                    shelf.repository,
                    shelf.around,
                    order,
                    zone=shelf.zone,
                    restorer_of=restorer_of,
                    secret_of=shelf.secret,
                )
            )
            seen = await prepared.look()
            forecast = foretold(shelf.repository, seen)
            if dry_run or not seen.ok:
                return _refused_or_rehearsed(seen, forecast, shelf, dry_run=dry_run, as_json=as_json)
            if not as_json:
                _show(seen, forecast, shelf, console())
            return await _done(prepared, seen, shelf, as_json=as_json)

    return carried_out(work)


def _refused_or_rehearsed(seen: Seen, forecast: Foretold, shelf: Shelf, *, dry_run: bool, as_json: bool) -> int:
    """Nothing was touched; why stands in the checks."""
    if as_json:
        print_json(preflight_document(seen, forecast, shelf))
    else:
        out = console()
        _show(seen, forecast, shelf, out)
        key = "restore.would" if seen.ok else "restore.would_not"
        out.print(say(key, shelf.language, faults=len(seen.faults)))
    if seen.ok:
        return 0
    if not dry_run:
        raise refusal(seen)
    return seen.error.exit_status if seen.error is not None else 1


async def _done(prepared: Restoring, seen: Seen, shelf: Shelf, *, as_json: bool) -> int:
    with Telling(shelf.language, quiet=as_json) as tell:
        restored = await prepared.carry_out(tell)
    if as_json:
        print_json(restored_document(seen, restored, shelf.zone))
    else:
        _tell(restored, shelf.language, console())
    return 0


def preflight_document(seen: Seen, forecast: Foretold, shelf: Shelf) -> Document:
    """`restore --dry-run --json`: the fields of the contract first, then ours."""
    reaches_at, preflight = seen.reaches_at, seen.preflight
    return {
        "ok": seen.ok,
        "checks": check_documents(seen.checks),
        "rpo_seconds": None if reaches_at is None else number(max(0.0, shelf.around.clock.now() - reaches_at)),
        "rto_seconds": number(forecast.seconds),
        "phases": phases_of(forecast.phases),
        "backup": seen.record.id,
        "target": seen.record.manifest.target,
        "moment": moment_document(seen.moment, shelf.zone),
        "reaches_at": stamp(reaches_at, shelf.zone),
        "timeline": preflight.timeline if preflight is not None else seen.moment.timeline,
        "needed_bytes": preflight.needed_bytes if preflight is not None else None,
    }


def restored_document(seen: Seen, restored: Restored, zone: tzinfo) -> Document:
    """What was done, for programs."""
    return {
        "ok": True,
        "backup": seen.record.id,
        "target": seen.record.manifest.target,
        "moment": moment_document(seen.moment, zone),
        "reaches_at": stamp(seen.reaches_at, zone),
        "checks": check_documents(seen.checks),
        "phases": phases_of(restored.phases),
        "rto_seconds": number(sum(restored.phases.values())),
        "restored_bytes": restored.restored_bytes,
        "databases": list(restored.databases),
        "did": list(restored.did),
        "left_to_do": list(restored.left_to_do),
        "detail": dict(restored.detail),
    }


def moment_document(moment: Moment, zone: tzinfo) -> Document:
    """Which moment was asked for."""
    at = stamp(moment.at, zone)
    value = (at or moment.value) if moment.aim is Aim.TIME else moment.value
    return {
        "aim": str(moment.aim),
        "value": value or None,
        "inclusive": moment.inclusive,
        "timeline": moment.timeline,
    }


def _show(seen: Seen, forecast: Foretold, shelf: Shelf, out: Console) -> None:
    language = shelf.language
    title = say("table.preflight", language, backup=plain(seen.record.id))
    out.print(checks_table(title, seen.checks, language))
    if seen.reaches_at is not None:
        ago = seconds_text(max(0.0, shelf.around.clock.now() - seen.reaches_at), language)
        out.print(say("restore.reaches", language, at=stamp(seen.reaches_at, shelf.zone), ago=ago))
    if seen.preflight is not None and seen.preflight.needed_bytes is not None:
        out.print(say("restore.needs", language, size=size_text(seen.preflight.needed_bytes)))
    if forecast.seconds is not None:
        out.print(say("restore.takes", language, span=seconds_text(max(1, round(forecast.seconds)), language)))


def _tell(restored: Restored, language: Language, out: Console) -> None:
    for sentence in restored.did:
        out.print(plain(sentence), soft_wrap=True)
    took = seconds_text(sum(restored.phases.values()), language)
    said = say("restore.done", language, size=size_text(restored.restored_bytes), span=took)
    phases = f" ({phases_line(restored.phases, language)})" if restored.phases else ""
    out.print(f"[green]{said}[/]{plain(phases)}", soft_wrap=True)
    if restored.left_to_do:
        out.print(f"[bold]{say('restore.left', language)}[/]")
    for sentence in restored.left_to_do:
        out.print(f"  - {plain(sentence)}", soft_wrap=True)
