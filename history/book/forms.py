"""How what is in the book is written, and read again: rows and JSON bodies.

What a later Toban has added to a body is passed over, what an earlier one did not write has its default. A row that
cannot be read all the same is told in the log and left out: one is missed rather than all.
"""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec
import structlog

from toban.alerts import Action, Alert, Notice, Severity, Silence, Standing, State, Transition, What

T = TypeVar("T")
Row = tuple[Any, ...]
logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What of a notice never changes."""

    alert: Alert
    what: What
    created_at: float
    step: int = 0
    action: Action | None = None


_INFINITY, _NAN = sys.float_info.max, math.ulp(0.0)
_encode = msgspec.json.Encoder().encode
_alert = msgspec.json.Decoder(Alert)
_silence = msgspec.json.Decoder(Silence)
_kept = msgspec.json.Decoder(Kept)
_receipt = msgspec.json.Decoder(dict[str, str])


def alert_row(alert: Alert) -> Row:
    """An alert as `alert_put` takes it."""
    over = alert.changed_at if alert.resolved_at is None and not alert.open else alert.resolved_at
    return (
        alert.episode,
        alert.key.rule,
        alert.key.target,
        _text(alert.key.labels),
        alert.severity,
        alert.severity.rank,
        alert.state,
        alert.started_at,
        alert.fired_at,
        alert.acknowledged_at,
        alert.changed_at,
        over,
        alert.test,
        _text(_finite(alert)),
    )


def transition_row(step: Transition) -> Row:
    """A transition as `transition_put` takes it."""
    moved = (step.before, step.after, step.severity, step.value, step.what)
    return (step.episode, step.sequence, step.at, *moved, _writable(step.reason), _writable(step.by))


def silence_row(silence: Silence) -> Row:
    """A silence as `silence_put` takes it."""
    times = (silence.created_at, silence.begins_at, silence.ends_at)
    return (silence.id, *times, _writable(silence.ended_by), _text(silence))


def moved_row(notice: Notice) -> Row:
    """What changes of a notice, and its key: as `notice_move` takes it."""
    times = (notice.attempts, notice.next_at, notice.settled_at)
    told = (_writable(notice.detail), _text(notice.receipt), notice.perhaps_sent)
    return (notice.standing, *times, *told, notice.key)


def notice_row(notice: Notice) -> Row:
    """All of a notice, as `notice_add` takes it."""
    body = Kept(
        alert=_finite(notice.alert),
        what=notice.what,
        created_at=notice.created_at,
        step=notice.step,
        action=notice.action,
    )
    named = (notice.alert.episode, notice.channel, notice.what, notice.created_at)
    return (*moved_row(notice), *named, _text(body))


def alerts_read(rows: Iterable[Row]) -> Iterator[Alert]:
    """Alerts, of the bodies alone."""
    return _each(lambda body: _exact(_alert.decode(body)), rows)


def silences_read(rows: Iterable[Row]) -> Iterator[Silence]:
    """Silences, of the bodies alone."""
    return _each(_silence.decode, rows)


def notices_read(rows: Iterable[Row]) -> Iterator[Notice]:
    """Notices, of the columns that `notice_waiting` and its like choose."""
    return _each(_notice, rows)


def transitions_read(rows: Iterable[Row]) -> Iterator[Transition]:
    """Transitions, of the columns that `transition_list` chooses."""
    return _each(_transition, rows)


def receipt_read(text: str) -> Mapping[str, str]:
    """What a provider gave; nothing where that cannot be read."""
    try:
        return _receipt.decode(text)
    except msgspec.MsgspecError:
        return {}


def _each(read: Callable[..., T], rows: Iterable[Row]) -> Iterator[T]:
    for row in rows:
        try:
            yield read(*row)
        except (msgspec.MsgspecError, ValueError) as error:
            logger.warning("book_row_unreadable", why=str(error)[:200])


def _notice(
    key: str,
    channel: str,
    standing: str,
    attempts: int,
    next_at: float,
    settled_at: float | None,
    *rest: Any,  # noqa: ANN401 - as SQLite gives them
) -> Notice:
    detail, receipt, perhaps_sent, body = rest
    kept = _kept.decode(body)
    return Notice(
        key=key,
        channel=channel,
        what=kept.what,
        alert=_exact(kept.alert),
        step=kept.step,
        created_at=kept.created_at,
        standing=Standing(standing),
        attempts=attempts,
        next_at=next_at,
        settled_at=settled_at,
        detail=detail,
        receipt=receipt_read(receipt),
        action=kept.action,
        perhaps_sent=bool(perhaps_sent),
    )


def _transition(episode: str, sequence: int, at: float, before: str | None, after: str, *rest: Any) -> Transition:  # noqa: ANN401 - as SQLite gives them
    severity, value, what, reason, by = rest
    return Transition(
        episode=episode,
        sequence=sequence,
        at=at,
        before=None if before is None else State(before),
        after=State(after),
        severity=Severity(severity),
        value=math.nan if value is None else value,
        what=None if what is None else What(what),
        reason=reason,
        by=by,
    )


def _finite(alert: Alert) -> Alert:
    """JSON has no infinity and no NaN: the largest number and the smallest stand for them, which nobody measures."""
    if math.isfinite(alert.value):
        return alert
    return replace(alert, value=_NAN if math.isnan(alert.value) else math.copysign(_INFINITY, alert.value))


def _exact(alert: Alert) -> Alert:
    if alert.value == _NAN:
        return replace(alert, value=math.nan)
    return replace(alert, value=math.copysign(math.inf, alert.value)) if abs(alert.value) == _INFINITY else alert


def _text(value: object) -> str:
    try:
        return _encode(value).decode()
    except UnicodeEncodeError:  # a name that is no text: labels and notes are somebody else's
        return _encode(_cleaned(msgspec.to_builtins(value))).decode()


def _cleaned(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        return _writable(value)
    if isinstance(value, Mapping):
        return {_writable(name): _cleaned(item) for name, item in value.items()}
    return [_cleaned(item) for item in value] if isinstance(value, list | tuple) else value


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
