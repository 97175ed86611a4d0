"""`toban backup show`: one backup with all that is known of it, and what was found when somebody looked."""

from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console
from rich.table import Table

from daemon.answers.backups import method_text, remarks, standing_text
from daemon.answers.backups_opening import Place, Shelf, carried_out, opened
from daemon.answers.backups_progress import phase_text
from daemon.answers.printing import console, plain, print_json, table
from daemon.answers.tables import facts_grid
from daemon.documents import stamp
from daemon.documents_backups import story_document
from toban.backups import BackupRecord, Check
from toban.catalogue import say
from toban.language import Language
from toban.units import count_text, seconds_text, size_text

MOST_ROWS_SHOWN = 20
MOST_FILES_SHOWN = 20


def answer(place: Place, *, backup: str, as_json: bool) -> int:
    """Print it; where there is none that is an error of its own."""

    async def work() -> int:
        async with opened(place) as shelf:
            record = shelf.repository.record(backup)
            if as_json:
                print_json(story_document(record, shelf.zone))
            else:
                _show(record, shelf, console())
            return 0

    return carried_out(work)


def _show(record: BackupRecord, shelf: Shelf, out: Console) -> None:
    language, now = shelf.language, shelf.around.clock.now()
    out.print(f"[bold]{plain(record.id)}[/]  {standing_text(record, now, language)}")
    facts = facts_grid()
    for name, value in _facts(record, shelf):
        facts.add_row(f"[dim]{say(f'column.{name}', language)}[/]", value)
    out.print(facts)
    marks = record.marks
    if marks.verification is not None:
        out.print(checks_table(say("table.verification", language), marks.verification.checks, language))
    for key, proof in (("table.proof", marks.proof), ("table.inconclusive", marks.inconclusive)):
        if proof is not None:
            out.print(plain(f"{stamp(proof.proved_at, shelf.zone)}  {proof.reason}"), soft_wrap=True)
            out.print(checks_table(say(key, language), proof.checks, language))
    _contents(record, out, language)
    for note in record.manifest.notes:
        out.print(f"[yellow]{plain(note)}[/]", soft_wrap=True)


def _facts(record: BackupRecord, shelf: Shelf) -> Iterator[tuple[str, str]]:
    """What there is to know, each with its heading; what is not there is left out."""
    told, zone, language = record.manifest, shelf.zone, shelf.language
    lsns = " – ".join(lsn for lsn in (told.start_lsn, told.stop_lsn) if lsn)  # noqa: RUF001 - a dash, as spans have it
    known = {
        "target": told.target,
        "method": method_text(record, language) + (f" ({told.engine})" if told.engine else ""),
        "parent": told.parent or "",
        "created_at": f"{stamp(told.created_at, zone)}",
        "took": seconds_text(max(0.0, told.duration_seconds), language),
        "phases": phases_line(told.phases, language),
        "size": size_text(told.size_bytes),
        "source_size": size_text(told.source_bytes) if told.source_bytes is not None else "",
        "compression": told.compression or "",
        "encryption": told.encryption or "",
        "server": told.server_version,
        "databases": ", ".join(told.databases),
        "lsns": lsns,
        "timeline": str(told.timeline or ""),
        "copies": ", ".join(f"{name} ({stamp(at, zone)})" for name, at in record.marks.copies.items()),
        "remark": "; ".join(remarks(record, language)),
        "place": record.place,
    }
    yield from ((name, plain(value)) for name, value in known.items() if value)


def _contents(record: BackupRecord, out: Console, language: Language) -> None:
    """Tables with their rows, and files, the beginning of each."""
    told = record.manifest
    if told.rows:
        headings = (say(f"column.{name}", language) for name in ("database", "table"))
        made = table(say("table.rows", language), *headings, ">" + say("column.rows", language))
        for one in sorted(told.rows, key=lambda one: -one.rows)[:MOST_ROWS_SHOWN]:
            number = count_text(one.rows) if one.exact else f"~{count_text(one.rows)}"
            made.add_row(plain(one.database), plain(f"{one.schema}.{one.table}"), number)
        out.print(made)
        _more(len(told.rows) - MOST_ROWS_SHOWN, out, language)
    made = table("", say("column.file", language), ">" + say("column.size", language), "SHA-256")
    for file in told.files[:MOST_FILES_SHOWN]:
        made.add_row(plain(file.path), size_text(file.size_bytes), file.sha256)
    if told.files:
        out.print(made)
        _more(len(told.files) - MOST_FILES_SHOWN, out, language)


def _more(count: int, out: Console, language: Language) -> None:
    if count > 0:
        out.print(f"[dim]{say('backups.more', language, count=count)}[/]")


def checks_table(title: str, checks: Iterable[Check], language: Language) -> Table:
    """What was looked at, and how it was."""
    made = table(title, "", say("column.check", language), say("column.found", language))
    for one in checks:
        made.add_row(check_mark(one, language), plain(one.name), plain(one.detail))
    return made


def check_mark(check: Check, language: Language) -> str:
    """A word for how a check came out."""
    if check.ok is None:
        return f"[yellow]{say('check.unknown', language)}[/]"
    return f"[green]{say('check.ok', language)}[/]" if check.ok else f"[bold red]{say('check.bad', language)}[/]"


def phases_line(phases: Mapping[str, float], language: Language) -> str:
    """`dump 12 s, digest 1.2 s`."""
    told = (f"{phase_text(name, language)} {seconds_text(seconds, language)}" for name, seconds in phases.items())
    return ("、" if language is Language.JA else ", ").join(told)
