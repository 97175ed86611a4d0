"""Why nobody is told of an alert: its cause is known, a silence or a quiet window holds, maintenance causes it."""

from collections.abc import Iterable, Mapping
from datetime import tzinfo
from typing import Final, NamedTuple

from alerting import causes, quiet
from alerting.desk.roster import Roster
from alerting.desk.surroundings import Surroundings
from alerting.quiet import InForce, Window
from alerting.rules.rule import Rule
from toban.alerts import Alert, Data, Silence

MAINTENANCE = "maintenance "
LONGEST_AFTER_SECONDS: Final = 900.0


class Mute(NamedTuple):
    """Why nobody is told, which cause is known, and when to look again where no other event would tell."""

    why: str = ""
    cause: str = ""
    until: float | None = None


class Hushing:
    """What mutes alerts at present, and what each symptom rule is a symptom of."""

    def __init__(self, roster: Roster, surroundings: Surroundings, zone: tzinfo) -> None:
        self.silences: dict[str, Silence] = {}
        self._windows: tuple[Window, ...] = ()
        self._rules: Mapping[str, Rule] = {}
        self._symptoms: dict[str, tuple[str, ...]] = {}
        self._roster = roster
        self._surroundings = surroundings
        self._zone = zone
        self._in_force: InForce | None = None
        self._other = False
        self._outlives: dict[str, float] = {}  # until when a symptom is still put down to a cause that is over

    def renew(self, rules: Mapping[str, Rule], windows: Iterable[Window]) -> None:
        """Other rules and windows hold."""
        self._rules = rules
        self._windows = tuple(windows)
        symptoms: dict[str, list[str]] = {}
        for rule in rules.values():
            for cause in rule.symptom_of:
                symptoms.setdefault(cause, []).append(rule.name)
        self._symptoms = {cause: tuple(names) for cause, names in symptoms.items()}
        self.changed()

    def changed(self) -> None:
        """What is in force must be looked at anew; whoever changed it looks at the alerts too."""
        self._in_force = None

    def refreshed(self, now: float) -> bool:
        """Look at what is in force; whether it has become other since this was asked the last time."""
        self.refresh(now)
        other, self._other = self._other, False
        return other

    def mute(self, alert: Alert, now: float, *, afresh: bool) -> Mute:
        """Why nobody is told of this alert now. Maintenance excuses what fires while it is under way, nothing older."""
        rule = self._rules.get(alert.key.rule)
        cause = self._cause(alert, rule)
        if cause is not None:
            self._outlives.pop(alert.episode, None)
            return Mute(causes.why_muted(cause), cause.episode)
        if alert.cause and self._roster.called(alert.cause) is None:
            until = self._outlives.setdefault(alert.episode, now + self._after_seconds(alert))
            if now < until:
                return Mute(alert.muted, alert.cause, until)
        self._outlives.pop(alert.episode, None)
        self.refresh(now)
        why = self._in_force.mutes(alert) if self._in_force else ""
        if not why and rule is not None and (afresh or alert.muted.startswith(MAINTENANCE)):
            why = quiet.maintenance(rule.excused_by, self._surroundings.progress(alert.key.target))
        return Mute(why, until=now + causes.AFTER_SECONDS if why.startswith(MAINTENANCE) else None)

    def forget(self, alert: Alert) -> None:
        """An alert that is over."""
        self._outlives.pop(alert.episode, None)

    def symptoms(self, cause: Alert) -> list[Alert]:
        """The firing alerts that this one explains, or did until now."""
        rules = self._symptoms.get(cause.key.rule, ())
        places = (cause.key.target, dict(cause.key.labels).get("host", ""))
        found = [alert for rule in rules for alert in self._roster.at(rule, *places)]
        found += self._roster.caused_by(cause.episode)
        return [alert for alert in found if alert.fired_at is not None and alert.episode != cause.episode]

    def outlive(self, symptom: Alert, cause: Alert, now: float) -> None:
        """A cause is over: from now on its symptom has some time to be over too."""
        if symptom.cause == cause.episode:
            self._outlives.setdefault(symptom.episode, now + self._after_seconds(symptom))

    def _after_seconds(self, symptom: Alert) -> float:
        """As long as its rule wants trouble to last, a symptom may outlive its cause: half a minute at the least."""
        rule = self._rules.get(symptom.key.rule)
        lasting = min(LONGEST_AFTER_SECONDS, rule.for_seconds) if rule is not None else 0.0
        return max(causes.AFTER_SECONDS, lasting)

    def refresh(self, now: float) -> None:
        """Look at what is in force, where that may have changed."""
        before = self._in_force
        if before is not None and before.holds(now):
            return
        self.silences = {name: one for name, one in self.silences.items() if one.ends_at > now and not one.ended_by}
        self._in_force = quiet.in_force(self._windows, self.silences.values(), now=now, zone=self._zone)
        self._other |= before is not None and before.hushes != self._in_force.hushes

    def _cause(self, alert: Alert, rule: Rule | None) -> Alert | None:
        names = () if rule is None else rule.symptom_of
        if alert.data is Data.FAILING and alert.key.rule not in causes.DOWN:
            names = (*names, *causes.DOWN)
        if not names:
            return None
        host = self._surroundings.host_of(alert.key.target)
        candidates = (other for name in names for other in self._roster.at(name, alert.key.target, host))
        return causes.cause_of(alert, candidates, host=host)
