"""The life of an alert: pending, firing, acknowledged, resolved. Pure: a state, what was judged, and the time.

Each step grows `sequence` by one, and carries its reason. What is not heard of is never taken for resolved: only a
value that was seen to be well for long enough, a series that is rightly gone, or a person resolves.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from alerting.rules.rule import Rule, Verdict
from toban.alerts import FLAP_WINDOW_SECONDS, FLAPS, Alert, Data, State, Transition, What
from toban.config import format_duration
from toban.samples import Unit

LONGEST_KEEP_SECONDS: Final = 3600.0
FLAP_KEEP_SECONDS: Final = 60.0  # what doubles where a rule keeps nothing
EASE_SECONDS: Final = 60.0  # a severity goes down only after so long, lest it goes up and down with each value
NO_DATA_SECONDS: Final = 120.0
UNHEARD_PENDING_SECONDS: Final = 3600.0  # so long one waits that nobody knows of
AGE_SHARE: Final = 0.1
AGE_SLACK_SECONDS: Final = 60.0  # between two looks
MOST_FLAPS: Final = 12  # more make no difference: the time that it is kept has long been the longest


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An alert after something happened to it. A minor one is nothing that a restart would miss."""

    alert: Alert
    transition: Transition | None = None
    minor: bool = False

    @property
    def tell(self) -> What | None:
        """What there is to be told."""
        return self.transition.what if self.transition else None


def advance(before: Alert | None, verdict: Verdict, *, now: float, mint: Callable[[], str]) -> Change | None:
    """What a verdict makes of an alert; None where there is none and need not be."""
    if before is None or not before.open:
        broken = verdict.severity is not None and verdict.data is Data.OK
        return _begun(before, verdict, now, mint()) if broken else None
    if verdict.data is not Data.OK:
        return _unheard(before, verdict, now)
    heard = replace(
        before,
        value=verdict.value,
        seen_at=verdict.at,
        started_at=_seen_since(before, now),
        data=Data.OK,
        unheard_at=None,
        unheard_told=False,
        owed=None if before.owed is What.NO_DATA else before.owed,
    )
    change = _cleared(heard, verdict, now) if verdict.severity is None else _broken(heard, verdict, now)
    return replace(change, minor=False) if before.data is not Data.OK else change


def timed(alert: Alert, *, now: float, no_data_seconds: float = NO_DATA_SECONDS) -> Change | None:
    """What the mere time makes of an alert: an acknowledgement lapses, a silence of the data is told."""
    until = alert.acknowledged_until
    if alert.state is State.ACKNOWLEDGED and until is not None and now >= until:
        held = format_duration(round(until - (alert.acknowledged_at or until)) or 1.0)
        return lapsed(alert, now, f"the acknowledgement of {alert.acknowledged_by} has run out after {held}")
    if _unheard_long(alert, now, no_data_seconds):
        return step(replace(alert, unheard_told=True), now, What.NO_DATA, _why_unheard(alert))
    return None


def next_at(alert: Alert, *, no_data_seconds: float = NO_DATA_SECONDS) -> float | None:
    """When `timed` will have something to say."""
    moments = []
    if alert.state is State.ACKNOWLEDGED and alert.acknowledged_until is not None:
        moments.append(alert.acknowledged_until)
    if alert.unheard_at is not None and not alert.unheard_told and alert.fired_at is not None:
        moments.append(alert.unheard_at + no_data_seconds)
    return min(moments, default=None)


def acknowledged(alert: Alert, *, now: float, who: str, note: str = "", for_seconds: float | None = None) -> Change:
    """Somebody is at it. Where no time is said, the lease is the policy's."""
    lease = alert.policy.lease_seconds if for_seconds is None else for_seconds
    after = replace(
        alert,
        state=State.ACKNOWLEDGED,
        acknowledged_by=who,
        acknowledged_at=now,
        acknowledged_until=now + lease if lease > 0 else None,
        acknowledged_value=alert.value,
        note=note or alert.note,
        rested_seconds=_rested(alert, now),
        muted_at=None,
    )
    until = f" for {format_duration(lease)}" if lease > 0 else ""
    return step(after, now, What.ACKNOWLEDGED, f"acknowledged by {who}{until}", by=who, before=alert.state)


