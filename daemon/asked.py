"""What may be asked of the history, by the command line and over HTTP alike: from when on, in what order."""

from datetime import datetime, tzinfo

from toban.config import parse_duration
from toban.errors import UsageError
from toban.events import EventKind
from toban.printable import printable

ORDERS = ("total", "mean", "calls")


def moment_asked(text: str, now: float, zone: tzinfo) -> float:
    """A duration before now, or a time in ISO 8601, with its own offset or in the configured zone."""
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
        begin = (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError) as error:  # the latter where a zone leads out of the calendar
        raise UsageError(
            "--since", f"{printable(text)[:80]!r} is neither a duration nor a time", "write 7d, or 2026-11-21T09:00"
        ) from error
    if begin >= now:
        raise UsageError("--since", f"{text} is not in the past")
    return max(begin, 0.0)  # nothing was measured before 1970, and not every zone can write the year 1


def kind_asked(text: str | None) -> EventKind | None:
    """One kind of event, or any."""
    if text is None:
        return None
    if text not in set(EventKind):
        raise UsageError("--kind", f"{text!r} is no kind of event", f"there are: {', '.join(EventKind)}")
    return EventKind(text)


def order_asked(text: str) -> str:
    """One of the orders that statements can be put in."""
    if text not in ORDERS:
        raise UsageError("--by", f"{text!r} is no order", f"there are: {', '.join(ORDERS)}")
    return text
