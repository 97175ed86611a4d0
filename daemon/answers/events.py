"""`toban events`: what happened at the targets. Read from the state, with or without the daemon."""

import sys

from rich.table import Table

from daemon.answers.asking import Asked
from daemon.answers.narrowing import must_be_there
from daemon.answers.printing import console, plain, print_json, table
from daemon.asked import kind_asked, moment_asked
from daemon.documents import stamp
from daemon.documents_events import event_documents
from history.reading import PastEvent, open_reader
from toban.catalogue import say
from toban.clock import Clock, SystemClock

TEXT_LETTERS = 200
COLUMNS = ("at", "target", "event", "event_subject", "before", "after", "event_detail")


def answer(
    asked: Asked,
    *,
    since: str,
    target: str | None,
    kind: str | None,
    top: int,
    as_json: bool,
    clock: Clock | None = None,
) -> int:
    """Print them, the latest first. That nothing happened is fine."""
    zone, until = asked.configuration.zone, (clock or SystemClock()).now()
    begin, wanted = moment_asked(since, until, zone), kind_asked(kind)
    with open_reader(asked.configuration.state_path) as reader:
        found = reader.events(target, since=begin, until=until, kind=wanted, most=top + 1)
    if not found:  # of one that has left, there may be some
        must_be_there(asked.configuration, target)
    if as_json:
        print_json(event_documents(found[:top], zone))
    elif found:
        console().print(_table(found[:top], begin, asked))
    else:
        console().print(say("empty.events", asked.language))
    if len(found) > top:
        print(say("events.more", asked.language, count=top), file=sys.stderr)
    return 0


def _table(found: tuple[PastEvent, ...], begin: float, asked: Asked) -> Table:
    language, zone = asked.language, asked.configuration.zone
    title = say("table.events", language, since=stamp(begin, zone))
    made = table(title, *(say(f"column.{name}", language) for name in COLUMNS))
    for one in found:
        event = one.event
        texts = (one.target, say(f"event.{event.kind}", language), event.subject, event.before, event.after)
        cells = (stamp(event.at, zone) or "", *texts, event.detail)
        made.add_row(*(plain(cell[:TEXT_LETTERS]) for cell in cells))
    return made
