"""A threshold as people read it: one that is written as a bare number gets the unit of what it is held against."""

import re

from toban.language import Language
from toban.samples import Unit
from toban.units import value_text

_BARE = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*([+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?)\s*")


def threshold_text(written: str, unit: Unit, language: Language) -> str:
    """`> 0.95` of a ratio is `> 95.0 %`; what has a unit already stays as its author wrote it."""
    bare = _BARE.fullmatch(written)
    return written if bare is None else f"{bare[1]} {value_text(float(bare[2]), unit, language)}"
