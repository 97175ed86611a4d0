"""What is told of a log in numbers."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

from collectors.logs.postgresql import KINDS
from collectors.logs.settings import LogsSettings
from collectors.logs.tally import OTHER, Bucket, Tally
from toban.samples import Batch, Metric, Type, Unit

PREFIX = "toban_log_match_"
_TAKEN = {"log", "target", "le", "quantile"}  # labels that have a meaning already
# What a rule compares with the time before it happened must be there before it happens.
_EXPECTED = {
    "text": ("critical", "error", "fatal"),
    "jsonl": ("critical", "error", "fatal"),
    "combined": ("5xx",),
    "postgresql": ("error", "fatal"),
}
_SCALES = {"_seconds": (Unit.SECONDS, 1.0), "_ms": (Unit.SECONDS, 0.001), "_bytes": (Unit.BYTES, 1.0)}

LINES = Metric(
    name="toban_log_lines_total",
    help="Lines read since the log is followed, by level; restarts of Toban do not reset it",
    type=Type.COUNTER,
    labels=("log", "level"),
)
MATCHES = Metric(
    name="toban_log_matches_total",
    help="Lines that a pattern fits, since the log is followed",
    type=Type.COUNTER,
    labels=("log", "pattern"),
)
LINES_24H = Metric(
    name="toban_log_lines_24h", help="Lines of the last 24 hours by level", labels=("log", "level"), kept=True
)
MATCHES_24H = Metric(
    name="toban_log_matches_24h",
    help="Lines of the last 24 hours that a pattern fits",
    labels=("log", "pattern"),
    kept=True,
)
SQLSTATES = Metric(
    name="toban_log_sqlstates_total",
    help="Warnings and errors in PostgreSQL's log by the class of their SQLSTATE, where the log has it",
    type=Type.COUNTER,
    labels=("log", "class"),
)
FAILURES_24H = Metric(
    name="toban_log_login_failures_24h", help="Failed logins of the last 24 hours", labels=("log",), kept=True
)
FAILURES_BY_ADDRESS = Metric(
    name="toban_log_login_failures_by_address_24h",
    help="Failed logins of the last 24 hours by address; the worst, and the rest as other",
    labels=("log", "address"),
)
BRUTE_FORCE = Metric(
    name="toban_log_brute_force_addresses",
    help="Addresses that in the last 24 hours failed to log in more often than the threshold within its time",
    labels=("log",),
    kept=True,
)
BEHIND = Metric(name="toban_log_behind_bytes", help="Bytes that are still to be read", unit=Unit.BYTES, labels=("log",))
FILES = Metric(name="toban_log_files", help="Files that the log's pattern names now", labels=("log",))
CUT = Metric(
    name="toban_log_cut_lines_total",
    help="Lines longer than 1 MB, of which only the beginning was looked at",
    type=Type.COUNTER,
    labels=("log",),
)
UNPARSED = Metric(
    name="toban_log_unparsed_lines_total",
    help="Lines that are not of the format they should be of",
    type=Type.COUNTER,
    labels=("log",),
)
VALUES = Metric(
    name="toban_log_values_24h", help="Lines of the last 24 hours with a number in the field", labels=("log", "field")
)


def _value_metric(what: str, told: str, unit: Unit) -> Metric:
    return Metric(
        name="_".join(filter(None, ("toban_log_value", what, unit))),
        help=f"{told} of the field's numbers in the last 24 hours",
        unit=unit,
        labels=("log", "field"),
        kept=what in {"mean", "p95"},
    )


_TOLD = {"mean": "Mean", "p50": "Median", "p95": "95th percentile", "max": "Largest"}
VALUE_STATS = {
    unit: {what: _value_metric(what, told, unit) for what, told in _TOLD.items()}
    for unit in (Unit.NONE, Unit.SECONDS, Unit.BYTES)
}
METRICS = (
    *(LINES, MATCHES, LINES_24H, MATCHES_24H, SQLSTATES, FAILURES_24H, FAILURES_BY_ADDRESS, BRUTE_FORCE),
    *(BEHIND, FILES, CUT, UNPARSED, VALUES),
    *(metric for stats in VALUE_STATS.values() for metric in stats.values()),
)


@cache
def labelled_metric(pattern: str, names: tuple[str, ...]) -> Metric:
    """A pattern with labels of its own has a metric of its own: only the configuration knows their names."""
    return Metric(
        name=f"{PREFIX}{re.sub(r'[^a-zA-Z0-9_]', '_', pattern).lower()}_total",
        help="Lines that this pattern fits, by its labels, since the log is followed",
        type=Type.COUNTER,
        labels=("log", *(f"exported_{name}" if name in _TAKEN or name.startswith("__") else name for name in names)),
    )


def add_counts(batch: Batch, settings: LogsSettings, tally: Tally, day: Bucket) -> None:
    """Levels and patterns. What is known to be counted and was never met is a zero, for alerts to see."""
    log = settings.name
    for level in sorted({*tally.levels, *_EXPECTED[settings.format]}):
        batch.add(LINES, tally.levels[level], log, level)
    for level in sorted(tally.levels):
        batch.add(LINES_24H, day.levels[level], log, level)
    for pattern in sorted({*tally.matches, *(p.name for p in settings.patterns), *_own(settings)}):
        batch.add(MATCHES, tally.matches[pattern], log, pattern)
        batch.add(MATCHES_24H, day.matches[pattern], log, pattern)
    for state, count in sorted(tally.sqlstates.items()):
        batch.add(SQLSTATES, count, log, state)
    batch.add(CUT, tally.cut, log)
    batch.add(UNPARSED, tally.unparsed, log)


def _own(settings: LogsSettings) -> tuple[str, ...]:
    """What is counted without a pattern that says so."""
    if settings.format == "postgresql":
        return KINDS
    return ("match",) if settings.match else ()


def add_labelled(batch: Batch, settings: LogsSettings, tally: Tally, names: dict[str, tuple[str, ...]]) -> None:
    """The label sets of each pattern that has any."""
    for pattern, labels in names.items():
        metric = labelled_metric(pattern, labels)
        for values, count in sorted(tally.labelled.get(pattern, Counter()).items()):
            if len(values) == len(labels):  # else counted under an earlier configuration
                batch.add(metric, count, settings.name, *values)


def add_spread(batch: Batch, settings: LogsSettings, tally: Tally) -> None:
    """The numbers of the field, in base units as its name has them."""
    if settings.value is None:
        return
    named = next((scale for ending, scale in _SCALES.items() if settings.value.endswith(ending)), None)
    unit, scale = named or (Unit.NONE, 1.0)
    found = tally.spread()
    place = (settings.name, settings.value)
    batch.add(VALUES, found.count if found else 0, *place)
    if found:
        told = {"mean": found.mean, "p50": found.p50, "p95": found.p95, "max": found.largest}
        for what, value in told.items():
            batch.add(VALUE_STATS[unit][what], value * scale, *place)


def add_logins(batch: Batch, log: str, day: Bucket, over: set[str], top: int) -> None:
    """How many failed, from how many addresses too often, and the worst of these."""
    batch.add(FAILURES_24H, day.failures.total(), log)
    batch.add(BRUTE_FORCE, len(over), log)
    shown = dict(worst(day, over, top))
    for address, count in shown.items():
        batch.add(FAILURES_BY_ADDRESS, count, log, address)
    rest = day.failures.total() - sum(shown.values())
    if rest:
        batch.add(FAILURES_BY_ADDRESS, rest, log, OTHER)


def worst(day: Bucket, over: set[str], top: int) -> Iterator[tuple[str, int]]:
    """Those over the threshold first, and of them those with the most failures."""
    named = ((address, count) for address, count in day.failures.items() if address != OTHER)
    yield from sorted(named, key=lambda found: (found[0] not in over, -found[1], found[0]))[:top]
