"""`toban backup list`: every backup there is, the newest first, and how far each is believed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console

from daemon.answers.backups_opening import Place, Shelf, carried_out, opened
from daemon.answers.narrowing import must_be_there
from daemon.answers.printing import console, plain, print_json, table
from daemon.asked_backups import method_asked, status_asked
from daemon.documents import stamp
from daemon.documents_backups import backup_document
from toban.backups import BackupRecord, Belief, Method, Scope, Status
from toban.catalogue import say
from toban.language import Language
from toban.units import NOTHING, seconds_text, size_text

COLUMNS = ("backup_id", "target", "method", ">size", "created_at", ">took", "belief", "remark")
REMARK_LETTERS = 160
STYLES = {
    "proven": "green",
    "verified": "cyan",
    "stored": "yellow",
    "running": "cyan",
    "failed": "bold red",
    "damaged": "bold red",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which backups are meant; None is any."""

    target: str | None = None
    name: str | None = None
    method: Method | None = None
    status: Status | None = None

    def of(self, records: Iterable[BackupRecord]) -> list[BackupRecord]:
        """Those of them."""
        return [one for one in records if self.status in (None, one.status)]


def which(*, target: str | None, name: str | None, method: str | None, status: str | None) -> Which:
    """As it was typed."""
    return Which(target=target, name=name, method=method_asked(method), status=status_asked(status))


def answer(place: Place, *, wanted: Which, as_json: bool) -> int:
    """Print them. That there are none is no fault of the command's: 0."""

    async def work() -> int:
        async with opened(place) as shelf:
            found = wanted.of(shelf.repository.records(target=wanted.target, name=wanted.name, method=wanted.method))
            if not found and shelf.configuration is not None:
                must_be_there(shelf.configuration, wanted.target)
            if as_json:
                print_json([backup_document(one, shelf.zone) for one in found])
            else:
                _show(found, shelf, console())
            return 0

    return carried_out(work)


def _show(found: Sequence[BackupRecord], shelf: Shelf, out: Console) -> None:
    language = shelf.language
    if not found:
        out.print(say("empty.backups", language))
        return
    headings = (_heading(name, language) for name in COLUMNS)
    made = table(say("table.backups", language), *headings)
    now = shelf.around.clock.now()
    for one in found:
        told = one.manifest
        made.add_row(
            plain(one.id),
            plain(told.target),
            method_text(one, language),
            size_text(told.size_bytes) if one.belief or one.status is Status.DAMAGED else NOTHING,
            stamp(told.created_at, shelf.zone) or "",
            seconds_text(max(0.0, told.duration_seconds), language) if told.finished_at else NOTHING,
            standing_text(one, now, language),
            plain(_cut("; ".join(remarks(one, language)))),
        )
    out.print(made)
    size = sum(one.manifest.size_bytes for one in found)
    out.print(say("backups.in_all", language, count=len(found), size=size_text(size)))


def _cut(text: str) -> str:
    return text if len(text) <= REMARK_LETTERS else f"{text[: REMARK_LETTERS - 1]}…"


def _heading(name: str, language: Language) -> str:
    right = ">" if name.startswith(">") else ""
    return right + say(f"column.{name.removeprefix('>')}", language)


def method_text(record: BackupRecord, language: Language) -> str:
    """`dump`; of a base backup that builds on another one also that."""
    told = record.manifest
    scope = "" if told.scope is Scope.FULL else f" ({say(f'backups.scope.{told.scope}', language)})"
    return say(f"backups.method.{told.method}", language) + scope


def standing_text(record: BackupRecord, now: float, language: Language) -> str:
    """How far it is believed and since when; or what else is the matter with it."""
    if record.belief is None:
        return _styled(str(record.status), say(f"backups.status.{record.status}", language))
    since = {Belief.PROVEN: record.proved_at, Belief.VERIFIED: record.verified_at}.get(record.belief)
    word = say(f"backups.belief.{record.belief}", language)
    if since is None:
        return _styled(str(record.belief), word)
    age = seconds_text(max(0.0, now - since), language)
    return _styled(str(record.belief), say("backups.since", language, word=word, age=age))


def _styled(key: str, text: str) -> str:
    return f"[{STYLES.get(key, '')}]{text}[/]" if key in STYLES else text


def remarks(record: BackupRecord, language: Language) -> list[str]:
    """What else is to be known of it in a list."""
    told, marks = record.manifest, record.marks
    unsure = marks.inconclusive
    found = [
        told.tag or "",
        say("backups.pinned", language, why=marks.pinned) if marks.pinned else "",
        record.reason,
        say("backups.unsure", language, why=unsure.reason) if unsure is not None else "",
        say("backups.notes", language, count=len(told.notes)) if told.notes else "",
    ]
    return [text for text in found if text]
