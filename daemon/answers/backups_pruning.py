"""`toban backup prune`: what goes and what stays, each with its reason; `--dry-run` removes nothing."""

from backup.pruning import Pruned
from daemon.answers.backups_keeping import keeping
from daemon.answers.backups_opening import Place, Shelf, carried_out
from daemon.answers.printing import console, plain, print_json, table
from daemon.documents import Document
from toban.catalogue import say
from toban.units import size_text


def answer(place: Place, *, dry_run: bool, as_json: bool) -> int:
    """Decide, tell, and do it unless only to be told; 1 where one could not be removed."""

    async def work() -> int:
        async with keeping(place) as kept:
            found = await kept.keeper.prune(dry_run=dry_run)
            if as_json:
                print_json(pruned_document(found, dry_run=dry_run))
            else:
                _show(found, kept.shelf, dry_run=dry_run)
            return 1 if found.failed else 0

    return carried_out(work)


def pruned_document(found: Pruned, *, dry_run: bool) -> Document:
    """Every decision with its reason, and what was done."""
    return {
        "dry_run": dry_run,
        "decisions": [
            {
                "id": one.record.id,
                "name": one.record.manifest.name,
                "target": one.record.manifest.target,
                "size_bytes": one.record.manifest.size_bytes,
                "keep": one.keep,
                "reason": one.reason,
            }
            for one in found.decisions
        ],
        "removed": [one.id for one in found.removed],
        "failed": dict(found.failed),
        "freed_bytes": found.freed_bytes,
    }


def _show(found: Pruned, shelf: Shelf, *, dry_run: bool) -> None:
    language, out = shelf.language, console()
    if not found.decisions:
        out.print(say("empty.retention", language))
        return
    names = ("decision", "backup_id", "target", ">size", "reason")
    headings = ((">" if name[0] == ">" else "") + say(f"column.{name.lstrip('>')}", language) for name in names)
    made = table(say("table.retention", language), *headings)
    for one in found.decisions:
        word = say("backups.keeps" if one.keep else "backups.goes", language)
        styled = f"[green]{word}[/]" if one.keep else f"[yellow]{word}[/]"
        told = one.record.manifest
        made.add_row(styled, plain(one.record.id), plain(told.target), size_text(told.size_bytes), plain(one.reason))
    out.print(made)
    going = [one.record for one in found.decisions if not one.keep]
    count, size = len(found.removed), found.freed_bytes
    if dry_run:
        count, size = len(going), sum(record.manifest.size_bytes for record in going)
    key = "backups.would_prune" if dry_run else "backups.pruned"
    out.print(say(key, language, count=count, size=size_text(size)))
    for name, why in found.failed.items():
        out.print(f"[bold red]{plain(name)}: {plain(why)}[/]", soft_wrap=True)
