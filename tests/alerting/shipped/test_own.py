"""Rules about what watches: a target that is really down, a collector that really fails; the rest the daemon says."""

import pytest

from alerting.own import (
    BOOK_TROUBLE,
    DEAD,
    EVENTS,
    FAILING,
    HISTORY_TROUBLE,
    HOST_REACHABLE,
    LOOP_LAG,
    OUTBOX_OLDEST,
    STRETCH,
    TARGET_UP,
    EventCounts,
)
from collectors.contract import CollectorSettings
from collectors.postgresql.identity import Identity
from tests.alerting.shipped.judging import judging
from tests.builders import START, ManualClock, a_collection
from tests.collectors.postgresql.measuring import watching
from tests.conftest import NewCluster
from toban.alerts import Severity
from toban.events import Event, EventKind


@pytest.mark.integration
@pytest.mark.parametrize("name", ["target_down", "host_down", "collector_failing"])
async def test_target_that_is_down_fires_and_clears(
    name: str, new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """A real server is stopped and started; what the daemon says of it follows from its answer."""
    cluster = new_cluster()
    judge, severity, told, labels = {
        "target_down": (
            judging("target_down", manual_clock), Severity.CRITICAL, (TARGET_UP, 1.0), ("postgresql",)),
        "host_down": (
            judging("host_down", manual_clock), Severity.CRITICAL, (HOST_REACHABLE, 1.0), ("127.0.0.1",)),
        "collector_failing": (
            judging("collector_failing", manual_clock), Severity.WARNING, (FAILING, 0.0), ("identity",)),
    }[name]  # fmt: skip
    async with watching(cluster, manual_clock) as server:
        identity, since = Identity(server, CollectorSettings(), manual_clock), dict[str, float]()

        async def look() -> None:
            found = await judge.look(identity)
            answered = bool(found.samples)
            if answered:
                since.clear()
            failing = manual_clock.now() - since.setdefault("", manual_clock.now())
            metric, alive = told
            judge.own({metric: alive if answered else failing if metric is FAILING else 0.0}, *labels)

        await judge.stays_quiet(look)
        cluster.stop()
        await judge.fires(look, severity, *labels)
        cluster.start()
        await judge.clears(look)


async def test_host_is_told_before_its_targets(manual_clock: ManualClock) -> None:
    """What explains another alert must not come after it."""
    assert judging("host_down", manual_clock).rule.for_seconds < judging("target_down", manual_clock).rule.for_seconds


@pytest.mark.parametrize(
    ("name", "values", "severity"),
    [
        ("history_trouble", (0, 1), Severity.WARNING),
        ("book_trouble", (0, 1), Severity.CRITICAL),
        ("loop_lag", (0.01, 0.8), Severity.WARNING),
        ("outbox_stuck", (0, 2000), Severity.CRITICAL),
        ("budget_stretched", (1, 8), Severity.WARNING),
        ("dead_letters", (0, 1), Severity.CRITICAL),
    ],
)
async def test_toban_in_trouble_fires_and_clears(
    name: str, values: tuple[float, float], severity: Severity, manual_clock: ManualClock
) -> None:
    """As the daemon would say it of its loop, its files, its outbox and its budget."""
    judge, metric, labels = {
        "history_trouble": (judging("history_trouble", manual_clock), HISTORY_TROUBLE, ()),
        "book_trouble": (judging("book_trouble", manual_clock), BOOK_TROUBLE, ()),
        "loop_lag": (judging("loop_lag", manual_clock), LOOP_LAG, ()),
        "outbox_stuck": (judging("outbox_stuck", manual_clock), OUTBOX_OLDEST, ()),
        "budget_stretched": (judging("budget_stretched", manual_clock), STRETCH, ()),
        "dead_letters": (judging("dead_letters", manual_clock), DEAD, ("mail",)),
    }[name]
    value = {"now": values[0]}

    async def look() -> None:
        judge.own({metric: value["now"]}, *labels)

    await judge.stays_quiet(look)
    value["now"] = values[1]
    await judge.fires(look, severity, *labels)
    if name != "dead_letters":  # what was given up stays so; it is history an hour later
        value["now"] = values[0]
    await judge.clears(look)


def test_events_are_counted_by_kind_and_target() -> None:
    """Every kind has a series from the start; a target that is watched no more has none left to count."""
    counts = EventCounts()
    event = Event(kind=EventKind.FILE_CHANGED, subject="/etc/x", at=START)
    counts.note(a_collection(target="host", rows=(event, "no event")))
    counts.note(a_collection(target="host", rows=(event,)))
    told = {sample.labels: sample.value for sample in counts.samples("host", START)}
    assert told == {(str(kind),): 2.0 * (kind is EventKind.FILE_CHANGED) for kind in EventKind}
    assert {sample.metric for sample in counts.samples("host", START)} == {EVENTS}
    counts.forget("host")
    assert {sample.value for sample in counts.samples("host", START)} == {0.0}
