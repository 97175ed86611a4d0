"""Toban's own instruments on the page: a line is written once, and again when its sample is another object.

A source that hands out the very same sample for as long as it is true (`daemon/standings.py`, `daemon/durations.py`)
so costs a comparison for each line instead of its formatting: with a hundred targets there are twenty thousand.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector as RegistryCollector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from daemon.http.sections import Section

MILLION: Final = 1e6  # from here on Go writes exponents
FEW: Final = 50  # families of fewer lines share a section: one of its own would cost more than it saves
SPARE: Final = 64  # heads of series that have gone may be so many before they are left behind

Series = tuple[str, tuple[str, ...]]  # a line's name and its label values


class _Written(NamedTuple):
    """One family as it was written last, and the section of it where it has one of its own."""

    samples: Sequence[Sample]
    lines: dict[int, str]  # by the identity of the sample, which `samples` keeps alive
    text: str
    section: Section | None


class InstrumentPages:
    """The end of one page, kept from one scrape to the next."""

    def __init__(self, write: Callable[[Family], str]) -> None:
        self._write = write
        self._headers: dict[str, str] = {}
        self._heads: dict[str, dict[Series, str]] = {}
        self._written: dict[str, _Written] = {}

    def sections(self, source: RegistryCollector, *, ending: str) -> Iterator[Section]:
        """Each large family by itself; then the small ones, and what ends the page."""
        small: list[str] = []
        for family in source.collect():
            written = self._family(family)
            if written.section is None:
                small.append(written.text)
            else:
                yield written.section
        yield Section("".join((*small, ending)))

    def _family(self, family: Family) -> _Written:
        before = self._written.get(family.name)
        if before is None or not _same(before.samples, family.samples):
            before = self._written[family.name] = self._anew(family, before.lines if before else {})
        return before

    def _anew(self, family: Family, known: dict[int, str]) -> _Written:
        samples = tuple(family.samples)
        heads = self._heads_of(family, [sample for sample in samples if id(sample) not in known])
        lines = {
            id(sample): known.get(id(sample)) or f"{heads[_series(sample)]}{value_text(sample.value)}\n"
            for sample in samples
        }
        text = "".join((self._header(family), *lines.values()))
        return _Written(samples, lines, text, Section(text) if len(lines) > FEW else None)

    def _header(self, family: Family) -> str:
        if family.name not in self._headers:
            self._headers[family.name] = self._write(_like(family, ()))
        return self._headers[family.name]

    def _heads_of(self, family: Family, samples: Sequence[Sample]) -> dict[Series, str]:
        """What is kept of the family's lines up to their values; those that are missing are written all at once."""
        heads = self._heads.setdefault(family.name, {})
        if len(heads) > 2 * len(family.samples) + SPARE:
            heads.clear()
        new = [Sample(sample.name, sample.labels, 0.0) for sample in samples if _series(sample) not in heads]
        if new:
            # Not `splitlines`: a label may hold a letter that Unicode, but not Prometheus, takes for a line's end.
            lines = self._write(_like(family, new)).removeprefix(self._header(family)).split("\n")[:-1]
            heads.update((_series(one), line.removesuffix("0.0")) for one, line in zip(new, lines, strict=True))
        return heads


def _like(family: Family, samples: Sequence[Sample]) -> Family:
    """The same family with other samples."""
    like = Family(family.name, family.documentation, family.type)
    like.samples = list(samples)
    return like


def _series(sample: Sample) -> Series:
    return (sample.name, tuple(sample.labels.values()))


def value_text(value: float) -> str:
    """A value as Go writes it, and as prometheus-client does."""
    return repr(float(value)) if -MILLION < value < MILLION else floatToGoString(value)


def _same(before: Sequence[Sample], now: Sequence[Sample]) -> bool:
    return len(before) == len(now) and all(one is other for one, other in zip(before, now, strict=True))
