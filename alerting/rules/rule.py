"""A rule in force: what the engine works with, made out of what is written under `alerts.rules` or shipped."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerting.rules.bounds import Bound
from alerting.rules.functions import Function
from alerting.rules.matching import Matcher
from toban.alerts import Data, Key, Policy, Severity
from toban.language import Language
from toban.samples import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. A series of `metric` that `where` lets through is an instance of it."""

    name: str
    metric: str
    unit: Unit = Unit.NONE  # of the judged value: the metric's, per second where the function is a rate
    function: Function | None = None  # None: the value as it is
    where: tuple[Matcher, ...] = ()
    info: Bound | None = None
    warning: Bound | None = None
    critical: Bound | None = None
    for_seconds: float = 0.0
    clear: Bound | None = None  # another threshold to be over; None: the one that was broken no longer holds
    keep_seconds: float = 0.0  # it must have been clear for so long
    vanish: bool = False  # a series that is no longer there is over (an index was dropped); else it is `no data`
    symptom_of: tuple[str, ...] = ()  # rules whose alert at the same target explains this one
    excused_by: tuple[str, ...] = ()  # maintenance seen in pg_stat_progress_* that causes this: vacuum, create_index …
    summary: Mapping[Language, str] = field(default_factory=dict)  # `{value}`, `{threshold}`, `{target}`, label names
    runbook: str = ""
    policy: Policy = Policy()  # noqa: RUF009 - it is frozen, so all may share it


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one rule makes of one series at one moment, and why."""

    key: Key
    rule: Rule
    severity: Severity | None  # None: all is well
    value: float
    bound: str = ""  # the threshold that was broken, as written; of one that is well, the mildest
    at: float
    reason: str
    data: Data = Data.OK
