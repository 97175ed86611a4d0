"""One log record as one entry, and one entry as a JSON line or as a line for people.

A foreign value can neither break the line nor command the terminal, whatever it holds.
"""

import json
import sys
import traceback
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime, tzinfo
from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING, LogRecord
from pathlib import Path
from typing import Any

from daemon.logs.values import Blotter, Plain
from toban.printable import ACTING, printable

LEVELS = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR, "critical": CRITICAL}
_NAMED = tuple(sorted(((number, name) for name, number in LEVELS.items()), reverse=True))
_RESERVED = frozenset({"time", "level", "event", "logger", "error", "where", "traceback"})
_MOST_LEAVES = 5  # exceptions named out of a group
_COLOURS = {
    "debug": "\x1b[2m",
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[1;31m",
}
_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"

Entry = dict[str, Plain]
Renderer = Callable[[Entry], str]


def level_name(number: int) -> str:
    """Our word for any level number, a library's own ones included."""
    return next((name for least, name in _NAMED if number >= least), "debug")


class Entries:
    """Builds the entry of a record: when, how grave, what, by whom, and the named values, all without secrets."""

    def __init__(self, blotter: Blotter, *, tracebacks: bool, zone: tzinfo | None = None) -> None:
        self._blotter = blotter
        self._tracebacks = tracebacks
        self._zone = zone

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> Entry:
        """The entry, as a structlog processor."""
        record: LogRecord = event.pop("_record")
        event.pop("_from_structlog")
        event.pop("stack_info", None)
        error = _raised(event.pop("exc_info", None))
        entry: Entry = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .astimezone(self._zone)
            .isoformat(timespec="milliseconds"),
            "level": level_name(record.levelno),
            "event": self._blotter.text(str(event.pop("event", "")).rstrip("\n")),  # libraries end with one
            "logger": record.name,
        }
        values = self._blotter.mapping(dict(event))
        entry |= {f"{name}_" if name in _RESERVED else name: value for name, value in values.items()}
        return entry if error is None else entry | self._told(error)

    def _told(self, error: BaseException) -> Entry:
        told: Entry = {"error": self._blotter.text(describe(error)), "where": _place(error)}
        if self._tracebacks:
            told["traceback"] = self._blotter.lines("".join(traceback.format_exception(error)))
        return told


def describe(error: BaseException) -> str:
    """An exception in one line. A group says only that it is one, so what it holds is named instead."""
    if not isinstance(error, BaseExceptionGroup):
        return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
    leaves = [describe(leaf) for leaf in error.exceptions]
    more = f"; and {len(leaves) - _MOST_LEAVES} more" if len(leaves) > _MOST_LEAVES else ""
    return "; ".join(leaves[:_MOST_LEAVES]) + more


def render_json(entry: Entry, *, escaped: bool = False) -> str:
    """One line of JSON, UTF-8 left readable. What acts on a terminal is escaped as JSON escapes: nothing is lost."""
    line = json.dumps(entry, ensure_ascii=escaped)
    return ACTING.sub(lambda letter: f"\\u{ord(letter[0]):04x}", line)


class ConsoleLines:
    """For people: time, level, event, then the values as name=value; a traceback below, indented."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, entry: Entry) -> str:
        """The lines of one entry."""
        level = str(entry["level"])
        seconds = str(entry["time"])
        head = (
            self._painted(_DIM, f"{seconds[:10]} {seconds[11:19]}{seconds[23:]}"),
            self._painted(_COLOURS[level], f"{level:8}"),
            self._painted(_BOLD, printable(str(entry["event"]))),
        )
        shown = [name for name in entry if name not in ("time", "level", "event", "traceback")]
        values = (f"{self._painted(_DIM, printable(name) + '=')}{_word(entry[name])}" for name in shown)
        below = (f"    {printable(line)}" for line in str(entry.get("traceback", "")).splitlines())
        return "\n".join((" ".join((*head, *values)), *below))

    def _painted(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._colours else text


def _word(value: Plain) -> str:
    """A value beside its name; quoted where its end would not be seen."""
    text = printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return json.dumps(text, ensure_ascii=False) if isinstance(value, str) and _blurred(text) else text


def _blurred(text: str) -> bool:
    return not text or any(letter.isspace() or letter in '"=' for letter in text)


def _raised(exc_info: object) -> BaseException | None:
    """The exception behind the ways in which logging and structlog hand one over."""
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    if isinstance(exc_info, BaseException):
        return exc_info
    return sys.exc_info()[1] if exc_info else None


def _place(error: BaseException) -> str:
    """Where it was raised, for a fault that cannot be made to happen again under debug."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].name}" if frames else ""