def lapsed(alert: Alert, now: float, reason: str, what: What = What.LAPSED) -> Change:
    """The acknowledgement holds no longer; the ladder goes on where it rested."""
    return step(_unacknowledged(alert, now), now, what, reason, before=alert.state)


def resolved(alert: Alert, now: float, reason: str, *, by: str = "") -> Change:
    """It is over. Of one that was only pending nobody has heard, and nobody will."""
    after = replace(
        alert, state=State.RESOLVED, resolved_at=now, calm_at=None, milder_at=None, unheard_at=None, owed=None
    )
    what = None if alert.state is State.PENDING else What.RESOLVED
    return step(after, now, what, reason, by=by, before=alert.state)


def muted(alert: Alert, why: str, *, now: float, cause: str = "") -> Alert:
    """Nobody is told of it for now, and its ladder rests."""
    began = alert.muted_at if alert.muted else now
    return replace(alert, muted=why, cause=cause, muted_at=None if alert.state is State.ACKNOWLEDGED else began)


def unmuted(alert: Alert, *, now: float) -> Alert:
    """It may be told of again; what it is owed is the desk's to give."""
    rested = alert.rested_seconds if alert.state is State.ACKNOWLEDGED else _rested(alert, now)
    return replace(alert, muted="", cause="", muted_at=None, rested_seconds=rested)


def step(
    alert: Alert, now: float, what: What | None, reason: str, *, by: str = "", before: State | None = None
) -> Change:
    """One more transition; `before` is the state it comes from, where that is another."""
    after = replace(alert, sequence=alert.sequence + 1, changed_at=now, reason=reason)
    return Change(
        alert=after,
        transition=Transition(
            episode=after.episode,
            sequence=after.sequence,
            at=now,
            before=before or after.state,
            after=after.state,
            severity=after.severity,
            value=after.value,
            what=what,
            reason=reason,
            by=by,
        ),
    )


def shifted(alert: Alert, by_seconds: float) -> Alert:
    """The same alert after somebody set the clock: what has passed since each moment stays as it was."""
    return replace(
        alert,
        **{name: moment + by_seconds for name in _MOMENTS if (moment := getattr(alert, name)) is not None},
        flaps=tuple(moment + by_seconds for moment in alert.flaps),
    )


def unwatched(alert: Alert, seconds: float) -> Alert:
    """The same alert after nobody watched for a while (suspend): that time proves neither a breach nor a calm."""
    return replace(
        alert,
        started_at=alert.started_at + seconds if alert.state is State.PENDING else alert.started_at,
        calm_at=None if alert.calm_at is None else alert.calm_at + seconds,
        milder_at=None if alert.milder_at is None else alert.milder_at + seconds,
        unheard_at=None if alert.unheard_at is None else alert.unheard_at + seconds,
    )


def keep_seconds(alert: Alert, rule: Rule, now: float) -> float:
    """How long it must have been clear: twice as long with every return within the hour, up to an hour."""
    flaps = len(_recent(alert.flaps, now))
    if not flaps:
        return rule.keep_seconds
    doubled = max(rule.keep_seconds, FLAP_KEEP_SECONDS) * 2.0**flaps
    return max(rule.keep_seconds, min(LONGEST_KEEP_SECONDS, doubled))


_MOMENTS: Final = (
    *("started_at", "fired_at", "changed_at", "seen_at", "told_at", "muted_at"),
    *("acknowledged_at", "acknowledged_until", "calm_at", "milder_at", "unheard_at"),
)


