"""The text that Prometheus reads, put together from memory.

prometheus-client writes every header and every label set, once; what is kept of it is joined with the values of now.
A scrape so costs one formatted number per series, and one faulty series can never spoil the page.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as write_plain
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE_OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as write_openmetrics
from prometheus_client.registry import Collector as RegistryCollector
from prometheus_client.samples import Sample as FamilySample
from prometheus_client.utils import floatToGoString

from daemon.http.sections import Section
from toban.samples import Collection, Metric, Sample, Type

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
    """What is kept of one pair: its last collection as text, and each series up to its value."""

    collection: Collection
    blocks: tuple[Block, ...]
    heads: dict[Series, str]


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
        self._own_heads: dict[Series, str] = {}
        self._sections: dict[tuple[str, str, Format], _Kept] = {}

    def page(
        self, collections: Iterable[Collection], own: RegistryCollector, form: Format, scope: str = ""
    ) -> Iterator[Section]:
        """The whole page: the collections' values by collector, then Toban's own instruments.

        A metric belongs to one collector (and to all entries of one that is a list), so its family stands together.
        `scope` keeps apart what is kept of pages that show different targets. It is written as it is read: a page of
        a hundred targets takes long enough that the loop wants to turn in between.
        """
        together: dict[str, list[Collection]] = {}
        for collection in collections:
            together.setdefault(collection.collector.partition(":")[0], []).append(collection)
        for name, found in sorted(together.items()):
            yield self._section(found, form, (scope, name))
        yield Section("".join(self._own(own, form)))

    def _section(self, collections: list[Collection], form: Format, place: tuple[str, str]) -> Section:
        """What one collector has of all targets; the section as it was, while none of them has turned since."""
        before = self._sections.get((*place, form))
        if before is not None and _same(before.collections, collections):
            return before.section
        section = Section("".join(self._families(collections, form)))
        self._sections[(*place, form)] = _Kept(collections, section)
        return section

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

    def _own(self, source: RegistryCollector, form: Format) -> Iterator[str]:
        """The instruments' values of now, behind heads that are written once like all others."""
        known, self._own_heads = self._own_heads, {}
        for family in source.collect():
            yield self._own_header(family, form)
            for sample in family.samples:
                series = (sample.name, tuple(sample.labels.values()))
                head = known.get(series) or _own_head(family, sample)
                self._own_heads[series] = head
                yield f"{head}{floatToGoString(sample.value)}\n"
        if form is Format.OPENMETRICS:
            yield "# EOF\n"

    def _own_header(self, family: Family, form: Format) -> str:
        key = (family.name, form)
        if key not in self._headers:
            self._headers[key] = _write(Family(family.name, family.documentation, family.type), form)
        return self._headers[key]

    def _blocks(self, collection: Collection) -> tuple[Block, ...]:
        key = (collection.target, collection.collector)
        kept = self._pairs.get(key)
        if kept is not None and kept.collection is collection:
            return kept.blocks
        pair = self._written(collection, kept.heads if kept else {})
        self._pairs[key] = pair
        return pair.blocks

    def _written(self, collection: Collection, known: dict[Series, str]) -> _Pair:
        samples = {(sample.metric.name, sample.labels): sample for sample in reversed(collection.samples)}
        self.duplicates_total += len(collection.samples) - len(samples)
        heads = _heads(collection.target, samples, known)
        metrics: dict[str, Metric] = {}
        lines: dict[str, list[str]] = {}
        for series, sample in reversed(samples.items()):
            metrics[series[0]] = sample.metric
            lines.setdefault(series[0], []).append(f"{heads[series]}{floatToGoString(sample.value)}\n")
        blocks = tuple(Block(metrics[name], "".join(found)) for name, found in lines.items())
        return _Pair(collection, blocks, heads)

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


def _heads(target: str, samples: Mapping[Series, Sample], known: Mapping[Series, str]) -> dict[Series, str]:
    """Each series' line up to its value, as prometheus-client writes it; those that are new by family, all at once."""
    heads = {series: known[series] for series in samples if series in known}
    new: dict[str, list[Series]] = {}
    for series in samples:
        if series not in heads:
            new.setdefault(series[0], []).append(series)
    for found in new.values():
        metric = samples[found[0]].metric
        family = _family(metric)
        for _, values in found:
            labels = dict(zip(metric.labels, (printable(value) for value in values), strict=True))
            family.add_sample(metric.name, {**labels, "target": target}, 0.0)
        lines = _write(family, Format.PLAIN).split("\n")[2:-1]
        heads |= {series: line.removesuffix("0.0") for series, line in zip(found, lines, strict=True)}
    return heads


def printable(value: str) -> str:
    """A label value that UTF-8 can carry: a name in a broken encoding must not break the page."""
    return value.encode(errors="replace").decode()


def _write(family: Family, form: Format) -> str:
    source = _One(family)
    if form is Format.OPENMETRICS:
        return bytes(write_openmetrics(source)).decode().removesuffix("# EOF\n")
    return bytes(write_plain(source)).decode()


def _own_head(family: Family, sample: FamilySample) -> str:
    alone = Family(family.name, family.documentation, family.type)
    alone.samples = [FamilySample(sample.name, sample.labels, 0.0)]
    return _write(alone, Format.PLAIN).split("\n", 2)[2].removesuffix("0.0\n")
