"""Reading the book of alerts, from any process and while the daemon writes."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from history.book import forms
from history.book.store import BOOK, query
from history.failures import explain
from history.reading import connect_for_reading
from history.statefile import FAILURES
from toban.alerts import Alert, Notice, Severity, Silence, Standing, State, Transition
from toban.errors import NotFoundError, UnavailableError
from toban.outcomes import Reason

WHAT = "alerts"
MOST = 1000
DAY = 86400.0
DOWN_RULE = "target_down"
_READ_ALIKE = str.maketrans("oil", "011")  # Crockford: letters that are taken for digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What fired in a span. The means are None where there is nothing to take one of."""

    total: int
    critical: int
    warning: int
    info: int
    mtta_seconds: float | None
    mttr_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleReview:
    """What one rule has brought."""

    rule: str
    fired: int
    acknowledged: int
    false: int
    real: int
    unmarked: int
    mean_seconds: float | None
    mean_acknowledge_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a span has brought: per rule, the busiest first; incidents a day; the share of time that targets were up."""

    rules: tuple[RuleReview, ...]
    incidents_per_day: float
    availability: Mapping[str, float]
    """Of the targets that were down within the span; every other was up all of the time that it was watched."""


class BookReader:
    """A book opened for reading alone. Make it with `open_book_reader`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def alerts(
        self,
        *,
        states: Iterable[State] | None = None,
        since: float | None = None,
        until: float | None = None,
        rule: str | None = None,
        target: str | None = None,
        severity: Severity | None = None,
        most: int = MOST,
    ) -> tuple[Alert, ...]:
        """Alerts in any of these states that were there within a span, the latest first."""
        wanted = None if states is None else json.dumps([str(state) for state in states])
        span = {"since": since, "until": until, "most": most}
        given = {"states": wanted, "rule": rule, "target": target, "severity": severity, **span}
        return tuple(forms.alerts_read(self._rows("alert_list", given)))

    def alert(self, prefix: str) -> Alert:
        """The one whose id begins like this; NotFoundError where it is none, or more than one."""
        written = prefix.strip().lower().translate(_READ_ALIKE)
        found = tuple(forms.alerts_read(self._rows("alert_prefix", {"prefix": written}))) if written.isalnum() else ()
        if not found:
            raise NotFoundError(f"alert {prefix}", "no alert has this id", self._nearest(written))
        if len(found) > 1:
            several = ", ".join(alert.episode for alert in found[:3]) + (" …" if len(found) > 3 else "")  # noqa: PLR2004 - one more than is shown was asked for
            raise NotFoundError(
                f"alert {prefix}", f"several ids begin like this: {several}", "write one more character"
            )
        return found[0]

    def transitions(self, episode: str) -> tuple[Transition, ...]:
        """The life of an alert, from its beginning."""
        return tuple(forms.transitions_read(self._rows("transition_list", (episode,))))

    def evidence(self, episode: str) -> str | None:
        """What was seen when it fired, as JSON."""
        return next((body for (body,) in self._rows("evidence_get", (episode,))), None)

    def mark(self, episode: str) -> tuple[str, str] | None:
        """`real` or `false`, and who says so."""
        return next(((verdict, by) for verdict, by in self._rows("mark_get", (episode,))), None)

    def notices(
        self, *, episode: str | None = None, standing: Standing | None = None, most: int = MOST
    ) -> tuple[Notice, ...]:
        """The outbox, the latest first; with `Standing.DEAD` the dead letters."""
        given = {"episode": episode, "standing": standing, "most": most}
        return tuple(forms.notices_read(self._rows("notice_list", given)))

    def silences(self, most: int = MOST) -> tuple[Silence, ...]:
        """Every silence, the latest first, those that are over among them."""
        return tuple(forms.silences_read(self._rows("silence_list", (most,))))

    def statistics(self, since: float, until: float) -> Statistics:
        """How many fired in a span, and how long it took to take them up and to end them."""
        ((total, critical, warning, info, mtta, mttr),) = self._rows("statistics", {"since": since, "until": until})
        return Statistics(
            total=total, critical=critical, warning=warning, info=info, mtta_seconds=mtta, mttr_seconds=mttr
        )

    def review(self, since: float, until: float) -> Review:
        """What each rule was worth, how often something was wrong, how long targets were up."""
        rows = self._rows("review", {"since": since, "until": until})
        rules = tuple(_rule_review(*row) for row in rows)
        outages = self._rows("outages", {"since": since, "until": until, "rule": DOWN_RULE})
        return Review(
            rules=rules,
            incidents_per_day=sum(rule.fired for rule in rules) * DAY / (until - since),
            availability={target: 1 - down / (until - since) for target, down in down_seconds(outages).items()},
        )

    def _rows(self, name: str, given: Mapping[str, object] | tuple[object, ...]) -> list[forms.Row]:
        with _explained(self._path):
            return self._connection.execute(query(name), given).fetchall()

    def _nearest(self, written: str) -> str:
        known = [episode for (episode,) in self._rows("alert_recent", ())]
        near = get_close_matches(written, known, n=3, cutoff=0.5)
        return f"the nearest: {', '.join(near)}" if near else "`toban alerts` shows those that are open"


@contextmanager
def open_book_reader(path: Path) -> Iterator[BookReader]:
    """A reader on the book; UnavailableError where there is none, or none that can be read."""
    if not path.is_file():
        raise UnavailableError(WHAT, f"{path} does not exist", "it is made by `toban run`")
    with _explained(path):
        connection = connect_for_reading(path, BOOK)
    with closing(connection):
        yield BookReader(connection, path)


def down_seconds(outages: Iterable[tuple[str, float, float]]) -> dict[str, float]:
    """How long each target was down. Outages of one target may overlap; they come in the order of their beginning."""
    total: dict[str, float] = {}
    reached: dict[str, float] = {}
    for target, begin, end in outages:
        begun = max(begin, reached.get(target, begin))
        total[target] = total.get(target, 0.0) + max(0.0, end - begun)
        reached[target] = max(end, begun)
    return total


def _rule_review(rule: str, fired: int, acknowledged: int, *rest: float | None) -> RuleReview:
    false, real, unmarked, mean, mean_acknowledge = rest
    return RuleReview(
        rule=rule,
        fired=fired,
        acknowledged=acknowledged,
        false=int(false or 0),
        real=int(real or 0),
        unmarked=int(unmarked or 0),
        mean_seconds=mean,
        mean_acknowledge_seconds=mean_acknowledge,
    )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        failure = explain(error, path)
        hint = "the daemon sets it aside and begins a new one" if failure.reason is Reason.CORRUPT else failure.hint
        raise UnavailableError(WHAT, failure.detail, hint) from error