def _begun(before: Alert | None, verdict: Verdict, now: float, episode: str) -> Change:
    """The first breach; one soon after an earlier episode is a return of it, and counts as a flap."""
    assert verdict.severity is not None  # noqa: S101 - the caller has looked
    rule = verdict.rule
    flaps = (*_recent(before.flaps, now), now)[-MOST_FLAPS:] if before else ()
    alert = Alert(
        key=verdict.key,
        episode=episode,
        severity=verdict.severity,
        state=State.PENDING,
        value=verdict.value,
        unit=rule.unit,
        threshold=verdict.bound,
        metric=rule.metric,
        reason=verdict.reason,
        started_at=now,
        changed_at=now,
        seen_at=verdict.at,
        sequence=1,
        flaps=flaps,
        runbook=rule.runbook,
        sentence={str(language): text for language, text in rule.summary.items()},
        policy=rule.policy,
    )
    if rule.for_seconds <= 0:
        alert = replace(alert, state=State.FIRING, fired_at=now)
    what = What.FIRED if alert.state is State.FIRING else None
    first = Transition(
        episode=episode,
        sequence=1,
        at=now,
        before=None,
        after=alert.state,
        severity=alert.severity,
        value=alert.value,
        what=what,
        reason=verdict.reason,
    )
    return Change(alert=alert, transition=first)


def _broken(alert: Alert, verdict: Verdict, now: float) -> Change:
    """Still, or again, beyond its threshold."""
    assert verdict.severity is not None  # noqa: S101 - the caller has looked
    if alert.state is State.PENDING:
        return _still_pending(alert, verdict, now)
    returned = alert.calm_at is not None
    if returned:
        alert = replace(alert, calm_at=None, flaps=(*_recent(alert.flaps, now), now)[-MOST_FLAPS:])
    if verdict.severity.rank < alert.severity.rank:
        return _milder(alert, verdict, now, returned=returned)
    worsened = verdict.severity.rank > alert.severity.rank
    milder_ended = alert.milder_at is not None
    alert = replace(alert, severity=verdict.severity, threshold=verdict.bound, milder_at=None)
    if worsened:
        known = _as_acknowledged(alert)
        return step(alert, now, None, verdict.reason) if known else lapsed(alert, now, verdict.reason, What.WORSENED)
    if alert.state is State.ACKNOWLEDGED and _markedly_worse(alert):
        share = f"{alert.policy.worse_ratio:.0%}"
        return lapsed(alert, now, f"worse by {share} than when {alert.acknowledged_by} acknowledged it")
    if returned and len(alert.flaps) == FLAPS and alert.state is State.FIRING:
        return step(alert, now, What.REPEATED, _why_flapping(alert, verdict.rule, now))
    return Change(alert=replace(alert, reason=verdict.reason), minor=not (returned or milder_ended))


def _still_pending(alert: Alert, verdict: Verdict, now: float) -> Change:
    assert verdict.severity is not None  # noqa: S101 - the caller has looked
    changed = verdict.severity is not alert.severity
    alert = replace(alert, severity=verdict.severity, threshold=verdict.bound, reason=verdict.reason)
    if now - alert.started_at < verdict.rule.for_seconds:
        return Change(alert=alert, minor=not changed)
    firing = replace(alert, state=State.FIRING, fired_at=now)
    return step(firing, now, What.FIRED, verdict.reason, before=State.PENDING)


def _milder(alert: Alert, verdict: Verdict, now: float, *, returned: bool) -> Change:
    """Not as bad as it is called: it is called so once that has lasted."""
    assert verdict.severity is not None  # noqa: S101 - the caller has looked
    since = now if alert.milder_at is None else alert.milder_at
    if now - since < max(EASE_SECONDS, keep_seconds(alert, verdict.rule, now)):
        first = alert.milder_at is None
        return Change(alert=replace(alert, milder_at=since, reason=verdict.reason), minor=not (first or returned))
    eased = replace(alert, severity=verdict.severity, threshold=verdict.bound, milder_at=None)
    return step(eased, now, What.EASED, verdict.reason)


def _cleared(alert: Alert, verdict: Verdict, now: float) -> Change:
    """All is well: over at once where it was pending, else after it was kept."""
    if alert.state is State.PENDING:
        return resolved(alert, now, verdict.reason)
    keep = keep_seconds(alert, verdict.rule, now)
    since = now if alert.calm_at is None else alert.calm_at
    if now - since >= keep:
        return resolved(alert, now, verdict.reason)
    reason = f"{verdict.reason}; kept until it has been clear for {format_duration(keep)}"
    return Change(alert=replace(alert, calm_at=since, milder_at=None, reason=reason), minor=alert.calm_at is not None)


