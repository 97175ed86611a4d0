"""What is known of each metric before anything is measured: declared by a collector, or told by the daemon itself."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric as Family

from alerting.own import SHOWN
from backup.metrics import COLLECTOR as BACKUPS
from backup.metrics import METRICS as BACKUP_METRICS
from collectors import COLLECTORS
from collectors.contract import Collector
from collectors.postgresql.sql import Query
from daemon.duty.telling import Standing, families
from daemon.instruments import Instruments, history_families
from daemon.standings import Standings
from toban.config import format_duration
from toban.samples import Metric, Type, Unit

OWN = "toban"  # the section of what the daemon tells of itself
DAEMON = "daemon"  # in the place of a kind: what no target is asked for
_UNITS = ("seconds", "bytes", "ratio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One metric, in the words of its declaration."""

    name: str
    help: str
    type: str
    unit: str
    labels: tuple[str, ...]
    kept: bool
    collector: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One collector with its metrics."""

    name: str
    kind: str
    every: str
    listed: bool
    what: str
    purpose: str
    sql: tuple[str, ...]
    facts: tuple[Fact, ...]
    prefixes: tuple[str, ...] = ()


def sections() -> tuple[Section, ...]:
    """Every collector in the order of its kind and name, the backups, and the daemon itself at the end."""
    found = sorted((_section(collector) for collector in COLLECTORS), key=lambda one: (one.kind, one.name))
    return (*found, _backups(), _own())


def facts() -> tuple[Fact, ...]:
    """Every metric that is known by name."""
    return tuple(fact for section in sections() for fact in section.facts)


def section_of(name: str) -> Section | None:
    """The collector that brings a metric, be it by name or by one of its prefixes."""
    for section in sections():
        if any(fact.name == name for fact in section.facts):
            return section
    return next((section for section in sections() if section.prefixes and name.startswith(section.prefixes)), None)


def _section(collector: type[Collector[Any, Any]]) -> Section:
    every = collector.settings_model.model_fields["every"].default
    return Section(
        name=collector.name,
        kind=str(collector.kind or "any"),
        every=format_duration(every),
        listed=collector.listed,
        what=_first_sentence(collector),
        purpose=collector.purpose,
        sql=tuple(_sql(collector)),
        facts=tuple(_fact(metric, collector.name) for metric in collector.metrics),
        prefixes=collector.prefixes,
    )


def _first_sentence(collector: type[Collector[Any, Any]]) -> str:
    """What its module says on its first line: there it says what is measured."""
    text = sys.modules[collector.__module__].__doc__ or ""
    return " ".join(text.split("\n\n")[0].split())


def _sql(collector: type[Collector[Any, Any]]) -> Iterator[str]:
    """The folders of SQL that its module asks with."""
    known = {**vars(sys.modules[collector.__module__]), **vars(collector)}
    for name in sorted({query.name for query in known.values() if type(query) is Query}):
        yield f"collectors/postgresql/queries/{name}"
    package = Path(sys.modules[collector.__module__].__file__ or "").parent
    if package.name != "postgresql":
        yield from (f"collectors/{package.name}/queries/{file.name}" for file in sorted(package.glob("queries/*.sql")))


def _fact(metric: Metric, collector: str) -> Fact:
    return Fact(
        name=metric.name,
        help=metric.help.removesuffix("."),
        type=metric.type,
        unit=metric.unit,
        labels=(*metric.labels, "target"),
        kept=metric.kept,
        collector=collector,
    )


def _backups() -> Section:
    return Section(
        name=BACKUPS,
        kind=DAEMON,
        every="1m",
        listed=False,
        what="What the repository holds of each job, how far it is believed, how WAL stands, what drills have shown.",
        purpose="To know that what was lost would come back, up to when, and how soon.",
        sql=(),
        facts=tuple(sorted((_fact(metric, BACKUPS) for metric in BACKUP_METRICS), key=lambda fact: fact.name)),
    )


def _own() -> Section:
    return Section(
        name=OWN,
        kind=DAEMON,
        every="at each scrape",
        listed=False,
        what="What Toban tells of itself: its loop, its turns, its history, and how each target and collector stands.",
        purpose="To trust the rest: whether it is fresh, why something is empty, and what the watching itself costs.",
        sql=(),
        facts=tuple(sorted(_own_facts(), key=lambda fact: fact.name)),
    )


def _own_facts() -> Iterator[Fact]:
    yield from map(_family, _families())
    yield from (_fact(metric, OWN) for metric in SHOWN)


def _families() -> Iterable[Family]:
    """The instruments without a value: their names and helps are what counts."""
    yield from families(Standing())
    yield from Standings(lambda: (), lambda: history_families(dropped=0, trouble=False, duplicates=0)).collect()
    for family in Instruments().registry.collect():
        if not family.name.startswith("process_"):
            yield family


def _family(family: Family) -> Fact:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    kind = {"counter": Type.COUNTER, "histogram": "histogram"}.get(family.type, Type.GAUGE)
    unit = next((unit for unit in _UNITS if unit in name.removesuffix("_total").split("_")), Unit.NONE)
    labels: tuple[str, ...] = tuple(getattr(family, "_labelnames", ()))
    if not labels and family.samples:
        labels = tuple(label for label in family.samples[0].labels if label != "le")
    text = family.documentation.removesuffix(".")
    return Fact(name=name, help=text, type=kind, unit=unit, labels=labels, kept=False, collector=OWN)
