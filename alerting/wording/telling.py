"""What the words of one message are made of: the notice, whom it is for, and how moments and values are written."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo

from alerting.lines import one_line
from alerting.wording.thresholds import threshold_text
from toban.alerts import Alert, Notice, Severity
from toban.catalogue import say
from toban.clock import moment
from toban.language import Language
from toban.units import seconds_text, value_text

MOST_TITLE_LETTERS = 200
MOST_LABEL_LETTERS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """A notice to be told in one language, in one zone, by one node."""

    notice: Notice
    language: Language
    node: str
    zone: tzinfo

    @property
    def alert(self) -> Alert:
        """What it is about."""
        return self.notice.alert

    @property
    def value(self) -> str:
        """The alert's value in human units."""
        return value_text(self.alert.value, self.alert.unit, self.language)

    @property
    def threshold(self) -> str:
        """The threshold likewise."""
        return one_line(threshold_text(self.alert.threshold, self.alert.unit, self.language))

    @property
    def target(self) -> str:
        """The target's name."""
        return one_line(self.alert.key.target)

    def severity(self, severity: Severity) -> str:
        """`CRITICAL`."""
        return say(f"alert.severity.{severity}", self.language)

    def at(self, when: float) -> str:
        """`2026-11-21 23:40:12 +09:00`."""
        return stamp(when, self.zone)

    def span(self, since: float, until: float | None = None) -> str:
        """How long that is, at the moment of this notice unless another is named."""
        end = self.notice.created_at if until is None else until
        return seconds_text(max(0.0, round(end - since)), self.language)

    def footer(self, first: str) -> str:
        """What stands below everything: where it comes from, and what is to be known about this copy of it."""
        return " · ".join((first, *self._marks()))

    def titled(self, title: str) -> str:
        """One line; a drill says so before anything else."""
        marked = say("alert.title.drill", self.language, title=title) if self.alert.test else title
        return one_line(marked, MOST_TITLE_LETTERS)

    def _marks(self) -> Iterator[str]:
        if self.alert.test:
            yield say("alert.mark.drill", self.language)
        if self.notice.perhaps_sent:
            yield say("alert.mark.repeat", self.language)
        if not self.notice.kept:
            yield say("alert.mark.unkept", self.language)


def stamp(when: float, zone: tzinfo) -> str:
    """A moment for people, in a zone and with its offset, so that nobody has to guess across summer time."""
    text = moment(when).astimezone(zone).isoformat(sep=" ", timespec="seconds")
    return f"{text[:19]} {text[19:]}"


def named(alert: Alert, most: int = 120) -> str:
    """The rule with the values of its labels: `disk_full /srv`."""
    labels = " ".join(value for _, value in alert.key.labels if value)
    return one_line(f"{alert.key.rule} {one_line(labels, MOST_LABEL_LETTERS)}".strip(), most)
