"""The table that the bench prints."""

import pytest

from bench.goals import Form
from bench.table import ratio, table, written


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0.02812, Form.SECONDS, "28.1 ms"),
        (10.0, Form.SECONDS, "10.00 s"),
        (82.4e6, Form.BYTES, "82 MB"),
        (0.05e6, Form.BYTES, "0.05 MB"),
        (1565.0, Form.COUNT, "1,565"),
        (4.25, Form.TIMES, "4.2 x"),
        (0.9934, Form.SHARE, "99.34%"),
        (None, Form.COUNT, "-"),
    ],
)
def test_figure_is_written_for_people(value: float | None, form: Form, text: str) -> None:
    """Each form has the digits that mean something."""
    assert written(value, form) == text


@pytest.mark.parametrize(
    ("exporter", "toban", "text"), [(4.0, 1.0, "0.25"), (None, 1.0, "-"), (1.0, None, "-"), (0.0, 1.0, "-")]
)
def test_ratio_needs_both_figures(exporter: float | None, toban: float | None, text: str) -> None:
    """Toban's figure over the exporter's, and a dash where one is missing or nothing."""
    assert ratio(exporter, toban) == text


def test_table_says_what_is_met_and_what_is_missed() -> None:
    """Connections are within the goal, memory is not."""
    lines = table({"connections": 22.0}, {"connections": 2.0, "resident": 100e6}).splitlines()
    assert [" ".join(line.replace("|", " ").split()) for line in lines[2:]] == [
        "resident memory (most seen) - 100 MB - ≤ 90 MB **missed**",
        "connections held (most seen) 22 2 0.09 ≤ 2 met",
    ]


def test_table_leaves_out_what_nobody_measured() -> None:
    """No figures, no rows: the head and its rule remain."""
    assert len(table({}, {}).splitlines()) == 2


def test_table_is_aligned() -> None:
    """Every line is equally wide, so that it reads as well in a terminal as on a page."""
    lines = table({"p50": 0.03, "series": 1565.0}, {"p99": 0.01}).splitlines()
    assert len({len(line) for line in lines}) == 1
