"""Records with everything filled in, so that a test names only what it is about; and a clock that a test turns."""

from toban.outcomes import Failure, Gap, Reason
from toban.samples import Collection, Findings, Metric, Sample, Type, Unit

START = 1_795_000_000.0  # an hour in November 2026
GAUGE = Metric(name="toban_test_value", help="A value made up by a test")
COUNTER = Metric(name="toban_test_events_total", help="A counter made up by a test", type=Type.COUNTER)


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, now: float = START, monotonic: float = 1000.0) -> None:
        self._now = now
        self._monotonic = monotonic

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Time passes: both clocks go on."""
        assert seconds >= 0, "time does not run backwards; `jump` sets the wall clock"
        self._now += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock, forwards or back; no time passes."""
        self._now += seconds


def a_metric(
    name: str = "toban_test_value",
    *,
    help: str = "A value made up by a test",  # noqa: A002 - the field's name
    type: Type = Type.GAUGE,  # noqa: A002 - the field's name
    unit: Unit = Unit.NONE,
    labels: tuple[str, ...] = (),
    compatible: bool = False,
    kept: bool = False,
) -> Metric:
    """A metric: a gauge without labels."""
    return Metric(name=name, help=help, type=type, unit=unit, labels=labels, compatible=compatible, kept=kept)


def a_sample(
    metric: Metric = GAUGE, value: float = 1.0, *, labels: tuple[str, ...] = (), taken_at: float = START
) -> Sample:
    """A sample of a gauge without labels, taken at the clock's start."""
    return Sample(metric=metric, value=value, labels=labels, taken_at=taken_at)


def a_failure(
    reason: Reason = Reason.UNREACHABLE, *, detail: str = "connection refused", hint: str = "is it running?"
) -> Failure:
    """A failure for which the target is down."""
    return Failure(reason=reason, detail=detail, hint=hint)


def a_gap(
    what: str = "relations", reason: Reason = Reason.LOCKED, *, count: int = 1, detail: str = "", hint: str = ""
) -> Gap:
    """Something left out because somebody held it."""
    return Gap(what=what, reason=reason, count=count, detail=detail, hint=hint)


def some_findings(*samples: Sample, gaps: tuple[Gap, ...] = (), rows: tuple[object, ...] = ()) -> Findings:
    """What a collector brings back; one sample when none is named."""
    return Findings(samples=samples or (a_sample(),), gaps=gaps, rows=rows)


def a_collection(
    *samples: Sample,
    target: str = "main",
    collector: str = "activity",
    taken_at: float = START,
    duration_seconds: float = 0.01,
    gaps: tuple[Gap, ...] = (),
    rows: tuple[object, ...] = (),
    failure: Failure | None = None,
) -> Collection:
    """One turn: with one sample when none is named, with none when it failed."""
    return Collection(
        target=target,
        collector=collector,
        taken_at=taken_at,
        duration_seconds=duration_seconds,
        samples=samples or (() if failure else (a_sample(taken_at=taken_at),)),
        gaps=gaps,
        rows=rows,
        failure=failure,
    )
