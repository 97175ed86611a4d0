"""The words of alerting: what can be wrong, how bad, how far along, who was told, and what became of the telling."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from toban.samples import Unit


class Severity(StrEnum):
    """How bad. Compare by `rank`."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """From 0, the mildest."""
        return _RANKS[self]


_RANKS = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


class State(StrEnum):
    """How far along an alert is."""

    PENDING = "pending"  # beyond its threshold, but not for long enough yet; nobody is told
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"  # somebody is at it: the ladder rests, for as long as the lease lasts
    RESOLVED = "resolved"


class Data(StrEnum):
    """Whether an alert's value is still heard of. What is not heard of is never taken for resolved."""

    OK = "ok"
    NONE = "none"  # the collector works, but brings this series no more
    FAILING = "failing"  # the collector fails, or the target is down


class What(StrEnum):
    """Why a notice is sent."""

    FIRED = "fired"
    WORSENED = "worsened"  # warning became critical
    EASED = "eased"  # critical became warning
    ESCALATED = "escalated"  # nobody answered: the next rung
    REPEATED = "repeated"
    ACKNOWLEDGED = "acknowledged"
    LAPSED = "lapsed"  # the acknowledgement has run out, or the value has grown markedly worse
    NO_DATA = "no_data"  # what is firing is not heard of any more
    RESOLVED = "resolved"
    DIGEST = "digest"  # many in one
    UNDELIVERED = "undelivered"  # another channel could not be reached
    TEST = "test"
    ACTION = "action"  # not a message: something to do


class Key(NamedTuple):
    """What tells an alert from every other: the rule, the target and the labels of the series, sorted by name."""

    rule: str
    target: str
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """`disk_full main{mount="/srv"}`, for a log line."""
        told = ", ".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.rule} {self.target}" + (f"{{{told}}}" if told else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rung of the ladder: after so long without an answer, these channels. No `severities` means any but info."""

    after_seconds: float
    channels: tuple[str, ...]
    severities: tuple[Severity, ...] = ()

    def climbs(self, severity: Severity) -> bool:
        """Whether an alert of this severity comes this way."""
        return severity in self.severities if self.severities else severity is not Severity.INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What is to be done besides telling: `kind` is backup, command or maintenance; `name` is whose."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who is told of an alert, and when. Frozen into the alert when its episode starts: a reload does not change it."""

    first: Mapping[Severity, tuple[str, ...]] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    repeat_seconds: float = 0.0  # 0: never again
    lease_seconds: float = 0.0  # how long an acknowledgement holds; 0: until it is resolved
    worse_ratio: float = 0.0  # a value worse by this share ends the lease; 0: no value does
    actions: Mapping[Severity, tuple[Action, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One episode of one key, from pending to resolved, at one moment of its life. Moments are epoch seconds."""

    key: Key
    episode: str
    severity: Severity
    state: State
    value: float
    unit: Unit = Unit.NONE
    threshold: str = ""  # as it is written: `> 80%`
    metric: str = ""
    reason: str = ""  # why it is in this state, in the words of whoever decided
    started_at: float  # pending since
    fired_at: float | None = None
    changed_at: float  # of the last transition
    seen_at: float  # of the last value
    resolved_at: float | None = None
    sequence: int = 0  # transitions so far; part of every idempotency key
    level: int = 0  # the highest rung of the ladder that was taken
    told_at: float | None = None  # when channels were last given something
    told: tuple[str, ...] = ()  # which channels know of this episode
    acknowledged_by: str = ""
    acknowledged_at: float | None = None
    acknowledged_until: float | None = None
    acknowledged_value: float | None = None
    note: str = ""
    data: Data = Data.OK
    calm_at: float | None = None  # since when the condition has cleared, while it is kept firing
    flaps: tuple[float, ...] = ()  # when it came back while it was kept, in the last hour
    milder_at: float | None = None  # since when it has been milder than it is called, while that is kept
    unheard_at: float | None = None  # since when nothing is heard of it
    unheard_told: bool = False  # and somebody knows
    muted: str = ""  # why nobody is told: `silence ID`, `quiet NIGHTLY`, `caused by EPISODE`; empty: it is not
    muted_at: float | None = None
    owed: What | None = None  # what was kept back meanwhile, to be told when the mute ends and it still fires
    rested_seconds: float = 0.0  # how long the ladder has rested: acknowledged or muted
    cause: str = ""  # the episode that this is a symptom of
    left_seconds: float | None = None  # until what fills up is full, where that is known
    runbook: str = ""
    sentence: Mapping[str, str] = field(default_factory=dict)  # the rule's own summary by language, unfilled
    policy: Policy = Policy()
    test: bool = False  # of a drill; marked in every message, in no statistic

    @property
    def open(self) -> bool:
        """Whether it is not over."""
        return self.state is not State.RESOLVED

    @property
    def flapping(self) -> bool:
        """Whether it comes and goes."""
        return len(self.flaps) >= FLAPS


FLAPS = 3  # so many returns within an hour are a flapping
FLAP_WINDOW_SECONDS = 3600.0


class Outcome(StrEnum):
    """What became of one attempt to send."""

    SENT = "sent"  # the provider has it, and says so
    RETRY = "retry"  # not now; later perhaps
    REFUSED = "refused"  # never, in this form
    GONE = "gone"  # never again by this way (410): the channel is shut until the next reload


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One attempt, and its outcome. `receipt` is what the provider gave to find the message again by."""

    outcome: Outcome
    detail: str = ""  # for people; without secrets
    receipt: Mapping[str, str] = field(default_factory=dict)
    after_seconds: float | None = None  # when the provider wants to hear from us again
    unsure: bool = False  # it was handed over, but no answer came: it may have arrived
    partly: bool = False  # some of its receivers have it: the channel works, and holds up nothing else


class Standing(StrEnum):
    """Where a notice in the outbox is."""

    PENDING = "pending"
    INFLIGHT = "inflight"  # committed before the send: after a crash, nobody knows whether it went out
    SENT = "sent"
    DROPPED = "dropped"  # overtaken: acknowledged or resolved before it could be sent, or taken into a digest
    DEAD = "dead"  # given up; visible, and told through another channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One row of the outbox: something to be told through one channel. `alert` is as it was when this was decided."""

    key: str  # sha256 of (episode, sequence, step, channel): the same over every retry and restart
    channel: str
    what: What
    alert: Alert
    step: int = 0
    created_at: float
    standing: Standing = Standing.PENDING
    attempts: int = 0
    next_at: float = 0.0
    settled_at: float | None = None
    detail: str = ""  # of the last attempt
    receipt: Mapping[str, str] = field(default_factory=dict)
    action: Action | None = None
    perhaps_sent: bool = False  # handed over, or in flight when the daemon died, and no answer is known
    kept: bool = True  # False: the state disk would not take it; it goes out all the same, and says so


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One step in the life of an alert, as the book remembers it."""

    episode: str
    sequence: int
    at: float
    before: State | None
    after: State
    severity: Severity
    value: float
    what: What | None  # None where there is nothing to tell
    reason: str
    by: str = ""  # the person, where it was one


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Nobody is told of what matches, from `begins_at` to `ends_at`; a recurring one for so long at each `cron`."""

    id: str
    match: tuple[tuple[str, str], ...]  # label, or rule, target, severity; values are shell patterns
    begins_at: float
    ends_at: float
    cron: str = ""
    for_seconds: float = 0.0
    why: str
    who: str
    created_at: float
    ended_by: str = ""  # who ended it early
