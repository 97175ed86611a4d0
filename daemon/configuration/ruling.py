"""What the rules of a configuration may speak of: every metric there is, and whether they speak of others."""

from collections.abc import Iterator, Mapping
from functools import cache

from alerting.actions import Command
from alerting.own import COLLECTOR, OWN_METRICS
from alerting.rules.checking import problems
from alerting.rules.rule import Rule
from alerting.settings import compiled
from backup.metrics import COLLECTOR as BACKUPS
from backup.metrics import METRICS as BACKUP_METRICS
from collectors import COLLECTORS
from daemon.configuration.backing import plan_of
from daemon.configuration.targets import HOST_NAME, HostTarget
from daemon.configuration.tree import Configuration
from daemon.configuration.written import Path
from toban.backups import Method
from toban.samples import Metric


@cache
def known_metrics() -> Mapping[str, Metric]:
    """Every metric that a rule can name, by its name."""
    own = {metric.name: metric for metric in (*OWN_METRICS, *BACKUP_METRICS)}
    return own | {metric.name: metric for collector in COLLECTORS for metric in collector.metrics}


def sources(configuration: Configuration) -> Mapping[str, frozenset[str]]:
    """Which collectors bring a metric, by the titles that they deliver under."""
    found: dict[str, set[str]] = {metric.name: {COLLECTOR} for metric in OWN_METRICS}
    found |= {metric.name: {BACKUPS} for metric in BACKUP_METRICS}
    for collector in COLLECTORS:
        titles = {collector.name}
        if collector.listed:
            titles = {f"{collector.name}:{entry.name}" for entry in configuration.entries_of(collector.name)}
        for metric in collector.metrics:
            found.setdefault(metric.name, set()).update(titles)
    return {name: frozenset(collectors) for name, collectors in found.items()}


def rule_problems(configuration: Configuration) -> Iterator[tuple[Path, str]]:
    """All that is wrong with the rules, each with its place."""
    names = [target.name for target in configuration.targets]
    if not any(isinstance(target, HostTarget) for target in configuration.targets):
        names.append(HOST_NAME)
    found = problems(
        configuration.alerts,
        channels=configuration.channels,
        metrics=known_metrics(),
        targets=(*names, COLLECTOR),
        prefixes=tuple(prefix for collector in COLLECTORS for prefix in collector.prefixes),
        backups=[job.name for job in plan_of(configuration).jobs if job.method is not Method.WAL],
    )
    for path, why in found:
        yield ("alerts", *path), why


def rules_of(configuration: Configuration) -> tuple[Rule, ...]:
    """The rules in force."""
    return compiled(configuration.alerts, configuration.channels, known_metrics())


def commands_of(configuration: Configuration) -> tuple[Command, ...]:
    """The programs that alerts may start."""
    return tuple(
        Command(name=one.name, run=one.run, timeout_seconds=one.timeout) for one in configuration.alerts.commands
    )
