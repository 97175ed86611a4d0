"""Numbers for the eye: scaled only here, at the very end, and always with their unit."""

import math

from toban.language import Language
from toban.samples import Unit

NOTHING = "–"  # noqa: RUF001 - a dash, as tables have it where there is no value
_SIZES = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_STEP = 1024
_LARGEST_COUNT = 1e15  # beyond it a number is read by its exponent
_SPANS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_SPAN_WORDS = {
    Language.EN: {"d": " d", "h": " h", "min": " min", "s": " s", "ms": " ms", "us": " µs"},
    Language.JA: {"d": "日", "h": "時間", "min": "分", "s": "秒", "ms": "ミリ秒", "us": "マイクロ秒"},
}


def value_text(value: float | None, unit: Unit, language: Language) -> str:
    """A metric's value as people write it."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    match unit:
        case Unit.BYTES:
            return size_text(value)
        case Unit.SECONDS:
            return seconds_text(value, language)
        case Unit.RATIO:
            return ratio_text(value, language)
        case _:
            return count_text(value)


def size_text(size_bytes: float) -> str:
    """`512 B`, `1.5 GB`; units of 1024, as PostgreSQL has them."""
    if size_bytes < 0:
        return "-" + size_text(-size_bytes)
    scaled = float(size_bytes)
    for unit in _SIZES[:-1]:
        shown = _short(scaled)
        if float(shown) < _STEP:
            return f"{shown} {unit}"
        scaled /= _STEP
    return f"{_short(scaled)} {_SIZES[-1]}"


def seconds_text(seconds: float, language: Language) -> str:
    """`350 ms`, `1.23 s`, `2 h 5 min`; 2時間5分. Never more than two units."""
    if seconds < 0:
        return "-" + seconds_text(-seconds, language)
    words = _SPAN_WORDS[language]
    if 0 < seconds < 0.0009995:  # noqa: PLR2004 - what rounds to less than a millisecond
        return f"{seconds * 1e6:.0f}{words['us']}"
    if 0 < seconds < 0.9995:  # noqa: PLR2004 - what rounds to less than a second
        return f"{seconds * 1000:.3g}{words['ms']}"
    if seconds < 9.995:  # noqa: PLR2004 - what rounds to less than ten seconds
        return f"{seconds:.3g}{words['s']}"
    return _span_text(round(seconds), words, " " if language is Language.EN else "")


def ratio_text(ratio: float, language: Language) -> str:
    """A ratio in per cent. What is not quite nothing or not quite all is not rounded to it."""
    gap = " " if language is Language.EN else ""
    percent = ratio * 100
    if 0 < percent < 0.05:  # noqa: PLR2004 - what would round to 0.0
        return f"<0.1{gap}%"
    if 99.95 <= percent < 100:  # noqa: PLR2004 - what would round to 100.0
        return f">99.9{gap}%"
    return f"{percent:.1f}{gap}%"


def count_text(count: float) -> str:
    """`1,432`, `0.25`; three significant digits below one."""
    if count and (abs(count) < 1 or abs(count) >= _LARGEST_COUNT):
        return f"{count:.3g}"
    return f"{count:,.0f}" if count == int(count) else f"{count:,.2f}".rstrip("0").rstrip(".")


def _short(number: float) -> str:
    """One decimal below a hundred, none above, and none that is zero."""
    rounded = round(number, 1)
    return f"{rounded:.0f}" if rounded >= 100 or rounded == int(rounded) else f"{rounded:.1f}"  # noqa: PLR2004 - two digits


def _span_text(seconds: int, words: dict[str, str], gap: str) -> str:
    at = next(place for place, (_, size) in enumerate(_SPANS) if seconds >= size)
    unit, size = _SPANS[at]
    first = f"{seconds // size:,}{words[unit]}"
    if size == 1:
        return first
    next_unit, next_size = _SPANS[at + 1]
    rest = seconds % size // next_size
    return f"{first}{gap}{rest}{words[next_unit]}" if rest else first
