"""The value on its way: what is measured (Metric), one measured value (Sample), one turn's yield (Collection)."""

from dataclasses import dataclass, field
from enum import StrEnum

from toban.outcomes import Failure, Gap


class Type(StrEnum):
    """How a metric moves."""

    GAUGE = "gauge"
    COUNTER = "counter"  # only grows; falls to zero at a reset


class Unit(StrEnum):
    """Base units only: scaling is for the eye, at the very end."""

    NONE = ""
    SECONDS = "seconds"
    BYTES = "bytes"
    RATIO = "ratio"  # 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """Declared once, beside the collector that measures it: the source of exposition, documentation and history.

    `labels` names the labels besides `target`, which every metric carries. `compatible` marks a name that
    postgres_exporter made known: it is exposed untyped and unchanged, for dashboards that exist. `kept` puts the
    metric into the history.
    """

    name: str
    help: str
    type: Type = Type.GAUGE
    unit: Unit = Unit.NONE
    labels: tuple[str, ...] = ()
    compatible: bool = False
    kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value of one series at one moment. `labels` are values, in the order of `metric.labels`."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()
    taken_at: float

    @property
    def unit(self) -> Unit:
        """The metric's unit."""
        return self.metric.unit

    @property
    def labelled(self) -> dict[str, str]:
        """Label names with their values."""
        return dict(zip(self.metric.labels, self.labels, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a collector brings back from one turn: samples, what it had to leave out, and typed rows for people.

    `rows` carries what is no number: a statement's use, a running query. Each row is a frozen dataclass of `toban`.
    """

    samples: tuple[Sample, ...]
    gaps: tuple[Gap, ...] = ()
    rows: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """One turn of one (target, collector) pair: its findings, how long it took, or why it is empty."""

    target: str
    collector: str
    taken_at: float
    duration_seconds: float
    samples: tuple[Sample, ...] = ()
    gaps: tuple[Gap, ...] = ()
    rows: tuple[object, ...] = ()
    failure: Failure | None = field(default=None)
    asks: bool = True
    """Whether the target was asked: only then does a failure tell of the target."""

    @property
    def down(self) -> bool:
        """Whether it says that the target is down."""
        return self.asks and self.failure is not None and self.failure.down


class Batch:
    """Gathers one turn's samples at one moment; a value that is None was not to be had and leaves no sample."""

    def __init__(self, taken_at: float) -> None:
        self.taken_at = taken_at
        self._samples: list[Sample] = []

    def add(self, metric: Metric, value: float | None, *labels: str) -> None:
        """Take one value in, if there is one."""
        if value is not None:
            self._samples.append(Sample(metric=metric, value=float(value), labels=labels, taken_at=self.taken_at))

    @property
    def samples(self) -> tuple[Sample, ...]:
        """All that was gathered."""
        return tuple(self._samples)
