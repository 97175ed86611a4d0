"""JSON lines: msgspec decodes a block in one call, and of each object only the fields that are asked for."""

from collections import Counter
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import msgspec

from collectors.logs.formats import Format, add_value
from collectors.logs.matching import fitting, is_wild, label
from collectors.logs.moments import told_at
from collectors.logs.settings import LogsSettings
from collectors.logs.tally import NONE, Tally, level_name

LEVEL = "level"
MATCH = "match"  # what the log's own `match` counts as
Condition = Callable[[list[Any]], list[Any]]


class Fields:
    """The fields that are asked for, and how each is got out of a decoded line. `a.b` is b within a, or so called."""

    def __init__(self, names: Iterable[str]) -> None:
        keys = dict.fromkeys(key for name in names for key in (name, name.partition(".")[0]))
        self._places = {key: f"f{place}" for place, key in enumerate(keys)}
        row = msgspec.defstruct(
            "Row",
            [(place, Any, None) for place in self._places.values()],
            rename={place: key for key, place in self._places.items()},
            gc=False,
        )
        self.decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(row)

    def getter(self, name: str) -> Callable[[Any], Any]:
        """How a field is read."""
        whole = attrgetter(self._places[name])
        head, dot, path = name.partition(".")
        if not dot:
            return whole
        outer = attrgetter(self._places[head])

        def nested(row: object) -> object:
            found = whole(row)
            return found if found is not None else _within(outer(row), path)

        return nested


class JsonFormat(Format):
    """One object a line."""

    def __init__(self, settings: LogsSettings) -> None:
        super().__init__(settings)
        logins = settings.logins
        wanted = [settings.level or LEVEL, settings.time, *settings.match]
        wanted += [settings.value] if settings.value else []
        for pattern in settings.patterns:
            wanted += [*_fields(pattern.match), *pattern.labels]
        if logins:
            wanted += [*_fields(logins.match), logins.address]
        self.fields = Fields(wanted)
        self._level = self.fields.getter(settings.level or LEVEL)
        self._time = self.fields.getter(settings.time)
        self._value = self.fields.getter(settings.value) if settings.value else None
        self._match = self._conditions(settings.match)
        self._patterns = [
            (p, self._conditions(_fields(p.match)), [self.fields.getter(name) for name in p.labels])
            for p in settings.patterns
        ]
        self._logins = self._conditions(_fields(logins.match)) if logins else []
        self._address = self.fields.getter(logins.address) if logins else None

    def when(self, line: bytes, now: float) -> float | None:
        """As its field has it."""
        found = self._one(line)
        return None if found is None else told_at(self._time(found), now)

    def take(self, block: bytes, tally: Tally) -> None:
        """Count levels, patterns, values and failed logins."""
        rows, blank = self._rows(block, tally)
        for level, count in _counted(map(self._level, rows)).items():
            tally.lines(level, count)
        tally.lines(NONE, blank)
        self._take_matches(rows, tally)
        for pattern, conditions, labels in self._patterns:
            for row in _those(rows, conditions):
                if not pattern.level or level_name(self._level(row)) == level_name(pattern.level):
                    tally.match(pattern.name, tuple(label(get(row)) for get in labels))
        if self._address:
            for row in _those(rows, self._logins):
                tally.failed_login(label(self._address(row)), told_at(self._time(row), tally.now))

    def _take_matches(self, rows: list[Any], tally: Tally) -> None:
        if not self._match and not self._value:
            return
        found = _those(rows, self._match)
        if self._match and found:
            tally.match(MATCH, count=len(found))
        if self._value:
            for row in found:
                add_value(tally, self._value(row))

    def _rows(self, block: bytes, tally: Tally) -> tuple[list[Any], int]:
        """The decoded lines, and how many say nothing: they are blank, or no objects."""
        total = block.count(b"\n")
        try:
            rows = self.fields.decoder.decode_lines(block)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            lines = [line for line in block.split(b"\n") if line.strip()]
            rows = [row for row in map(self._one, lines) if row is not None]
            tally.unparsed += len(lines) - len(rows)
        return rows, total - len(rows)

    def _one(self, line: bytes) -> object | None:
        """One line; bytes that are no UTF-8 cost it nothing but themselves."""
        for text in (line, line.decode("utf-8", "replace")):
            try:
                row: object = self.fields.decoder.decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            return row
        return None

    def _conditions(self, fields: dict[str, Any]) -> list[Condition]:
        return [_condition(self.fields.getter(name), wanted) for name, wanted in fields.items()]


def _condition(get: Callable[[Any], Any], wanted: object) -> Condition:
    """Those of many rows whose field is as wanted. A plain text is compared as it is: that is the usual case."""
    fits = fitting(wanted)
    if not isinstance(wanted, str) or is_wild(wanted):
        return lambda rows: [row for row in rows if fits(get(row))]
    return lambda rows: [row for row in rows if (v := get(row)) == wanted or (v.__class__ is not str and fits(v))]


def _fields(match: object) -> dict[str, Any]:
    return match if isinstance(match, dict) else {}


def _those(rows: list[Any], conditions: list[Condition]) -> list[Any]:
    for condition in conditions:
        rows = condition(rows)
    return rows


def _counted(levels: Iterable[object]) -> Counter[Any]:
    found = tuple(levels)
    try:
        return Counter(found)
    except TypeError:  # an object in the level's place
        return Counter(label(level) for level in found)


def _within(value: object, path: str) -> object:
    for key in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
