from bench.evaluations import ROWS, STORM, WELL, Measured, judged, lines, measured
from bench.goals import missed


def a_grid(per_second: float, rules: int = 10) -> Measured:
    """One grid that made so many evaluations a second."""
    return Measured(rules, 20, WELL, int(per_second), 1.0)


def test_evaluations_are_held_to_their_floor_and_to_linear_growth() -> None:
    """The slowest grid counts, and none may be more than twice as slow as the smallest."""
    assert missed({}, judged([a_grid(300_000), a_grid(200_000)]), ROWS) == []
    assert [row.key for row in missed({}, judged([a_grid(300_000), a_grid(199_999)]), ROWS)] == ["evaluations"]
    assert [row.key for row in missed({}, judged([a_grid(900_000), a_grid(300_000)]), ROWS)] == ["growth"]


def test_evaluations_are_told_a_grid_a_line() -> None:
    """With the time of one, beside that of the smallest grid."""
    assert lines([a_grid(1_000_000), a_grid(500_000, 20)])[2:] == [
        "| all is well | 10 x 20 | 1,000,000 | 1,000 ns | 1.00 |",
        "| all is well | 20 x 20 | 500,000 | 2,000 ns | 2.00 |",
    ]


def test_evaluations_are_counted_by_rules_and_series() -> None:
    """A grid of two rules and three series makes six a turn, in a storm as well."""
    for load in (WELL, STORM):
        assert measured(2, 3, load, 1e-9).evaluations == 6
