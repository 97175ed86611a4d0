"""The evidence for the eye: two lines for a message, all of it for `toban alerts show`."""

from collections.abc import Callable, Iterator
from datetime import tzinfo

from alerting.evidence.record import Costly, Evidence, Figure, Happening, Locked, Running, read
from toban.catalogue import CATALOGUE, say
from toban.clock import moment
from toban.language import Language
from toban.samples import Unit
from toban.units import count_text, seconds_text, value_text

MOST_LINE_LETTERS = 240
LINES = 2
FIGURES_IN_A_LINE = 5
_ANY = ("locks", "running", "statements", "host")
# What explains best, by a word in the name of the rule or of its metric; the first that is found decides.
_ORDERS = (
    ("lock", ("locks", "waiter", "running", "statements")),
    ("host", ("host", "statements", "running", "locks")),
    ("disk", ("host", "statements", "running", "locks")),
    ("setting", ("happenings", "host", "running", "statements")),
    ("restart", ("happenings", "host", "running", "statements")),
    ("role", ("happenings", "host", "running", "statements")),
    ("cache", ("statements", "running", "host", "locks")),
    ("statement", ("statements", "running", "locks", "host")),
    ("temp", ("statements", "running", "locks", "host")),
    ("quer", ("locks", "running", "statements", "host")),
)


def two_lines(document: str, rule: str, language: Language) -> tuple[str, ...]:
    """The two most telling lines for a rule, whose name and metric `rule` holds; fewer where there is less to tell."""
    found = read(document)
    if found is None:
        return ()
    order = next((order for word, order in _ORDERS if word in rule), _ANY)
    lines = (line for name in order for line in _LINES[name](found, language))
    return tuple(_cut(line) for line, _ in zip(lines, range(LINES), strict=False))


def lock_tree_in(document: str) -> bool:
    """Whether somebody blocked somebody."""
    found = read(document)
    return found is not None and bool(found.locks)


def drawn(document: str, language: Language, zone: tzinfo | None = None) -> list[str]:
    """All of it as lines of plain text."""
    found = read(document)
    if found is None:
        return [say("evidence.unreadable", language)]
    lines = [say("evidence.taken", language, target=found.target, at=_at(found.at, zone))]
    for section, draw in _SECTIONS.items():
        rows = [line for row in found.section(section) for line in draw(row, language, zone)]
        if rows:
            lines += ["", say(f"evidence.{section}", language), *(f"  {row}" for row in rows)]
        if count := found.left_out.get(section):
            lines.append("  " + say("evidence.left_out", language, count=count))
    return lines


def _cut(line: str) -> str:
    return line if len(line) <= MOST_LINE_LETTERS else line[: MOST_LINE_LETTERS - 1] + "…"


def _at(when: float, zone: tzinfo | None) -> str:
    return moment(when).astimezone(zone).isoformat(sep=" ", timespec="seconds")


def _who(row: Locked | Running, language: Language) -> str:
    prepared = isinstance(row, Locked) and row.prepared
    name = say("evidence.prepared", language, name=prepared) if prepared else say("evidence.pid", language, pid=row.pid)
    who = say("evidence.who", language, name=name, user=row.user, database=row.database)
    return f"{who} ({row.application})" if row.application else who


def _root_line(found: Evidence, language: Language) -> Iterator[str]:
    """The worst root blocker: its victims are told as a number, and listed by `toban alerts show`."""
    for row in found.locks[:1]:
        doing = ", ".join((_who(row, language), *_doing(row, language)))
        yield _with_query(say("evidence.root", language, count=row.victims, who=doing), row.query)


def _waiter_line(found: Evidence, language: Language) -> Iterator[str]:
    """Who has waited longest."""
    waiting = [row for row in found.locks if row.wait_seconds is not None]
    for row in sorted(waiting, key=lambda row: -(row.wait_seconds or 0.0))[:1]:
        doing = ", ".join((_who(row, language), *_doing(row, language)))
        yield _with_query(say("evidence.victim", language, who=doing), row.query)


def _running_line(found: Evidence, language: Language) -> Iterator[str]:
    for row in found.running[:1]:
        said = say("evidence.longest", language, who=", ".join((_who(row, language), *_at_work(row, language))))
        yield _with_query(said, row.query)


