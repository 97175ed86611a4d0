"""The one place that joins the packages: from a configured target to a watch that turns."""

from collections.abc import Iterator
from functools import partial
from typing import Any, assert_never

from collectors import COLLECTORS
from collectors.checkpoints import Checkpoints
from collectors.contract import Collector, CollectorSettings, Kind, Source
from collectors.host.machine import HostMachine
from collectors.mariadb.server import MariadbServer
from collectors.pgbouncer.console import PgBouncerConsole
from collectors.postgresql.server import PostgresServer
from collectors.sqlite.file import SqliteFile
from collectors.trends import Trends, followed
from daemon.configuration.targets import (
    HostTarget,
    MariadbTarget,
    PgbouncerTarget,
    PostgresqlTarget,
    SqliteTarget,
    Target,
)
from daemon.configuration.tree import Configuration
from daemon.watch import Watch
from history.courses import Courses
from history.reading import open_reader
from history.recording import History
from toban.clock import Clock


def open_source(target: Target, clock: Clock, checkpoints: Checkpoints | None = None) -> Source:
    """The way into one target. Nothing is connected yet."""
    match target:
        case PostgresqlTarget():
            return PostgresServer(target.dsn, clock, target.limits, target.databases)
        case SqliteTarget():
            return SqliteFile(target.path)
        case PgbouncerTarget():
            return PgBouncerConsole(target.dsn, clock, target.limits)
        case MariadbTarget():
            return MariadbServer(target.dsn, clock, target.limits)
        case HostTarget():
            return HostMachine(checkpoints=checkpoints)
        case _:
            assert_never(target)


def open_watch(
    target: Target,
    configuration: Configuration,
    clock: Clock,
    *,
    history: History | None = None,
    courses: Courses | None = None,
) -> Watch:
    """A target with its source and every collector that is switched on for its kind."""
    kept = configuration.state_path.with_suffix(".checkpoints")
    source = open_source(target, clock, Checkpoints(kept, target.name, keeps=history is not None))
    collectors = [c(source, settings, clock) for c, settings in _chosen(target, configuration) if settings.enabled]
    if history is not None:
        for collector in collectors:
            collector.recall = partial(history.recall, target.name)
    for collector in collectors:
        if isinstance(collector, Trends) and courses is not None:
            collector.follow(target.name, Kind(target.kind), courses)
    budget = target.budget if isinstance(target, PostgresqlTarget | MariadbTarget) else 0.0
    kind = Kind(target.kind)
    return Watch(target.name, kind, source, collectors, budget_seconds=budget, clock=clock, labels=target.labels)


def courses_of(configuration: Configuration) -> Courses:
    """What trends are drawn from: the state file, and from now on what is offered."""
    return Courses(followed(), partial(open_reader, configuration.state_path))


def fingerprint(target: Target, configuration: Configuration) -> tuple[object, ...]:
    """All that shapes one watch: if it is equal after a reload, the watch is left as it is."""
    return (target, tuple((c.name, settings) for c, settings in _chosen(target, configuration)))


def _chosen(
    target: Target, configuration: Configuration
) -> Iterator[tuple[type[Collector[Any, Any]], CollectorSettings]]:
    """What is measured at a target, each with its settings: a collector once, a listed one once for each entry."""
    for collector in COLLECTORS:
        if not collector.serves(Kind(target.kind)):
            continue
        if not collector.listed:
            yield collector, configuration.settings_of(collector.name)
            continue
        for entry in configuration.entries_of(collector.name):
            if getattr(entry, "target", None) in (None, target.name):
                yield collector, entry
