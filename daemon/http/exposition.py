"""The text that Prometheus reads, put together from memory.

prometheus-client writes every header and every label set, once; what is kept of it is joined with the values of now.
A scrape so costs one formatted number per series, and one faulty series can never spoil the page.
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from functools import partial
from typing import Final, NamedTuple

from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as write_plain
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE_OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as write_openmetrics
from prometheus_client.registry import Collector as RegistryCollector

from daemon.http.instrument_pages import InstrumentPages, value_text
from daemon.http.sections import Section
from toban.samples import Collection, Metric, Sample, Type

LINES_A_BREATH: Final = 500  # written between two moments at which the loop may turn: some milliseconds
Series = tuple[str, tuple[str, ...]]  # a metric's name and its label values


class Format(Enum):
    """The two texts, by the content type that announces them."""

    PLAIN = CONTENT_TYPE_PLAIN_0_0_4
    OPENMETRICS = CONTENT_TYPE_OPENMETRICS


class Block(NamedTuple):
    """The lines of one metric out of one collection."""

    metric: Metric
    text: str


class _One(RegistryCollector):
    """A registry's worth of a single family, for prometheus-client to write."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def collect(self) -> Iterable[Family]:
        yield self.family


class _Pair(NamedTuple):
    """What is kept of one pair: its last collection as text."""

    collection: Collection
    samples: tuple[Sample, ...]
    blocks: tuple[Block, ...]

    def heads(self) -> list[str]:
        """Each of its series up to the value, out of the text: to keep them beside it would hold all of it twice."""
        lines = {block.metric.name: iter(block.text.split("\n")) for block in self.blocks}
        written = (next(lines[sample.metric.name]) for sample in self.samples)
        return [line[: line.rindex(" ") + 1] for line in written]


class _Kept(NamedTuple):
    """A section and the collections it was made of."""

    collections: list[Collection]
    section: Section


class Exposition:
    """Turns collections into a page, keeping what does not change between two of them."""

    def __init__(self) -> None:
        self.duplicates_total = 0
        self._pairs: dict[tuple[str, str], _Pair] = {}
        self._headers: dict[tuple[str, Format], str] = {}
        self._sections: dict[tuple[str, str, Format], _Kept] = {}
        self._instruments: dict[tuple[str, Format], InstrumentPages] = {}

    def page(
        self, collections: Iterable[Collection], own: RegistryCollector, form: Format, scope: str = ""
    ) -> Iterator[Section | None]:
        """The whole page: the collections' values by collector, then Toban's own instruments.

        A metric belongs to one collector (and to all entries of one that is a list), so its family stands together.
        `scope` keeps apart what is kept of pages that show different targets. It is written as it is read: a page of
        a hundred targets takes long enough that the loop wants to turn in between, and None is where it may.
        """
        together: dict[str, list[Collection]] = {}
        for collection in collections:
            together.setdefault(collection.collector.partition(":")[0], []).append(collection)
        for name, found in sorted(together.items()):
            yield from self._section(found, form, (scope, name))
        if (scope, form) not in self._instruments:
            self._instruments[scope, form] = InstrumentPages(partial(_write, form=form))
        yield from self._instruments[scope, form].sections(own, ending="# EOF\n" if form is Format.OPENMETRICS else "")

    def _section(self, collections: list[Collection], form: Format, place: tuple[str, str]) -> Iterator[Section | None]:
        """What one collector has of all targets; the section as it was, while none of them has turned since."""
        before = self._sections.get((*place, form))
        if before is None or not _same(before.collections, collections):
            lines = 0
            for collection in collections:
                lines += self._renew(collection)
                if lines >= LINES_A_BREATH:
                    yield None
                    lines = 0
            before = _Kept(collections, Section("".join(self._families(collections, form))))
            self._sections[(*place, form)] = before
        yield before.section

    def _families(self, collections: list[Collection], form: Format) -> Iterator[str]:
        families: dict[str, list[Block]] = {}
        for collection in collections:
            for block in self._blocks(collection):
                families.setdefault(block.metric.name, []).append(block)
        for name in sorted(families):
            yield self._header(families[name][0].metric, form)
            yield from (block.text for block in families[name])

    def forget(self, target: str) -> None:
        """A target has left."""
        self._pairs = {key: pair for key, pair in self._pairs.items() if key[0] != target}
        self._sections.clear()
        self._instruments.clear()

    def _renew(self, collection: Collection) -> int:
        """Write a collection that is not written yet; how many lines that took."""
        kept = self._pairs.get((collection.target, collection.collector))
        if kept is not None and kept.collection is collection:
            return 0
        self._pairs[collection.target, collection.collector] = self._written(collection, kept)
        return len(collection.samples)

    def _blocks(self, collection: Collection) -> tuple[Block, ...]:
        self._renew(collection)  # unless another page, of later values, was written in between, it is
        return self._pairs[collection.target, collection.collector].blocks

    def _written(self, collection: Collection, before: _Pair | None) -> _Pair:
        samples = collection.samples
        if before is not None and _same_series(before.samples, samples):
            heads = before.heads()
        else:
            samples = _each_once(samples)
            self.duplicates_total += len(collection.samples) - len(samples)
            heads = _heads(collection.target, samples, before)
        metrics: dict[str, Metric] = {}
        lines: dict[str, list[str]] = {}
        for head, sample in zip(heads, samples, strict=True):
            metric = sample.metric
            found = lines.get(metric.name)
            if found is None:
                found = lines[metric.name] = []
                metrics[metric.name] = metric
            found.append(f"{head}{value_text(sample.value)}\n")
        blocks = tuple(Block(metrics[name], "".join(found)) for name, found in lines.items())
        return _Pair(collection, samples, blocks)

    def _header(self, metric: Metric, form: Format) -> str:
        key = (metric.name, form)
        if key not in self._headers:
            self._headers[key] = _write(_family(metric), form)
        return self._headers[key]


