"""Rules, alerts, verdicts and notices with everything filled in; and a desk on a book and a dispatcher in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from random import Random
from typing import Any, Protocol

from alerting.desk import Desk
from alerting.escalation import idempotency_key
from alerting.quiet import Window
from alerting.rules.bounds import parse_bound
from alerting.rules.rule import Rule, Verdict
from history.book.contract import Found, Page
from tests.builders import START, ManualClock
from toban.alerts import Alert, Data, Key, Notice, Policy, Severity, Silence, Standing, State, Step, Transition, What

MINUTE, HOUR = 60.0, 3600.0
KEY = Key("connections", "main")
POLICY = Policy(
    first={Severity.WARNING: ("mail",), Severity.CRITICAL: ("mail", "pager")},
    steps=(
        Step(after_seconds=15 * MINUTE, channels=("slack",)),
        Step(after_seconds=30 * MINUTE, channels=("sms",)),
        Step(after_seconds=60 * MINUTE, channels=("voice",)),
    ),
    repeat_seconds=4 * HOUR,
    lease_seconds=8 * HOUR,
    worse_ratio=0.2,
)


def a_rule(name: str = "connections", **changes: Any) -> Rule:  # noqa: ANN401 - any field of a rule
    """Connections above 80 % and 95 %, at once, kept for nothing."""
    fields: dict[str, Any] = {
        "name": name,
        "metric": "pg_connections_used_ratio",
        "warning": parse_bound("> 80%"),
        "critical": parse_bound("> 95%"),
        "policy": POLICY,
    }
    return Rule(**fields | changes)


def a_verdict(
    value: float = 0.9,
    *,
    rule: Rule | None = None,
    target: str = "main",
    labels: tuple[tuple[str, str], ...] = (),
    at: float = START,
    data: Data = Data.OK,
    **changes: Any,  # noqa: ANN401 - any field of a verdict
) -> Verdict:
    """What a rule of 80 % and 95 % makes of a value: a warning when none is named."""
    judging = rule or a_rule()
    severity = Severity.CRITICAL if value > 0.95 else Severity.WARNING if value > 0.8 else None
    fields: dict[str, Any] = {
        "key": Key(judging.name, target, labels),
        "rule": judging,
        "severity": severity if data is Data.OK else None,
        "value": value,
        "bound": "> 95%" if severity is Severity.CRITICAL else "> 80%",
        "at": at,
        "reason": f"{value:.0%}" if data is Data.OK else f"no value: {data}",
        "data": data,
    }
    return Verdict(**fields | changes)


def an_alert(**changes: Any) -> Alert:  # noqa: ANN401 - any field of an alert
    """A warning that has just fired, of which mail was told."""
    fields: dict[str, Any] = {
        "key": KEY,
        "episode": "4f7k2m1x",
        "severity": Severity.WARNING,
        "state": State.FIRING,
        "value": 0.9,
        "threshold": "> 80%",
        "metric": "pg_connections_used_ratio",
        "reason": "90%",
        "started_at": START,
        "fired_at": START,
        "changed_at": START,
        "seen_at": START,
        "sequence": 1,
        "told": ("mail",),
        "told_at": START,
        "policy": POLICY,
    }
    return Alert(**fields | changes)


def a_notice(alert: Alert | None = None, what: What = What.FIRED, channel: str = "mail", **changes: Any) -> Notice:  # noqa: ANN401 - any field
    """That it fired, for mail."""
    told = alert or an_alert()
    fields: dict[str, Any] = {
        "key": idempotency_key(told, what, channel, 0),
        "channel": channel,
        "what": what,
        "alert": told,
        "created_at": START,
    }
    return Notice(**fields | changes)


def a_silence(**changes: Any) -> Silence:  # noqa: ANN401 - any field of a silence
    """All is quiet for an hour."""
    fields: dict[str, Any] = {
        "id": "s1ence00",
        "match": (),
        "begins_at": START,
        "ends_at": START + HOUR,
        "why": "a move",
        "who": "ops",
        "created_at": START,
    }
    return Silence(**fields | changes)


@dataclass
class MemoryBook:
    """A book that keeps its pages in memory; told to, it refuses them."""

    refuses: bool = False
    takes: int | None = None  # so many pages before it refuses again
    renewed: int = 0
    pages: list[Page] = field(default_factory=list)

    async def write(self, page: Page) -> bool:
        """Keep it, unless it is to be refused."""
        if self.takes is not None:
            self.refuses, self.takes = self.takes <= 0, self.takes - 1
        if not self.refuses:
            self.pages.append(page)
        return not self.refuses

    @property
    def transitions(self) -> list[Transition]:
        """All of them, in the order of their writing."""
        return [step for page in self.pages for step in page.transitions]

    @property
    def alerts(self) -> dict[str, Alert]:
        """The last state of each episode."""
        return {alert.episode: alert for page in self.pages for alert in page.alerts}

    def found(self) -> Found:
        """What a daemon that starts would find."""
        silences = {silence.id: silence for page in self.pages for silence in page.silences}
        return Found(
            alerts=tuple(alert for alert in self.alerts.values() if alert.open),
            notices=tuple(n for page in self.pages for n in page.notices if n.standing is Standing.PENDING),
            silences=tuple(silence for silence in silences.values() if not silence.ended_by),
        )


@dataclass
class MemoryDispatcher:
    """A dispatcher that only collects, and fails the test that did not ask for what it was given."""

    waiting: list[Notice] = field(default_factory=list)
    offered: list[Notice] = field(default_factory=list)

    def offer(self, notices: Sequence[Notice]) -> None:
        """Take them in."""
        self.waiting.extend(notices)
        self.offered.extend(notices)

    def taken(self) -> list[tuple[str, str]]:
        """What came since the last look, as `what` and channel."""
        found = [(notice.what.value, notice.channel) for notice in self.waiting]
        self.waiting.clear()
        return found


@dataclass
class Quietude:
    """Surroundings in which nothing is going on, until a test says so."""

    under_way: dict[str, tuple[str, ...]] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)
    left: float | None = None
    gathered: str | None = '{"sessions": 3}'
    fault: Exception | None = None

    def evidence(self, alert: Alert) -> str | None:
        """The same for each."""
        if self.fault is not None:
            raise self.fault
        return self.gathered

    def progress(self, target: str) -> tuple[str, ...]:
        """What the test said."""
        return self.under_way.get(target, ())

    def left_seconds(self, alert: Alert) -> float | None:
        """The same for each."""
        return self.left

    def host_of(self, target: str) -> str:
        """What the test said."""
        return self.hosts.get(target, "")


class Scene:
    """A desk with all that it stands between; it can be torn down and set up again on the same book."""

    def __init__(
        self,
        *rules: Rule,
        windows: Iterable[Window] = (),
        zone: tzinfo = UTC,
        at: float = START,
        **more: Any,  # noqa: ANN401 - as a desk takes it
    ) -> None:
        self.clock = ManualClock(at)
        self.book = MemoryBook()
        self.dispatcher = MemoryDispatcher()
        self.surroundings = Quietude()
        self.rules = rules or (a_rule(),)
        self.windows = tuple(windows)
        self.zone = zone
        self.more = more
        self.random = Random(4)  # noqa: S311 - names that are the same in each run
        self.desk = self._new()

    async def judged(self, *values: float, **more: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - as a_verdict takes it
        """Values of the first rule, or of `rule`, one verdict each; what came of them."""
        rule = more.pop("rule", self.rules[0])
        for value in values:
            self.desk.judged([a_verdict(value, rule=rule, at=self.clock.now(), **more)])
        return await self.told()

    async def after(self, seconds: float) -> list[tuple[str, str]]:
        """Time passes in one leap; what came of it."""
        self.clock.advance(seconds)
        self.desk.tick()
        return await self.told()

    async def told(self) -> list[tuple[str, str]]:
        """What was told since the last look."""
        await self.desk.flush()
        return self.dispatcher.taken()

    async def restart(self, *, after_seconds: float = 0.0) -> None:
        """The daemon dies, and another starts on what the book has."""
        self.clock.advance(after_seconds)
        self.desk = self._new()
        self.desk.resume(self.book.found())

    @property
    def alert(self) -> Alert:
        """The only one that is open."""
        (alert,) = self.desk.active()
        return alert

    @property
    def states(self) -> list[State]:
        """Of all that are open."""
        return [alert.state for alert in self.desk.active()]

    def _new(self) -> Desk:
        return Desk(
            self.rules,
            book=self.book,
            dispatcher=self.dispatcher,
            clock=self.clock,
            surroundings=self.surroundings,
            zone=self.zone,
            windows=self.windows,
            random=self.random,
            **self.more,
        )


class NewScene(Protocol):
    """Makes a scene whose every notice must have been looked at."""

    def __call__(self, *rules: Rule, **more: Any) -> Scene:  # noqa: ANN401 - as a Scene takes it
        """A desk and all that it stands between."""
        ...


def with_policy(**changes: Any) -> Policy:  # noqa: ANN401 - any field of a policy
    """The policy of these tests, but for this."""
    return replace(POLICY, **changes)