def _statement_line(found: Evidence, language: Language) -> Iterator[str]:
    for row in found.statements[:1]:
        yield _with_query(say("evidence.costliest", language, use=_use(row, language)), row.query)


def _host_line(found: Evidence, language: Language) -> Iterator[str]:
    figures = ", ".join(_figure(row, language) for row in found.figures[:FIGURES_IN_A_LINE])
    if figures:
        yield say("evidence.host", language, figures=figures)


def _happening_line(found: Evidence, language: Language) -> Iterator[str]:
    for row in found.happenings[:LINES]:
        yield _happened(row, language)


def _with_query(line: str, query: str) -> str:
    return f"{line}: {query}" if query else line


def _doing(row: Locked, language: Language) -> Iterator[str]:
    if row.wait_seconds is not None:
        lock = say("evidence.lock_on", language, mode=row.lock, thing=row.thing)
        yield say("evidence.waits", language, span=seconds_text(row.wait_seconds, language), lock=lock)
    elif row.transaction_seconds is not None:
        span = seconds_text(row.transaction_seconds, language)
        yield say("evidence.for", language, state=row.state, span=span)
    elif row.state:
        yield row.state
    if row.cycle:
        yield say("evidence.cycle", language)


def _at_work(row: Running, language: Language) -> Iterator[str]:
    seconds = max(row.query_seconds or 0.0, row.transaction_seconds or 0.0)
    yield say("evidence.for", language, state=row.state, span=seconds_text(seconds, language))
    if row.wait_event:
        yield row.wait_event


def _use(row: Costly, language: Language) -> str:
    mean = seconds_text(row.seconds / row.calls if row.calls else 0.0, language)
    seconds, calls = seconds_text(row.seconds, language), count_text(row.calls)
    return say("evidence.use", language, seconds=seconds, calls=calls, mean=mean)


def _figure(row: Figure, language: Language) -> str:
    key = f"figure.{row.name}"
    name = say(key, language) if key in CATALOGUE else row.name
    unit = Unit(row.unit) if row.unit in frozenset(Unit) else Unit.NONE
    return " ".join(part for part in (name, row.label, value_text(row.value, unit, language)) if part)


def _happened(row: Happening, language: Language) -> str:
    key = f"event.{row.kind}"
    kind = say(key, language) if key in CATALOGUE else row.kind
    if row.before or row.after:
        words = {"kind": kind, "subject": row.subject, "before": row.before, "after": row.after}
        return " ".join(say("evidence.change", language, **words).split())
    return say("evidence.happened", language, kind=kind, subject=row.subject).rstrip()


def _draw_locked(row: Locked, language: Language, _: tzinfo | None) -> Iterator[str]:
    """Indented below the one it waits for; a queue hundreds deep stays on the screen."""
    indent = "  " * min(row.depth, 10)
    said = [_who(row, language), *_doing(row, language)]
    if row.victims:
        said.append(say("evidence.holds_up", language, count=row.victims))
    yield indent + ", ".join(said)
    if row.query:
        yield f"{indent}  {row.query}"


def _draw_running(row: Running, language: Language, _: tzinfo | None) -> Iterator[str]:
    yield ", ".join((_who(row, language), *_at_work(row, language)))
    if row.query:
        yield f"  {row.query}"


def _draw_costly(row: Costly, language: Language, _: tzinfo | None) -> Iterator[str]:
    yield f"{row.queryid} {row.user}@{row.database}: {_use(row, language)}"
    if row.query:
        yield f"  {row.query}"


def _draw_figure(row: Figure, language: Language, _: tzinfo | None) -> Iterator[str]:
    yield _figure(row, language)


def _draw_happening(row: Happening, language: Language, zone: tzinfo | None) -> Iterator[str]:
    yield say("evidence.lately", language, at=_at(row.at, zone), what=_happened(row, language))


_LINES: dict[str, Callable[[Evidence, Language], Iterator[str]]] = {
    "locks": _root_line,
    "waiter": _waiter_line,
    "running": _running_line,
    "statements": _statement_line,
    "host": _host_line,
    "happenings": _happening_line,
}
_SECTIONS: dict[str, Callable[..., Iterator[str]]] = {
    "locks": _draw_locked,
    "running": _draw_running,
    "statements": _draw_costly,
    "figures": _draw_figure,
    "happenings": _draw_happening,
}
