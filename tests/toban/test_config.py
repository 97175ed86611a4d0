"""Durations, sizes, shares and paths as people write them, and the frozen base."""

from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from toban.config import (
    EMPTY_IS_DEFAULT,
    WRITTEN,
    AbsolutePath,
    Duration,
    Model,
    Share,
    Size,
    format_duration,
    format_share,
    format_size,
    misfit,
    parse_duration,
    parse_path,
    parse_share,
    parse_size,
)


class Sample(Model):
    """One of each."""

    every: Duration = 15.0
    size: Size = 1024
    share: Share = 0.8
    path: AbsolutePath = Path("/srv")


class Holder(Model):
    """A section within a section."""

    sample: Annotated[Sample, EMPTY_IS_DEFAULT] = Sample()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("90s", 90),
        ("15m", 900),
        ("2h", 7200),
        ("7d", 604800),
        ("1w", 604800),
        ("1h30m", 5400),
        (" 1.5s ", 1.5),
    ],
)
def test_duration_reads_what_people_write(text: str, seconds: float) -> None:
    """Every unit, a fraction, several units in a row, and space around."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fast",
        "15",
        "15 m",
        "m15",
        "-5s",
        "1h 30m",
        "\uff15s",
        "1e3s",
        "0s",
        "9999999w",
        15,
        1.5,
        True,
        None,
        [],
        {},
    ],
)
def test_duration_refuses_what_is_none(text: object) -> None:
    """No bare number, no sign, no zero, no century, no other type: and the message quotes what was written."""
    with pytest.raises(ValueError, match=r"is no duration|is out of range") as refused:
        parse_duration(text)
    assert str(refused.value).startswith(repr(text))


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=10**11))
def test_duration_written_reads_back_the_same(milliseconds: int) -> None:
    """What `config show` prints may be pasted into a file."""
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, rel=1e-12)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.1, "100ms"), (1.5, "1.5s"), (90.0, "90s"), (60.0, "1m"), (7200.0, "2h"), (604800.0, "7d")]
)
def test_duration_is_shown_in_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    """As the contract writes them."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("512MB", 512 * 2**20), ("10GB", 10 * 2**30), ("8 kB", 8192), ("1.5KB", 1536), (4096, 4096), ("7B", 7)],
)
def test_size_reads_what_people_write(text: object, size_bytes: int) -> None:
    """Units of 1024, and bare bytes."""
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "big", "10", "10gb", "-1MB", -1, True, 1.5, None, "9" * 400 + "GB"])
def test_size_refuses_what_is_none(text: object) -> None:
    """Each of them quoted."""
    with pytest.raises(ValueError, match="is no size; write 512MB or 10GB") as refused:
        parse_size(text)
    assert str(refused.value).startswith(repr(text))


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=2**59))
def test_size_written_reads_back_the_same(size_bytes: int) -> None:
    """Exactly, at any size."""
    assert parse_size(format_size(size_bytes)) == size_bytes


@pytest.mark.parametrize(("text", "ratio"), [("80%", 0.8), ("0%", 0), ("100 %", 1), ("99.5%", 0.995)])
def test_share_reads_per_cent(text: str, ratio: float) -> None:
    """From nothing to the whole."""
    assert parse_share(text) == ratio


@pytest.mark.parametrize("text", ["", "80", "101%", "-1%", 0.8, 80, True, None])
def test_share_refuses_what_is_none(text: object) -> None:
    """More than the whole, or no per cent sign."""
    with pytest.raises(ValueError, match="is no share; write 80%"):
        parse_share(text)


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=10_000))
def test_share_written_reads_back_the_same(hundredths: int) -> None:
    """To a hundredth of a per cent."""
    assert parse_share(format_share(hundredths / 10_000)) == pytest.approx(hundredths / 10_000)


@pytest.mark.parametrize("value", ["x.db", "./x.db", "~/x.db", "", "/a\0b", 5, None])
def test_path_is_absolute_or_refused(value: object) -> None:
    """A relative one would depend on where the daemon happens to stand."""
    with pytest.raises(ValueError, match="is no absolute path; begin it with /"):
        parse_path(value)


def test_model_takes_plain_numbers_from_code_only() -> None:
    """In code 1.5 is seconds; in a file it is a mistake."""
    assert Sample(every=1.5, share=0.5, path=Path("/x")).every == 1.5
    with pytest.raises(ValidationError) as refused:
        Sample.model_validate({"every": 1.5, "share": 0.5}, context=WRITTEN)
    assert [error["loc"] for error in refused.value.errors()] == [("every",), ("share",)]


def test_model_shows_values_as_they_are_written() -> None:
    """What comes out is what a file would say."""
    assert Sample().model_dump(mode="json") == {"every": "15s", "size": "1kB", "share": "80%", "path": "/srv"}
    assert Sample.model_validate(Sample().model_dump(mode="json"), context=WRITTEN) == Sample()


def test_model_is_frozen_and_knows_its_keys() -> None:
    """Nothing changes behind the daemon's back, nothing is silently ignored."""
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Sample(), "every", 3.0)  # noqa: B010 - the type checker would refuse the plain form
    with pytest.raises(ValidationError, match="Extra inputs"):
        Sample.model_validate({"evry": "5s"})


def test_model_never_quotes_its_input() -> None:
    """A stray traceback of the validator shows no value."""
    with pytest.raises(ValidationError) as refused:
        Sample.model_validate({"sise": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_empty_section_means_its_defaults() -> None:
    """A section with only comments beneath is null in YAML."""
    assert Holder.model_validate({"sample": None}) == Holder()


def test_misfit_carries_the_place_to_blame() -> None:
    """The key, from the validator's own place."""
    error = misfit("does not go with it", "tls", 0)
    assert error.context == {"why": "does not go with it", "at": ("tls", 0)}
    assert error.message() == "does not go with it"
