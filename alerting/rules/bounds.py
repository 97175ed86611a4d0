"""A threshold: a comparison and a value, written as people write them: `> 80%`, `< 10GB`, `>= 30s`, `> 5`, `!= 1`."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from toban.config import parse_duration, parse_size
from toban.samples import Unit

Compare = Callable[[float, float], bool]


class Form(StrEnum):
    """How the value is written, and so what it can be held against."""

    PLAIN = "a bare number"
    SHARE = "a share"
    SIZE = "a size"
    DURATION = "a duration"


class Way(StrEnum):
    """On which side of its value the trouble is."""

    ABOVE = "above"
    BELOW = "below"
    AT = "at"  # == and !=: no side


COMPARISONS: Final[Mapping[str, Compare]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
UNITS: Final[Mapping[Form, Unit]] = {Form.SHARE: Unit.RATIO, Form.SIZE: Unit.BYTES, Form.DURATION: Unit.SECONDS}
"""The unit that a form needs; a metric without a unit takes any."""
_WRITTEN = re.compile(r"\s*(?P<comparison>[<>=!]*)\s*(?P<quantity>[^<>=!]*?)\s*")
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?")
_NO_TIME = re.compile(r"[+-]?0+(?:\.0+)?(?:ms|s|m|h|d|w)")
_PERCENT = re.compile(r"([+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?)\s*%")


@dataclass(frozen=True, slots=True)
class Bound:
    """One threshold. `text` is how it is written, which is how people are told of it."""

    comparison: str
    value: float
    text: str
    form: Form = Form.PLAIN

    @property
    def compare(self) -> Compare:
        """The comparison itself, for whoever asks it very often."""
        return COMPARISONS[self.comparison]

    @property
    def way(self) -> Way:
        """Where the trouble is."""
        return {">": Way.ABOVE, "<": Way.BELOW}.get(self.comparison[0], Way.AT)

    def holds(self, value: float) -> bool:
        """Whether a value is beyond it. What is no number (NaN) is beyond nothing."""
        return value == value and self.compare(value, self.value)  # noqa: PLR0124 - NaN alone differs from itself

    def fits(self, unit: Unit) -> bool:
        """Whether values of this unit can be held against it."""
        return Unit.NONE in (UNITS.get(self.form, Unit.NONE), unit) or UNITS[self.form] is unit

    def __str__(self) -> str:
        return self.text


def parse_bound(written: Any) -> Bound:  # noqa: ANN401 - whatever YAML held
    """`> 80%` as a bound."""
    if isinstance(written, Bound):
        return written
    match = _WRITTEN.fullmatch(written) if isinstance(written, str) else None
    if match is None or not match["comparison"]:
        raise ValueError(f'{written!r} compares with nothing; write it as "> 80%", "< 10GB", ">= 30s", "> 5" or "!= 1"')
    comparison = match["comparison"]
    if comparison not in COMPARISONS:
        raise ValueError(f"{written!r} compares by {comparison}; there are {' '.join(COMPARISONS)}")
    try:
        value, form = parse_quantity(match["quantity"])
    except ValueError:
        raise ValueError(f"{written!r} has no value to compare with; write 80%, 10GB, 30s or 5") from None
    return Bound(comparison, value, written.strip(), form)


def parse_quantity(text: str) -> tuple[float, Form]:
    """`80%`, `10GB`, `30s`, `-5` in base units, and which of them it was. A share may be above 100 %."""
    bare = text.strip()
    if _NUMBER.fullmatch(bare):
        return float(bare), Form.PLAIN
    share = _PERCENT.fullmatch(bare)
    if share:
        return float(share[1]) / 100, Form.SHARE
    if _NO_TIME.fullmatch(bare):
        return 0.0, Form.DURATION
    sign, rest = (-1.0, bare[1:]) if bare.startswith("-") else (1.0, bare)
    try:
        return sign * parse_size(rest), Form.SIZE
    except ValueError:
        return sign * parse_duration(rest), Form.DURATION
