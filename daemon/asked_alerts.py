"""What may be asked of alerts, by the command line and over HTTP alike: which ones, for how long, by whom."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TypeVar

from alerting.quiet import Match, cron_fault, next_start
from toban.alerts import Severity, State
from toban.config import parse_duration, parse_share
from toban.errors import NotFoundError, UsageError
from toban.printable import printable

LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
MOST_LETTERS = 500
WHO_LETTERS = 80
MOST_MATCHES = 20
LONGEST_SILENCE_SECONDS = 366 * 86400.0
RECURRING_SECONDS = 365 * 86400.0
SHORTEST_REST_SECONDS = 60.0
ACTIVE = (State.PENDING, State.FIRING, State.ACKNOWLEDGED)
GOAL = "99.9%"
_READ_ALIKE = str.maketrans("oil", "011")  # Crockford: letters that are taken for digits
ChoiceT = TypeVar("ChoiceT", Severity, State)


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceAsked:
    """A silence as it was understood."""

    match: Match
    begins_at: float
    ends_at: float
    cron: str
    for_seconds: float
    why: str


def severity_asked(text: str | None) -> Severity | None:
    """One severity, or any."""
    return _choice("--severity", text, Severity)


def state_asked(text: str | None) -> State | None:
    """One state, or any."""
    return _choice("--state", text, State)


def _choice(option: str, text: str | None, choices: type[ChoiceT]) -> ChoiceT | None:
    if text is None:
        return None
    if text not in set(choices):
        raise UsageError(option, f"{text!r} is none", f"there are: {', '.join(choices)}")
    return choices(text)


def span_asked(option: str, text: str | None) -> float | None:
    """A duration in seconds, where one was named."""
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(option, str(error)) from error


def goal_asked(text: str) -> float:
    """How long of the time a target is to be up: `99.9%`."""
    try:
        return parse_share(text)
    except ValueError as error:
        raise UsageError("--goal", str(error)) from error


def verdict_asked(text: str) -> str:
    """Whether an alert told of something real."""
    if text not in ("real", "false"):
        raise UsageError("mark", f"{text!r} is no verdict", "write real or false")
    return text


def beginning_asked(text: str) -> str:
    """The beginning of an id; what people take for one another, the ids have not."""
    beginning = text.strip().lower().translate(_READ_ALIKE)
    if not beginning.isalnum():
        raise NotFoundError(f"alert {printable(text)}", "no alert has this id", "toban alerts lists them")
    return beginning


def who_asked(text: str) -> str:
    """A person's name, on one line and not endless."""
    who = printable(text.strip())
    if not who or len(who) > WHO_LETTERS:
        raise UsageError("who", f"a name has 1 to {WHO_LETTERS} letters")
    return who


def words_asked(option: str, text: str, *, needed: bool = False) -> str:
    """A remark of a person, not endless."""
    words = text.strip()
    if needed and not words:
        raise UsageError(option, "say why in a few words")
    if len(words) > MOST_LETTERS:
        raise UsageError(option, f"is longer than {MOST_LETTERS} letters")
    return words


def matches_asked(texts: Iterable[str]) -> Match:
    """`rule=disk_*` and the like, as names with patterns."""
    pairs = [text.partition("=") for text in texts]
    for name, sign, pattern in pairs:
        if not sign:
            raise UsageError("--match", f"{name!r} is no LABEL=PATTERN", "write rule=disk_*, target=main or mount=/srv")
        _check_match(name, pattern)
    if len(pairs) > MOST_MATCHES:
        raise UsageError("--match", f"more than {MOST_MATCHES} patterns")
    return tuple(sorted((name, pattern) for name, _, pattern in pairs))


def _check_match(name: str, pattern: str) -> None:
    if not LABEL.fullmatch(name):
        raise UsageError("--match", f"{printable(name)[:WHO_LETTERS]!r} is no label")
    if not pattern or len(pattern) > MOST_LETTERS:
        raise UsageError("--match", f"{name} has no pattern, or an endless one")


def silence_asked(  # noqa: PLR0913 - an option each
    *,
    match: Match,
    length: str | None,
    begins: str | None,
    until: str | None,
    cron: str | None,
    why: str,
    now: float,
    zone: tzinfo,
) -> SilenceAsked:
    """A silence out of what was written; planned with `begins` and `until`, recurring with `cron`."""
    seconds = span_asked("--for", length)
    start = now if begins is None else _moment("--from", begins, zone)
    end = None if until is None else _moment("--until", until, zone)
    if cron is not None:
        _check_cron(cron, seconds, now, zone)
        end = start + RECURRING_SECONDS if end is None else end
    elif (seconds is None) == (end is None):
        raise UsageError("--for", "how long? one of --for and --until is needed", "--for 2h")
    else:
        end = start + (seconds or 0.0) if end is None else end
    if not now < end or not 0 < end - start <= LONGEST_SILENCE_SECONDS:
        raise UsageError("--until", "a silence ends later than it begins, in the future, and within a year")
    return SilenceAsked(
        match=match,
        begins_at=start,
        ends_at=end,
        cron=cron or "",
        for_seconds=(seconds or 0.0) if cron else 0.0,
        why=words_asked("--why", why, needed=True),
    )


def _moment(option: str, text: str, zone: tzinfo) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(option, f"{text!r} is no time", "write 2026-11-21T09:00") from error
    return (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()


def _check_cron(cron: str, seconds: float | None, now: float, zone: tzinfo) -> None:
    """It must be one, and leave some time in which somebody is told."""
    if seconds is None:
        raise UsageError("--for", "how long each time? --cron wants --for", "--cron '0 1 * * *' --for 1h")
    if why := cron_fault(cron):
        raise UsageError("--cron", f"{cron!r} {why}")
    first = next_start(cron, now=now, zone=zone)
    second = None if first is None else next_start(cron, now=first, zone=zone)
    if first is not None and second is not None and second - first < seconds + SHORTEST_REST_SECONDS:
        raise UsageError("--for", "is as long as the time between two turns: nobody would ever be told")
