"""One shipped rule before real collections: they are judged as the daemon does it, by a clock that a test turns."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from alerting.evaluation import Evaluation
from alerting.lifecycle import advance
from alerting.own import COLLECTOR, OWN_METRICS
from alerting.rules.rule import Rule
from alerting.rules.written import Alerts
from alerting.settings import compiled
from alerting.windows import Windows
from backup.metrics import METRICS as BACKUP_METRICS
from collectors import COLLECTORS
from collectors.contract import Collector
from tests.builders import ManualClock
from toban.alerts import Alert, Key, Severity, State
from toban.config import WRITTEN
from toban.samples import Collection, Findings, Metric, Sample

if TYPE_CHECKING:
    from history.courses import Courses

METRICS: Final = {
    metric.name: metric
    for metric in (*OWN_METRICS, *BACKUP_METRICS, *(metric for collector in COLLECTORS for metric in collector.metrics))
}
TURNS: Final = 12  # so many looks within what a rule wants to see
MOST_TURNS: Final = 400
SHORTEST_SECONDS: Final = 15.0
Look = Callable[[], Awaitable[None]]


def rule_of(name: str, preset: str = "standard", **otherwise: Any) -> Rule:  # noqa: ANN401 - any key of a rule
    """A shipped rule, with what a test or an operator has otherwise."""
    changed = {key.rstrip("_"): value for key, value in otherwise.items()}
    written = {"preset": preset, "rules": [{"name": name, **changed}] if changed else []}
    alerts = Alerts.model_validate(written, context=WRITTEN)
    (rule,) = [rule for rule in compiled(alerts, ["mail"], METRICS) if rule.name == name]
    return rule


class Judging:
    """The rule, and the alerts that it has made of what it was shown."""

    def __init__(self, rule: Rule, clock: ManualClock, target: str = "main") -> None:
        self.rule = rule
        self.clock = clock
        self.target = target
        self.alerts: dict[Key, Alert] = {}
        self.step_seconds: float | None = None
        """Between two looks, where the rule's own window and patience do not tell."""
        self.courses: Courses | None = None
        """What trends are drawn from, where the test wants them."""
        self._evaluation = Evaluation([rule], Windows())
        self._minted = 0

    async def look(self, *collectors: Collector[Any, Any]) -> Findings:
        """A turn of each of these; what the last of them brought."""
        found = Findings(samples=())
        for collector in collectors:
            try:
                found = await collector.collect()
            except Exception as error:  # noqa: BLE001 - as a turn of the daemon has it
                failure = collector.source.explain(error)
                self.hear(self._collection(collector.title, failure=failure))
            else:
                said = {"samples": found.samples, "gaps": found.gaps, "rows": found.rows}
                self.hear(self._collection(collector.title, **said))
        return found

    def own(self, said: Mapping[Metric, float], *labels: str) -> None:
        """What the daemon says of itself, all of it at once: what is missing would count as gone."""
        at = self.clock.now()
        samples = [
            Sample(metric=metric, value=float(value), labels=labels[: len(metric.labels)], taken_at=at)
            for metric, value in said.items()
        ]
        self.hear(self._collection(COLLECTOR, samples=tuple(samples)))

    def hear(self, collection: Collection) -> None:
        """Take in one collection."""
        if self.courses is not None:
            self.courses.offer(collection)
        for verdict in self._evaluation.accept(collection):
            change = advance(self.alerts.get(verdict.key), verdict, now=self.clock.now(), mint=self._mint)
            if change is None:
                continue
            self.alerts[verdict.key] = change.alert
            if not change.alert.open:
                self._evaluation.settle(verdict.key)

    @property
    def open(self) -> dict[tuple[str, ...], tuple[State, Severity]]:
        """The alerts that stand, by the values of their labels."""
        return {
            tuple(value for _, value in key.labels): (alert.state, alert.severity)
            for key, alert in self.alerts.items()
            if alert.open
        }

    async def stays_quiet(self, look: Look) -> None:
        """All is well for as long as the rule would need to say otherwise."""
        for _ in range(TURNS):
            self.clock.advance(self._step)
            await look()
            assert self.open == {}, f"{self.rule.name} speaks while all is well"

    async def fires(self, look: Look, severity: Severity, *labels: str) -> Alert:
        """It is pending for `for`, then fires with this severity, for these labels and no others."""
        for _ in range(MOST_TURNS):
            self.clock.advance(self._step)
            await look()
            if self.open and {state for state, _ in self.open.values()} == {State.FIRING}:
                assert self.open == {labels: (State.FIRING, severity)}
                (alert,) = [alert for alert in self.alerts.values() if alert.open]
                assert alert.fired_at is not None
                assert alert.fired_at - alert.started_at >= self.rule.for_seconds
                return alert
        raise AssertionError(f"{self.rule.name} does not fire: {self.alerts}")

    async def clears(self, look: Look) -> None:
        """It is over, by what was seen or by what is rightly gone."""
        for _ in range(MOST_TURNS):
            self.clock.advance(self._step)
            await look()
            if not self.open:
                assert {alert.state for alert in self.alerts.values()} == {State.RESOLVED}
                return
        raise AssertionError(f"{self.rule.name} does not clear: {self.alerts}")

    @property
    def _step(self) -> float:
        """A cadence at which the rule sees enough: its window and its patience in a few looks."""
        if self.step_seconds is not None:
            return self.step_seconds
        window = self.rule.function.window_seconds if self.rule.function else 0.0
        return max(SHORTEST_SECONDS, (window + self.rule.for_seconds + self.rule.keep_seconds) / TURNS)

    def _collection(self, collector: str, **said: Any) -> Collection:  # noqa: ANN401 - any field of a collection
        at = self.clock.now()
        return Collection(target=self.target, collector=collector, taken_at=at, duration_seconds=0.01, **said)

    def _mint(self) -> str:
        self._minted += 1
        return f"episode{self._minted}"


def judging(name: str, clock: ManualClock, **otherwise: Any) -> Judging:  # noqa: ANN401 - any key of a rule
    """A shipped rule that has seen nothing yet. A test's own thresholds stand where a real one cannot be reached."""
    return Judging(rule_of(name, **otherwise), clock)
