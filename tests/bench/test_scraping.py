"""What the bench reads out of an answer."""

import pytest

from bench.scraping import Answer

TEXT = """# HELP pg_up Whether the server answers.
# TYPE pg_up gauge
pg_up{target="a } b"} 1
pg_up_seconds 0
pg_settings_x{target="main"} 5
# EOF
"""


def test_answer_counts_series_not_comments() -> None:
    """HELP, TYPE and EOF are no series."""
    assert Answer(seconds=0.1, text=TEXT).series == 3


def test_answer_of_a_timeout_holds_nothing() -> None:
    """A request that timed out has no series and says nothing."""
    silent = Answer(seconds=10, text=None)
    assert (silent.series, silent.says("pg_up", 1)) == (0, False)


@pytest.mark.parametrize(
    ("metric", "value", "said"),
    [("pg_up", 1, True), ("pg_up", 0, False), ("pg_up_seconds", 0, True), ("pg_settings_x", 5, True), ("pg", 1, False)],
)
def test_answer_says_a_value_of_exactly_that_metric(metric: str, value: float, said: bool) -> None:  # noqa: FBT001 - a table's column
    """With labels or without, and never of a metric whose name only begins alike."""
    assert Answer(seconds=0.1, text=TEXT).says(metric, value) is said
