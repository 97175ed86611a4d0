"""The text that Prometheus reads, put together from memory.

prometheus-client writes every header and every label set, once; what is kept of it is joined with the values of now.
A scrape so costs one formatted number per series, and one faulty series can never spoil the page.
"""

from collections.abc import Iterable, Iterator
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

from toban.samples import Collection, Metric, Type


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
    heads: dict[tuple[str, tuple[str, ...]], str]


class Exposition:
    """Turns collections into a page, keeping what does not change between two of them."""

    def __init__(self) -> None:
        self.duplicates_total = 0
        self._pairs: dict[tuple[str, str], _Pair] = {}
        self._headers: dict[tuple[str, Format], str] = {}
        self._own_heads: dict[tuple[str, tuple[str, ...]], str] = {}

    def page(self, collections: Iterable[Collection], own: RegistryCollector, form: Format) -> bytes:
        """The whole page: the collections' values, then Toban's own instruments."""
        families: dict[str, list[Block]] = {}
        for collection in collections:
            for block in self._blocks(collection):
                families.setdefault(block.metric.name, []).append(block)
        pieces: list[str] = []
        for name in sorted(families):
            pieces.append(self._header(families[name][0].metric, form))
            pieces.extend(block.text for block in families[name])
        pieces.extend(self._own(own, form))
        return "".join(pieces).encode()

    def forget(self, target: str) -> None:
        """A target has left."""
        self._pairs = {key: pair for key, pair in self._pairs.items() if key[0] != target}

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

    def _written(self, collection: Collection, known: dict[tuple[str, tuple[str, ...]], str]) -> _Pair:
        heads: dict[tuple[str, tuple[str, ...]], str] = {}
        lines: dict[str, list[str]] = {}
        metrics: dict[str, Metric] = {}
        for sample in collection.samples:
            metric = sample.metric
            series = (metric.name, sample.labels)
            if series in heads:
                self.duplicates_total += 1
                continue
            head = known.get(series) or _head(metric, collection.target, sample.labels)
            heads[series] = head
            metrics[metric.name] = metric
            lines.setdefault(metric.name, []).append(f"{head}{floatToGoString(sample.value)}\n")
        blocks = tuple(Block(metrics[name], "".join(found)) for name, found in lines.items())
        return _Pair(collection, blocks, heads)

    def _header(self, metric: Metric, form: Format) -> str:
        key = (metric.name, form)
        if key not in self._headers:
            self._headers[key] = _write(_family(metric), form)
        return self._headers[key]


def _family(metric: Metric) -> Family:
    if metric.compatible:
        return Family(metric.name, metric.help, "unknown")
    if metric.type is Type.COUNTER:
        return Family(metric.name.removesuffix("_total"), metric.help, "counter")
    return Family(metric.name, metric.help, "gauge")


def _head(metric: Metric, target: str, values: tuple[str, ...]) -> str:
    """One series' line up to its value, as prometheus-client writes it."""
    family = _family(metric)
    labels = dict(zip(metric.labels, (printable(value) for value in values), strict=True))
    family.add_sample(metric.name, {**labels, "target": target}, 0.0)
    return _write(family, Format.PLAIN).split("\n", 2)[2].removesuffix("0.0\n")


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
