"""The goals of the bench, judged."""

import pytest

from bench.goals import ROWS, missed

EXPORTER = {"p50": 0.030, "cpu_per_minute": 0.05, "server_per_minute": 0.12, "series": 1565.0}
TOBAN = {
    "p99": 0.010,
    "stopped_p99": 0.010,
    "stopped_timeouts": 0.0,
    "cpu_per_minute": 0.05,
    "resident": 90e6,
    "further_database": 0.3e6,
    "server_per_minute": 0.04,
    "connections": 2.0,
    "series": 1565.0,
    "first_sample": 2.0,
    "throughput": 0.99,
    "help": 10.0,
    "history": 150e6,
    "large_server_per_minute": 0.6,
    "large_connections": 2.0,
    "large_own": 120e6,
    "large_lag": 0.02,
    "many_turns": 0.99,
    "many_resident": 250e6,
    "many_cpu": 0.5,
}
LEAST = {"series", "throughput", "many_turns"}
WORSE = {key: value * (0.9 if key in LEAST else 1.1) + 0.001 for key, value in TOBAN.items()}


def test_goals_are_met_at_their_very_limit() -> None:
    """Each goal says `at most` or `at least`: the limit itself is good enough."""
    assert missed(EXPORTER, TOBAN) == []


@pytest.mark.parametrize("key", TOBAN)
def test_goal_is_missed_beyond_its_limit(key: str) -> None:
    """A figure a tenth worse than the limit is a miss, and only of its own row."""
    assert [row.key for row in missed(EXPORTER, {**TOBAN, key: WORSE[key]})] == [key]


def test_goals_of_what_was_not_measured_are_neither_met_nor_missed() -> None:
    """A run of one step, or of one column, is not judged by what it left out."""
    assert missed({}, {}) == []
    assert {row.verdict({}, {}) for row in ROWS} == {None}


def test_rows_have_a_key_each() -> None:
    """A figure belongs to one line."""
    keys = [row.key for row in ROWS]
    assert len(keys) == len(set(keys))
