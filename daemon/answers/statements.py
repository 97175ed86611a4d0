"""`toban statements`: what the statements of a span cost. Read from the state, with or without the daemon."""

from rich.table import Table

from daemon.answers.asking import Asked
from daemon.answers.narrowing import must_be_there
from daemon.answers.printing import console, plain, print_json, table
from daemon.asked import moment_asked, order_asked
from daemon.documents import Document, statement_documents
from history.reading import StatementHistory, open_reader
from toban.catalogue import say
from toban.clock import SystemClock
from toban.language import Language
from toban.units import NOTHING, count_text, ratio_text, seconds_text

TEXT_LETTERS = 200


def answer(asked: Asked, *, by: str, since: str, top: int, target: str | None, as_json: bool) -> int:
    """Print them, the dearest first."""
    now = SystemClock().now()
    begin = moment_asked(since, now, asked.configuration.zone)
    order = order_asked(by)
    with open_reader(asked.configuration.state_path) as reader:
        found = reader.statements(target, since=begin, until=now, by=order, top=top)
    if not found:  # of one that has left, there may be some
        must_be_there(asked.configuration, target)
    if as_json:
        print_json(statement_documents(found))
    elif found:
        console().print(_table(found, by, since, asked.language))
    else:
        console().print(say("empty.statements", asked.language))
    return 0


def _table(found: tuple[StatementHistory, ...], by: str, since: str, language: Language) -> Table:
    heads = [
        say(f"column.{c}", language)
        for c in ("calls", "total_time", "mean_time", "rows", "cache_hit", "database", "user", "statement")
    ]
    order = say(f"order.{by}", language)
    title = say("table.statements", language, order=order, span=since)
    made = table(title, *(f">{head}" for head in heads[:5]), *heads[5:])
    for one in found:
        made.add_row(*_row(statement_documents((one,))[0], language))
    return made


def _row(statement: Document, language: Language) -> tuple[str, ...]:
    hit = statement["cache_hit_ratio"]
    other = statement["queryid"] == "other"
    text = say("statement.other", language) if other else statement["query"] or say("statement.unknown", language)
    return (
        count_text(statement["calls"]),
        seconds_text(statement["total_seconds"], language),
        seconds_text(statement["mean_seconds"], language),
        count_text(statement["rows"]),
        NOTHING if hit is None else ratio_text(hit, language),
        plain(statement["datname"]),
        plain(statement["usename"]),
        plain(" ".join(text.split())[:TEXT_LETTERS]),
    )
