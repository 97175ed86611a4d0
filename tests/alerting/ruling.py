"""Rules and readings for tests: written as an operator would, with overrides."""

from typing import Any

from alerting.evaluation import Evaluation
from alerting.rules.rule import Rule, Verdict
from alerting.rules.written import Alerts
from alerting.settings import compiled
from alerting.windows import Windows
from tests.builders import START, a_collection, a_failure, a_metric, a_sample
from toban.alerts import Data, Key, Severity
from toban.config import WRITTEN
from toban.outcomes import Reason
from toban.samples import Collection, Metric, Unit

DISK = Metric(name="toban_disk_ratio", help="How full", unit=Unit.RATIO, labels=("mount",), kept=True)
METRICS = {DISK.name: DISK}
ROOT = Key("disk", "main", (("mount", "/"),))


def written(**section: Any) -> Alerts:  # noqa: ANN401 - as YAML gives it
    """The section `alerts:`, without the shipped rules."""
    return Alerts.model_validate({"defaults": False, **section}, context=WRITTEN)


def a_rule(**said: Any) -> Rule:  # noqa: ANN401 - as YAML gives it
    """A rule about how full disks are: warning above 80 %, critical above 95 %."""
    rule = {"name": "disk", "metric": DISK.name, "warning": "> 80%", "critical": "> 95%", **said}
    kept = {key: value for key, value in rule.items() if value is not None}
    (found,) = compiled(written(rules=[kept]), ["mail"], METRICS, ours=())
    return found


def of(*rules: Rule, sources: dict[str, list[str]] | None = None) -> Evaluation:
    """An engine with these rules."""
    return Evaluation(rules, Windows(), sources=sources)


def disks(at: float = 0.0, /, *, target: str = "main", **mounts: float) -> Collection:
    """How full the disks are, so many seconds after the start; `root` is /, others their name."""
    return collected(at, target, mounts)


def collected(at: float, target: str, mounts: dict[str, float]) -> Collection:
    """The same for mounts whose names are made."""
    samples = tuple(
        a_sample(DISK, value, labels=("/" if name == "root" else f"/{name}",), taken_at=START + at)
        for name, value in mounts.items()
    )
    other = a_sample(a_metric("toban_other"), 1.0, taken_at=START + at)
    return a_collection(other, *samples, target=target, collector="disks", taken_at=START + at)


def failing(at: float = 0.0, reason: Reason = Reason.TIMEOUT) -> Collection:
    """The collector of the disks fails."""
    return a_collection(collector="disks", taken_at=START + at, failure=a_failure(reason))


def told(verdicts: list[Verdict]) -> list[tuple[Key, Severity | None, Data]]:
    """What matters of verdicts."""
    return [(verdict.key, verdict.severity, verdict.data) for verdict in verdicts]
