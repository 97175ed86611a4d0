"""Claims about numbers as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toban.language import Language
from toban.samples import Unit
from toban.units import count_text, ratio_text, seconds_text, size_text, value_text

EN, JA = Language.EN, Language.JA


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1023, "1023 B"),
        (1024, "1 kB"),
        (1536, "1.5 kB"),
        (1024**2 - 1, "1 MB"),
        (1.5 * 1024**3, "1.5 GB"),
        (99.96 * 1024**3, "100 GB"),
        (150 * 1024**4, "150 TB"),
        (2 * 1024**5, "2 PB"),
        (5000 * 1024**6, "5000 EB"),
        (-1536, "-1.5 kB"),
    ],
)
def test_sizes_are_in_units_of_1024(size_bytes: float, text: str) -> None:
    """As PostgreSQL's settings have them."""
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "english", "japanese"),
    [
        (0, "0 s", "0秒"),
        (0.00025, "250 µs", "250マイクロ秒"),
        (0.2, "200 ms", "200ミリ秒"),
        (0.9996, "1 s", "1秒"),
        (1.234, "1.23 s", "1.23秒"),
        (9.996, "10 s", "10秒"),
        (59.6, "1 min", "1分"),
        (303, "5 min 3 s", "5分3秒"),
        (7500, "2 h 5 min", "2時間5分"),
        (7200, "2 h", "2時間"),
        (3 * 86400 + 4 * 3600, "3 d 4 h", "3日4時間"),
        (1234 * 86400, "1,234 d", "1,234日"),
        (-90, "-1 min 30 s", "-1分30秒"),
    ],
)
def test_seconds_have_at_most_two_units(seconds: float, english: str, japanese: str) -> None:
    """In both languages, and rounded up into the next unit where it must be."""
    assert seconds_text(seconds, EN) == english
    assert seconds_text(seconds, JA) == japanese


@pytest.mark.parametrize(
    ("ratio", "english", "japanese"),
    [
        (0, "0.0 %", "0.0%"),
        (0.931, "93.1 %", "93.1%"),
        (0.00001, "<0.1 %", "<0.1%"),
        (0.99999, ">99.9 %", ">99.9%"),
        (1, "100.0 %", "100.0%"),
        (1.5, "150.0 %", "150.0%"),
        (-0.25, "-25.0 %", "-25.0%"),
    ],
)
def test_ratio_is_never_rounded_to_nothing_or_all(ratio: float, english: str, japanese: str) -> None:
    """A disk that is not quite full is not called full."""
    assert ratio_text(ratio, EN) == english
    assert ratio_text(ratio, JA) == japanese


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (1432, "1,432"),
        (1432.5, "1,432.5"),
        (1.999, "2"),
        (0.25, "0.25"),
        (0.00012345, "0.000123"),
        (-1432, "-1,432"),
        (1e18, "1e+18"),
    ],
)
def test_counts_have_separators(count: float, text: str) -> None:
    """Digits in groups, no decimals that say nothing."""
    assert count_text(count) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1536, Unit.BYTES, "1.5 kB"),
        (90, Unit.SECONDS, "1 min 30 s"),
        (0.5, Unit.RATIO, "50.0 %"),
        (1432, Unit.NONE, "1,432"),
        (None, Unit.NONE, "–"),  # noqa: RUF001 - the dash itself
        (math.nan, Unit.BYTES, "–"),  # noqa: RUF001 - the dash itself
        (math.inf, Unit.SECONDS, "∞"),
        (-math.inf, Unit.SECONDS, "-∞"),
    ],
)
def test_value_is_shown_by_its_unit(value: float | None, unit: Unit, text: str) -> None:
    """Each unit in its own way, and what is no number as such."""
    assert value_text(value, unit, EN) == text


@given(st.floats(), st.sampled_from(Unit), st.sampled_from(Language))
def test_any_number_can_be_shown(value: float, unit: Unit, language: Language) -> None:
    """No value that a server could send makes a table fail."""
    assert value_text(value, unit, language)
