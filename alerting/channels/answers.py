"""What an answer means: whether the provider has the message, wants it later, or never."""

import json
import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

from alerting.web import Answer, WebError
from toban.alerts import Delivery, Outcome

LONGEST_WAIT_SECONDS: Final = 3600.0  # a receiver does not shut a channel for longer than this by its word alone
_TRANSIENT = frozenset({408, 425, 429})
_PLACES = ("retry_after", "retryAfter", "retry-after")


def missed(error: WebError) -> Delivery:
    """No answer: later perhaps, unless the address itself is at fault."""
    outcome = Outcome.REFUSED if error.final else Outcome.RETRY
    return Delivery(outcome=outcome, detail=error.detail, unsure=error.unsure)


def not_taken(answer: Answer, now: float) -> Delivery | None:
    """What became of it by the status alone; None where that says that it was taken."""
    status = answer.status
    told = f"status {status}"
    if 200 <= status < 300:  # noqa: PLR2004 - success, as HTTP has it
        return None
    if status in _TRANSIENT or status >= 500:  # noqa: PLR2004 - the server's own fault
        return Delivery(outcome=Outcome.RETRY, detail=told, after_seconds=wait_seconds(answer, now))
    if 300 <= status < 400:  # noqa: PLR2004 - a redirect
        told = f"{told}: it leads to another address, which is not followed; write that one as the channel's"
    return Delivery(outcome=Outcome.REFUSED, detail=told)


def document(answer: Answer) -> Mapping[str, Any]:
    """The body as a JSON object; empty where it is none."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def wait_seconds(answer: Answer, now: float) -> float | None:
    """When the receiver wants to hear from us again: by header, in seconds or as a date, or in the body."""
    found, now = document(answer), _their_now(answer, now)
    inner = found.get("parameters")
    written = [answer.headers.get("retry-after"), *(found.get(place) for place in _PLACES)]
    if isinstance(inner, dict):
        written.append(inner.get("retry_after"))
    waits = [seconds for value in written if (seconds := _seconds(value, now)) is not None]
    return min(max(waits), LONGEST_WAIT_SECONDS) if waits else None


def _seconds(value: object, now: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return _until(str(value), now)
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _until(text: str, now: float) -> float | None:
    at = _moment(text)
    return None if at is None else max(at - now, 0.0)


def _their_now(answer: Answer, now: float) -> float:
    """By the receiver's clock, where it tells: its dates are of that one, and ours may be wrong or have been set."""
    at = _moment(answer.headers.get("date", ""))
    return now if at is None else at


def _moment(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
