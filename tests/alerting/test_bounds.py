import re

import pytest

from alerting.rules.bounds import Bound, Form, Way, parse_bound
from toban.samples import Unit


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("> 80%", Bound(">", 0.8, "> 80%", Form.SHARE)),
        ("< 10GB", Bound("<", 10 * 1024**3, "< 10GB", Form.SIZE)),
        (">= 30s", Bound(">=", 30.0, ">= 30s", Form.DURATION)),
        ("> 5", Bound(">", 5.0, "> 5")),
        (" != 1 ", Bound("!=", 1.0, "!= 1")),
        ("<=1h30m", Bound("<=", 5400.0, "<=1h30m", Form.DURATION)),
        ("== -2.5", Bound("==", -2.5, "== -2.5")),
        ("< -10%", Bound("<", -0.1, "< -10%", Form.SHARE)),
        ("> -1GB", Bound(">", -(1024.0**3), "> -1GB", Form.SIZE)),
        ("> 250%", Bound(">", 2.5, "> 250%", Form.SHARE)),
        ("> 0s", Bound(">", 0.0, "> 0s", Form.DURATION)),
        ("> 1e9", Bound(">", 1e9, "> 1e9")),
    ],
)
def test_bound_reads_what_people_write(text: str, bound: Bound) -> None:
    """Shares, sizes, durations and bare numbers, each in base units."""
    assert parse_bound(text) == bound
    assert parse_bound(bound) is bound


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("80%", '\'80%\' compares with nothing; write it as "> 80%", "< 10GB", ">= 30s", "> 5" or "!= 1"'),
        (5, '5 compares with nothing; write it as "> 80%", "< 10GB", ">= 30s", "> 5" or "!= 1"'),
        ("= 5", "'= 5' compares by =; there are > >= < <= == !="),
        ("=> 5", "'=> 5' compares by =>; there are > >= < <= == !="),
        ("> lots", "'> lots' has no value to compare with; write 80%, 10GB, 30s or 5"),
        (">", "'>' has no value to compare with; write 80%, 10GB, 30s or 5"),
        ("> 5 apples", "'> 5 apples' has no value to compare with; write 80%, 10GB, 30s or 5"),
        ("> nan", "'> nan' has no value to compare with; write 80%, 10GB, 30s or 5"),
    ],
)
def test_bound_refuses_what_is_none(text: object, why: str) -> None:
    """Each mistake with its own sentence."""
    with pytest.raises(ValueError, match=rf"^{re.escape(why)}$"):
        parse_bound(text)


@pytest.mark.parametrize(
    ("text", "beyond", "not_beyond"),
    [("> 5", 5.1, 5), (">= 5", 5, 4.9), ("< 5", 4.9, 5), ("<= 5", 5, 5.1), ("== 5", 5, 6), ("!= 5", 6, 5)],
)
def test_bound_holds_beyond_its_value(text: str, beyond: float, not_beyond: float) -> None:
    """And never for what is no number."""
    bound = parse_bound(text)
    assert bound.holds(beyond)
    assert not bound.holds(not_beyond)
    assert not bound.holds(float("nan"))


def test_bound_knows_its_side() -> None:
    """Above, below, or neither."""
    assert [parse_bound(text).way for text in ("> 1", ">= 1", "< 1", "<= 1", "== 1", "!= 1")] == [
        *(Way.ABOVE, Way.ABOVE, Way.BELOW, Way.BELOW, Way.AT, Way.AT)
    ]


def test_bound_fits_the_unit_it_is_written_in() -> None:
    """A bare number fits any, and a metric without a unit takes any."""
    assert [unit for unit in Unit if parse_bound("> 5").fits(unit)] == list(Unit)
    assert [unit for unit in Unit if parse_bound("> 5%").fits(unit)] == [Unit.NONE, Unit.RATIO]
    assert [unit for unit in Unit if parse_bound("> 5GB").fits(unit)] == [Unit.NONE, Unit.BYTES]
    assert [unit for unit in Unit if parse_bound("> 5s").fits(unit)] == [Unit.NONE, Unit.SECONDS]