def _unheard(alert: Alert, verdict: Verdict, now: float) -> Change:
    """No value: the state stays. What had cleared must be seen clear for as long again."""
    if verdict.data is Data.NONE and verdict.rule.vanish:
        return resolved(alert, now, verdict.reason)
    first = alert.unheard_at is None
    if alert.state is State.PENDING and now - (alert.unheard_at or now) >= UNHEARD_PENDING_SECONDS:
        return resolved(alert, now, f"nothing was heard of it for too long: {verdict.reason}")
    after = replace(
        alert,
        data=verdict.data,
        unheard_at=now if first else alert.unheard_at,
        calm_at=None,
        milder_at=None,
        reason=verdict.reason,
    )
    return Change(alert=after, minor=not first and alert.data is verdict.data)


def _seen_since(alert: Alert, now: float) -> float:
    """Since when a pending one lasts: of the time without a value nobody knows whether it did."""
    if alert.state is not State.PENDING or alert.unheard_at is None:
        return alert.started_at
    return alert.started_at + max(0.0, now - alert.unheard_at)


def _unheard_long(alert: Alert, now: float, grace: float) -> bool:
    """Whether it is time to say that nothing is heard of what is firing."""
    told = alert.unheard_told or alert.fired_at is None or not alert.open
    return not told and alert.unheard_at is not None and now - alert.unheard_at >= grace


def _why_unheard(alert: Alert) -> str:
    why = "the collector fails" if alert.data is Data.FAILING else "the collector brings it no more"
    return f"nothing is heard of it: {why}; it is not taken for resolved"


def _why_flapping(alert: Alert, rule: Rule, now: float) -> str:
    kept = format_duration(keep_seconds(alert, rule, now))
    return f"it flaps: {len(alert.flaps)} returns within an hour; over once it has been clear for {kept}"


def _unacknowledged(alert: Alert, now: float) -> Alert:
    """Firing again; what is remembered of the lease says why it ended."""
    if alert.state is not State.ACKNOWLEDGED:
        return alert
    return replace(
        alert,
        state=State.FIRING,
        acknowledged_by="",
        rested_seconds=_rested(alert, now),
        muted_at=now if alert.muted else None,
    )


def _rested(alert: Alert, now: float) -> float:
    """How long the ladder has rested until now; time that was both muted and acknowledged counts once."""
    since = alert.acknowledged_at if alert.state is State.ACKNOWLEDGED else alert.muted_at
    return alert.rested_seconds + (0.0 if since is None else max(0.0, now - since))


def _markedly_worse(alert: Alert) -> bool:
    """Whether the value went on, the way of its threshold, by the share that ends an acknowledgement.

    Something that only grows older, a second each second, is as bad as it was.
    """
    ratio, worse_by = alert.policy.worse_ratio, _worse_by(alert)
    if worse_by is None or ratio <= 0:
        return False
    enough = abs(alert.acknowledged_value or 0.0) * ratio
    return worse_by > 0 and worse_by >= enough and not _only_older(alert, worse_by)


def _as_acknowledged(alert: Alert) -> bool:
    """Whether somebody is at it who knew it to be as bad as this: it had only eased meanwhile."""
    worse_by = _worse_by(alert)
    return alert.state is State.ACKNOWLEDGED and worse_by is not None and worse_by <= 0


def _worse_by(alert: Alert) -> float | None:
    """How far the value is beyond what was acknowledged, the way of its threshold; None where that has no way."""
    known = alert.acknowledged_value
    if known is None or not alert.threshold.startswith(("<", ">")):
        return None
    return known - alert.value if alert.threshold.startswith("<") else alert.value - known


def _only_older(alert: Alert, worse_by: float) -> bool:
    if alert.unit is not Unit.SECONDS or not alert.threshold.startswith(">") or alert.acknowledged_at is None:
        return False
    passed = alert.seen_at - alert.acknowledged_at
    return abs(worse_by - passed) <= AGE_SLACK_SECONDS + AGE_SHARE * max(0.0, passed)


def _recent(flaps: tuple[float, ...], now: float) -> tuple[float, ...]:
    return tuple(at for at in flaps if now - at < FLAP_WINDOW_SECONDS)