def _same(before: list[Collection], now: list[Collection]) -> bool:
    return len(before) == len(now) and all(one is other for one, other in zip(before, now, strict=True))


def _family(metric: Metric) -> Family:
    if metric.compatible:
        return Family(metric.name, metric.help, "unknown")
    if metric.type is Type.COUNTER:
        return Family(metric.name.removesuffix("_total"), metric.help, "counter")
    return Family(metric.name, metric.help, "gauge")


def _same_series(before: tuple[Sample, ...], now: tuple[Sample, ...]) -> bool:
    """Whether one turn brought the series of the one before, in the same order: nearly always."""
    return len(before) == len(now) and all(
        one.metric is other.metric and one.labels == other.labels for one, other in zip(before, now, strict=True)
    )


def _each_once(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """Of a series that comes twice, the first."""
    return tuple({_series(sample): sample for sample in reversed(samples)}.values())[::-1]


def _series(sample: Sample) -> Series:
    return (sample.metric.name, sample.labels)


def _heads(target: str, samples: tuple[Sample, ...], before: _Pair | None) -> list[str]:
    """Each series' line up to its value, as prometheus-client writes it; those that are new by family, all at once."""
    heads: dict[Series, str] = {}
    if before is not None:
        heads = dict(zip(map(_series, before.samples), before.heads(), strict=True))
    new: dict[str, list[Sample]] = {}
    for sample in samples:
        if _series(sample) not in heads:
            new.setdefault(sample.metric.name, []).append(sample)
    for found in new.values():
        family = _family(found[0].metric)
        for sample in found:
            labels = {name: printable(value) for name, value in sample.labelled.items()}
            family.add_sample(sample.metric.name, {**labels, "target": target}, 0.0)
        lines = _write(family, Format.PLAIN).split("\n")[2:-1]
        for sample, line in zip(found, lines, strict=True):
            heads[_series(sample)] = line.removesuffix("0.0")
    return [heads[_series(sample)] for sample in samples]


def printable(value: str) -> str:
    """A label value that UTF-8 can carry: a name in a broken encoding must not break the page."""
    return value.encode(errors="replace").decode()


def _write(family: Family, form: Format) -> str:
    source = _One(family)
    if form is Format.OPENMETRICS:
        return bytes(write_openmetrics(source)).decode().removesuffix("# EOF\n")
    return bytes(write_plain(source)).decode()
