"""What the daemon tells of its alerting: its metrics, and its part in the overall health."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family

from alerting.dispatcher import Outbox
from toban.alerts import Alert, Severity, State
from toban.outcomes import Failure
from toban.status import Component, Health


def component(alerts: Iterable[Alert], problems: Sequence[str]) -> Component:
    """As bad as the worst alert that somebody is told of; info is none."""
    loud = [alert for alert in alerts if alert.state is State.FIRING and not alert.muted]
    worst = max(loud, key=lambda alert: alert.severity.rank, default=None)
    if worst is None or worst.severity is Severity.INFO:
        return Component(name="alerts", state=Health.WARNING if problems else Health.OK, reason="; ".join(problems))
    more = f" and {len(loud) - 1} more" if len(loud) > 1 else ""
    return Component(name="alerts", state=Health(worst.severity.value), reason=f"{worst.key.text}{more}")


def troubles(
    *, late: Sequence[str], book: Failure | None, stuck: Iterable[str], full: bool, ended: Iterable[str]
) -> Iterator[str]:
    """What of the watch and the alerting does not work: a sentence each."""
    if late:
        yield f"not tried for too long: {', '.join(late)}"
    if book is not None:
        yield f"the book of alerts cannot be written: {book.detail}"
    yield from (f"messages are stuck: {channel}" for channel in stuck)
    if full:
        yield "there are more series than the rules have room for: some are not judged"
    yield from (f"a part of alerting has ended: {name}" for name in ended)


EMPTY = Outbox(pending=0, oldest_seconds=0.0, totals={}, stuck=(), shut={}, failing={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How alerting stands, in numbers."""

    active: Mapping[Severity, int] = field(default_factory=dict)
    refused: int = 0
    lost: int = 0
    outbox: Outbox = EMPTY
    book_trouble: bool = False
    beats: Mapping[str, int] = field(default_factory=dict)


def families(standing: Standing) -> Iterable[Family]:
    """What `/metrics` tells of alerting."""
    outbox = standing.outbox
    active = GaugeMetricFamily("toban_alerts_active", "Alerts that are firing or acknowledged.", labels=("severity",))
    for severity, count in standing.active.items():
        active.add_metric((severity,), count)
    told = CounterMetricFamily(
        "toban_notifications", "Messages by channel and what became of them.", labels=("channel", "result")
    )
    for (channel, result), count in outbox.totals.items():
        told.add_metric((channel, result), count)
    heard = CounterMetricFamily(
        "toban_heartbeats", "Beats of the dead man's switch by what became of them.", labels=("result",)
    )
    for result, count in standing.beats.items():
        heard.add_metric((result,), count)
    yield from (active, told, heard)
    yield GaugeMetricFamily("toban_outbox_pending", "Messages that wait to be sent.", value=outbox.pending)
    yield GaugeMetricFamily(
        "toban_outbox_oldest_seconds", "How long the oldest of them has waited.", value=outbox.oldest_seconds
    )
    yield GaugeMetricFamily(
        "toban_book_trouble", "Whether alerts cannot be kept on disk.", value=float(standing.book_trouble)
    )
    yield CounterMetricFamily("toban_alerts_refused", "Alerts that there was no room for.", value=standing.refused)
    yield CounterMetricFamily(
        "toban_alerts_lost", "Changes of alerts that the book never learned of.", value=standing.lost
    )
