"""The one place that joins the packages: from a configured target to a watch that turns."""

from collections.abc import Iterator
from typing import Any, assert_never

from collectors import COLLECTORS
from collectors.contract import Collector, CollectorSettings, Kind, Source
from collectors.host.machine import HostMachine
from collectors.postgresql.server import PostgresServer
from collectors.sqlite.file import SqliteFile
from daemon.configuration.targets import HostTarget, PostgresqlTarget, SqliteTarget, Target
from daemon.configuration.tree import Configuration
from daemon.watch import Watch
from toban.clock import Clock


def open_source(target: Target, clock: Clock) -> Source:
    """The way into one target. Nothing is connected yet."""
    match target:
        case PostgresqlTarget():
            return PostgresServer(target.dsn, clock, target.limits, target.databases)
        case SqliteTarget():
            return SqliteFile(target.path)
        case HostTarget():
            return HostMachine()
        case _:
            assert_never(target)


def open_watch(target: Target, configuration: Configuration, clock: Clock) -> Watch:
    """A target with its source and every collector that is switched on for its kind."""
    source = open_source(target, clock)
    collectors = [c(source, settings, clock) for c, settings in _chosen(target, configuration) if settings.enabled]
    budget = target.budget if isinstance(target, PostgresqlTarget) else 0.0
    kind = Kind(target.kind)
    return Watch(target.name, kind, source, collectors, budget_seconds=budget, clock=clock, labels=target.labels)


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
