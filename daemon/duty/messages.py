"""From a notice to a letter: the words of it in the channel's language, with what the daemon knows besides."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from alerting.channels.contract import Channel
from alerting.episodes import minted
from alerting.messages import Letter
from alerting.settings import policy_of
from alerting.shipped.runbooks import is_shipped
from alerting.wording import words
from daemon.configuration.tree import Configuration
from daemon.duty.surroundings import DaemonSurroundings
from toban.alerts import Alert, Key, Notice, Policy, Severity, State, What
from toban.clock import Clock
from toban.language import Language

if TYPE_CHECKING:
    from daemon.http.links import Links


class Wording:
    """Writes letters."""

    def __init__(self, configuration: Configuration, surroundings: DaemonSurroundings, clock: Clock) -> None:
        self.links: Links | None = None
        self._surroundings = surroundings
        self._clock = clock
        self._configuration = configuration

    def renew(self, configuration: Configuration) -> None:
        """Another node's name, another language."""
        self._configuration = configuration

    def letter(self, notice: Notice, channel: Channel[Any], digest: Sequence[Notice]) -> Letter:
        """The letter for a channel."""
        return self._letter(notice, Language(channel.settings.language or self._configuration.language), digest)

    def for_programs(self, notice: Notice) -> Letter:
        """The letter that an action's program is given."""
        return self._letter(notice, Language(self._configuration.language), ())

    def standing(self, channel: Channel[Any], alerts: Iterable[Alert]) -> list[Letter]:
        """A letter for each alert that this channel knows of and that still fires."""
        shown = (State.FIRING, State.ACKNOWLEDGED)
        known = [alert for alert in alerts if alert.state in shown and channel.name in alert.told]
        now = self._clock.now()
        notices = [
            Notice(
                key=f"{alert.episode}/refresh", channel=channel.name, what=What.REPEATED, alert=alert, created_at=now
            )
            for alert in known
        ]
        return [self.letter(notice, channel, ()) for notice in notices]

    def policy(self, configuration: Configuration) -> Policy:
        """Whom a rule without wishes of its own tells."""
        return policy_of(configuration.alerts, configuration.channels)

    def _letter(self, notice: Notice, language: Language, digest: Sequence[Notice]) -> Letter:
        configuration, alert = self._configuration, notice.alert
        told = replace(notice, alert=replace(alert, runbook=self._runbook(alert)))
        message = words(
            told,
            language=language,
            node=configuration.node,
            zone=configuration.zone,
            rule_summary={Language(language): text for language, text in alert.sentence.items()},
            evidence=self._surroundings.evidence_of(alert.episode),
            acknowledge_url=self._acknowledge_url(alert),
            digest=digest,
        )
        return Letter(notice=notice, message=message, node=configuration.node, digest=tuple(digest))

    def _runbook(self, alert: Alert) -> str:
        """A link that a telephone can open, else what to type."""
        if not is_shipped(alert.runbook):
            return alert.runbook
        public = self._configuration.http.public_url
        return f"{public}/runbooks/{alert.key.rule}" if public else f"toban alerts runbook {alert.key.rule}"

    def _acknowledge_url(self, alert: Alert) -> str:
        public = self._configuration.http.public_url
        if not public or self.links is None or alert.test:
            return ""
        return f"{public}/ack/{self.links.token(alert.episode, self._clock.now())}"


def test_notice(channel: str, node: str, now: float, random: Random) -> Notice:
    """One marked message."""
    episode = minted(random, taken=lambda _: False)
    alert = Alert(
        key=Key("test", node),
        episode=episode,
        severity=Severity.INFO,
        state=State.FIRING,
        value=0.0,
        reason="a test: nothing is wrong",
        started_at=now,
        fired_at=now,
        changed_at=now,
        seen_at=now,
        test=True,
    )
    return Notice(key=f"test-{episode}", channel=channel, what=What.TEST, alert=alert, created_at=now)
