"""The lines of the table, and the goal each is held to. Pure: figures go in, a verdict comes out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

Figures = Mapping[str, float]  # a row's key with its value
Judge = Callable[[Figures, Figures], bool]  # the exporter's figures, Toban's figures -> whether the goal is met

RESIDENT_BYTES = 90e6
FURTHER_DATABASE_BYTES = 0.3e6
HISTORY_BYTES = 150e6
CONNECTIONS = 2
FIRST_SAMPLE_SECONDS = 2.0
HELP_TIMES = 10.0
THROUGHPUT_SHARE = 0.99
LARGE_SERVER_SECONDS = 0.6  # a minute: one hundredth of a core
LARGE_RESIDENT_BYTES = 120e6
LARGE_LAG_SECONDS = 0.02
MANY_RESIDENT_BYTES = 250e6
MANY_CPU_SHARE = 0.5
MANY_TURNS_SHARE = 0.99


class Form(StrEnum):
    """How a figure is written."""

    SECONDS = "seconds"
    BYTES = "bytes"
    COUNT = "count"
    TIMES = "times"
    SHARE = "share"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What Toban is held to."""

    text: str
    met: Judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    key: str
    label: str
    form: Form
    goal: Goal | None = None

    def verdict(self, exporter: Figures, toban: Figures) -> bool | None:
        """Whether the goal is met; None where there is no goal, or not every figure it needs."""
        if self.goal is None:
            return None
        try:
            return self.goal.met(exporter, toban)
        except KeyError:
            return None


def at_most(key: str, limit: float, text: str) -> Goal:
    """Toban's figure stays below a fixed limit."""
    return Goal(text=text, met=lambda _, toban: toban[key] <= limit)


def at_least(key: str, limit: float, text: str) -> Goal:
    """Toban's figure reaches a fixed limit."""
    return Goal(text=text, met=lambda _, toban: toban[key] >= limit)


def at_most_theirs(key: str, text: str, *, times: int = 1, of: str = "") -> Goal:
    """Toban's figure goes so many times into the exporter's (into another row's, where `of` names it)."""
    return Goal(text=text, met=lambda exporter, toban: toban[key] * times <= exporter[of or key])


def at_least_theirs(key: str, text: str) -> Goal:
    """Toban's figure reaches the exporter's."""
    return Goal(text=text, met=lambda exporter, toban: toban[key] >= exporter[key])


ROWS = (
    Row(key="p50", label="/metrics p50", form=Form.SECONDS),
    Row(
        key="p99",
        label="/metrics p99",
        form=Form.SECONDS,
        goal=at_most_theirs("p99", "≤ 1/3 of the exporter's p50", times=3, of="p50"),
    ),
    Row(key="stopped_p50", label="/metrics p50, server stopped", form=Form.SECONDS),
    Row(
        key="stopped_p99",
        label="/metrics p99, server stopped",
        form=Form.SECONDS,
        # "No worse" is held to the same limit, not to the other p99: two tails are never equal twice.
        goal=at_most_theirs("stopped_p99", "the same limit, still held", times=3, of="p50"),
    ),
    Row(
        key="stopped_timeouts",
        label="requests timed out, server stopped",
        form=Form.COUNT,
        goal=at_most("stopped_timeouts", 0, "none"),
    ),
    Row(
        key="cpu_per_minute",
        label="CPU per minute",
        form=Form.SECONDS,
        goal=at_most_theirs("cpu_per_minute", "≤ the exporter's"),
    ),
    Row(
        key="resident",
        label="resident memory (most seen)",
        form=Form.BYTES,
        goal=at_most("resident", RESIDENT_BYTES, "≤ 90 MB"),
    ),
    Row(key="proportional", label="proportional memory (PSS)", form=Form.BYTES),
    Row(
        key="further_database",
        label="memory per further database",
        form=Form.BYTES,
        goal=at_most("further_database", FURTHER_DATABASE_BYTES, "≤ 0.3 MB"),
    ),
    Row(
        key="server_per_minute",
        label="server time per minute",
        form=Form.SECONDS,
        goal=at_most_theirs("server_per_minute", "≤ 1/3 of the exporter's", times=3),
    ),
    Row(key="planned_per_minute", label="the same with planning", form=Form.SECONDS),
    Row(
        key="connections",
        label="connections held (most seen)",
        form=Form.COUNT,
        goal=at_most("connections", CONNECTIONS, "≤ 2"),
    ),
    Row(key="lag", label="loop lag (p99 of the most in 15 s)", form=Form.SECONDS),
    Row(key="series", label="series", form=Form.COUNT, goal=at_least_theirs("series", "≥ the exporter's")),
    Row(
        key="first_sample",
        label="first pg_up 1 after exec",
        form=Form.SECONDS,
        goal=at_most("first_sample", FIRST_SAMPLE_SECONDS, "≤ 2 s"),
    ),
    Row(
        key="throughput",
        label="pgbench throughput beside it",
        form=Form.SHARE,
        goal=at_least("throughput", THROUGHPUT_SHARE, "≥ 99 % of that without"),
    ),
    Row(key="throughput_spread", label="spread of the runs without", form=Form.SHARE),
    Row(
        key="help",
        label="--help ÷ python -c pass",
        form=Form.TIMES,
        goal=at_most("help", HELP_TIMES, "≤ 10"),
    ),
    Row(
        key="history",
        label="history on disk at full retention",
        form=Form.BYTES,
        goal=at_most("history", HISTORY_BYTES, "≤ 150 MB"),
    ),
    Row(
        key="large_server_per_minute",
        label="10,000 tables, 5,000 statements: server time per minute",
        form=Form.SECONDS,
        goal=at_most("large_server_per_minute", LARGE_SERVER_SECONDS, "≤ 1 % of a core"),
    ),
    Row(
        key="large_connections",
        label="… connections held (most seen)",
        form=Form.COUNT,
        goal=at_most("large_connections", CONNECTIONS, "≤ 2"),
    ),
    Row(
        key="large_own",
        label="… resident memory (most seen)",
        form=Form.BYTES,
        goal=at_most("large_own", LARGE_RESIDENT_BYTES, "≤ 120 MB"),
    ),
    Row(key="large_resident", label="… with the package manager, asked once a day", form=Form.BYTES),
    Row(
        key="large_lag",
        label="… loop lag (p99 of the most in 15 s)",
        form=Form.SECONDS,
        goal=at_most("large_lag", LARGE_LAG_SECONDS, "≤ 20 ms"),
    ),
    Row(key="large_cpu_per_minute", label="… CPU per minute", form=Form.SECONDS),
    Row(key="large_series", label="… series", form=Form.COUNT),
    Row(
        key="many_turns",
        label="100 targets: turns taken of those due",
        form=Form.SHARE,
        goal=at_least("many_turns", MANY_TURNS_SHARE, "≥ 99 %"),
    ),
    Row(
        key="many_resident",
        label="… resident memory (most seen)",
        form=Form.BYTES,
        goal=at_most("many_resident", MANY_RESIDENT_BYTES, "≤ 250 MB"),
    ),
    Row(
        key="many_cpu",
        label="… share of one core",
        form=Form.SHARE,
        goal=at_most("many_cpu", MANY_CPU_SHARE, "≤ 50 %"),
    ),
    Row(key="many_lag", label="… loop lag (p99 of the most in 15 s)", form=Form.SECONDS),
)


def missed(exporter: Figures, toban: Figures, rows: tuple[Row, ...] = ROWS) -> list[Row]:
    """The rows whose goal is not met."""
    return [row for row in rows if row.verdict(exporter, toban) is False]
