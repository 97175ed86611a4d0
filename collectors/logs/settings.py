"""What can be said of a log under `collect: logs:`."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from collectors.contract import EntrySettings
from collectors.logs.matching import compiled
from toban.config import NONE_LISTED, AbsolutePath, Duration, Model, misfit

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
_VALUE_MAX = 1000


def _is_regex(text: str) -> str:
    compiled(text)
    return text


def _is_word(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name; use letters, digits and _, a letter first")
    return name


Regex = Annotated[str, AfterValidator(_is_regex)]
Word = Annotated[str, AfterValidator(_is_word)]
Fields = dict[str, str | int | float | bool]
"""Names of fields with the value or the shell pattern each must have."""


class Pattern(Model):
    """What is counted: lines that a regular expression finds, or whose fields are so."""

    name: Word
    match: Regex | Fields
    contains: str = ""  # only lines that hold this text are looked at, which is quicker
    level: str = ""  # only lines of this level
    labels: tuple[Word, ...] = ()  # fields whose values become labels; of an expression its named groups do


class Logins(Model):
    """Which lines are failed logins, and how many from one address in how short a time are an attack."""

    preset: Literal["sshd"] | None = None
    match: Regex | Fields | None = None  # an expression with a group `address`, or fields
    address: str = "address"  # the field that holds the address, where `match` is of fields
    status: tuple[int, ...] = (401,)  # of a `combined` log
    path: str = "*"  # of a `combined` log: which requests are logins
    threshold: int = Field(default=10, ge=1, le=_VALUE_MAX)  # more than so many …
    within: Duration = 300.0  # … within this time
    top: int = Field(default=10, ge=1, le=_VALUE_MAX)  # so many addresses get series of their own


class LogsSettings(EntrySettings):
    """One log: where it is, how its lines are read, and what is counted in them."""

    every: Duration = 15.0
    timeout: Duration = 30.0
    path: AbsolutePath
    exclude: Annotated[tuple[str, ...], NONE_LISTED] = ()
    rotated: AbsolutePath | None = None  # where rotated files go, if not beside the log
    format: Literal["text", "jsonl", "combined", "postgresql"] = "text"
    from_start: bool = False
    level: str | None = None  # of jsonl the field; of text an expression whose first group is the level
    time: str = "timestamp"  # of jsonl: the field with the line's own time
    value: str | None = None  # of jsonl the field with a number; else the named group of a pattern
    match: Fields = Field(default_factory=dict)  # of jsonl: the lines whose `value` counts
    patterns: Annotated[tuple[Pattern, ...], NONE_LISTED] = ()
    label_sets: int = Field(default=20, ge=1, le=_VALUE_MAX)
    logins: Logins | None = None
    log_line_prefix: str = "%m [%p] "  # of postgresql: as the server's setting has it

    @field_validator("patterns")
    @classmethod
    def _are_told_apart(cls, patterns: tuple[Pattern, ...]) -> tuple[Pattern, ...]:
        names = [pattern.name.lower() for pattern in patterns]  # as their metrics are called
        for place, name in enumerate(names):
            if name in names[:place]:
                raise misfit(f"another pattern is called {patterns[place].name} too", place, "name")
        return patterns

    @model_validator(mode="after")
    def _fits_the_format(self) -> "LogsSettings":
        by_fields = self.format == "jsonl"
        if self.match and not by_fields:
            raise misfit("fields are matched in jsonl only; write a pattern with an expression", "match")
        for place, pattern in enumerate(self.patterns):
            if isinstance(pattern.match, str) == by_fields:
                wanted = "fields, as {event: login}" if by_fields else "a regular expression"
                raise misfit(f"in {self.format} a pattern matches {wanted}", "patterns", place, "match")
        if self.level is not None and not by_fields:
            _check_level(self)
        _check_logins(self)
        return self


def _check_level(settings: LogsSettings) -> None:
    if settings.format != "text":
        raise misfit(f"a {settings.format} log has levels of its own", "level")
    if compiled(settings.level or "").groups < 1:
        raise misfit(r"has no group; write \[(\w+)\], whose first group is the level", "level")


def _check_logins(settings: LogsSettings) -> None:
    logins = settings.logins
    if logins is None or settings.format in {"combined", "postgresql"}:
        return
    if logins.match is None and logins.preset is None:
        raise misfit("say which lines are failed logins: match, or preset: sshd", "logins")
    if settings.format == "jsonl" and not isinstance(logins.match, dict):
        raise misfit("in jsonl failed logins match fields, as {status: 401}", "logins", "match")
    if settings.format == "text" and isinstance(logins.match, dict):
        raise misfit("fields are matched in jsonl only; write a regular expression", "logins", "match")
    if isinstance(logins.match, str) and "address" not in compiled(logins.match).groupindex:
        raise misfit("has no group (?P<address>…)", "logins", "match")
