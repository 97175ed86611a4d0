"""What can be said of one entry under `collect: custom:`, and which entries cannot stand beside each other."""

import re
from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator, model_validator

from collectors.contract import EntrySettings
from toban.config import Duration, Name, misfit
from toban.statements import blot_literals

PREFIX = "toban_custom_"
MOST_HELP_CHARACTERS = 300
WORD = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_ENTRY = re.compile(r"[a-z0-9_]+")
_QUOTED = re.compile(r'"[^"]*"|`[^`]*`')
_PARAMETER = re.compile(r"(?<![\w$])\$[0-9]")
_QUERY = re.compile(r"[\s(]*(?:select|with|values|table)\b", re.IGNORECASE)


def _makes_metric(name: str) -> str:
    if not _ENTRY.fullmatch(name):
        raise ValueError(f"{name!r} makes no metric's name; use small letters, digits and _ only")
    return name


def _is_one_query(sql: str) -> str:
    """As far as it can be told without the server, which has the last word."""
    bare = _QUOTED.sub("?", blot_literals(sql)).strip().rstrip("; \t\r\n")
    if not bare:
        raise misfit("is empty; write one query")
    if ";" in bare:
        raise misfit("holds several statements; an entry is one query")
    if _PARAMETER.search(bare):
        raise misfit("has a parameter as $1, which nobody would fill; write the value itself")
    if not _QUERY.match(bare):
        raise misfit("is no query; it begins with select, with, values or table")
    return sql.strip().rstrip("; \t\r\n")


def _are_columns(names: tuple[str, ...]) -> tuple[str, ...]:
    for place, name in enumerate(names):
        if not WORD.fullmatch(name):
            raise misfit(f"{name!r} makes no name of a label or metric; give the column another with `as`", place)
        if name in names[:place]:
            raise misfit(f"{name} stands here twice", place)
    return names


Columns = Annotated[tuple[str, ...], AfterValidator(_are_columns)]


class CustomSettings(EntrySettings):
    """One query and what its columns are."""

    name: Annotated[Name, AfterValidator(_makes_metric)]
    target: Name
    every: Duration = 60.0
    help: str = Field(default="", max_length=MOST_HELP_CHARACTERS)
    labels: Columns = ()
    counters: Columns = Field(default=(), description="Columns that only grow; their names end with _total.")
    sql: Annotated[str, AfterValidator(_is_one_query)]
    database: str | None = Field(default=None, min_length=1)
    most_rows: int = Field(default=100, ge=1, le=1000)
    kept: bool = Field(default=True, description="Whether `toban history` keeps its values.")

    @field_validator("labels")
    @classmethod
    def _are_labels(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        for place, label in enumerate(labels):
            if label == "target":
                raise misfit("every sample has this label already; it is the target's name", place)
            if label.startswith("__"):
                raise misfit("is no label; one that begins with __ is Prometheus's own", place)
        return labels

    @model_validator(mode="after")
    def _counters_are_values(self) -> "CustomSettings":
        for place, column in enumerate(self.counters):
            if not column.endswith("_total"):
                raise misfit(f"a counter's name ends with _total; write `as {column}_total`", "counters", place)
            if column in self.labels:
                raise misfit(f"{column} is a label", "counters", place)
        return self


def same_metrics(entries: Sequence[CustomSettings]) -> Iterator[tuple[int, str]]:
    """Entries whose words would make one metric's name, as trades with day_count and trades_day with count."""
    for (place, longer), (_, other) in permutations(enumerate(entries), 2):
        rest = longer.name.removeprefix(f"{other.name}_")
        if rest == longer.name:
            continue
        words = set(WORD.findall(blot_literals(longer.sql)))
        for word in sorted(WORD.findall(blot_literals(other.sql))):
            column = word.removeprefix(f"{rest}_")
            if column != word and column in words:
                name = f"{PREFIX}{longer.name}_{column}"
                yield place, f"{name} would come from the entry {other.name} too; choose another name"
                break
