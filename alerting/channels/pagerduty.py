"""PagerDuty, by Events v2: one incident an episode, by a key made of the episode, from trigger to resolve.

What is acknowledged there stays silent, whatever triggers it again: when the acknowledgement holds no longer, the
incident is ended and another begun. A digest is an incident of its own, which a person ends.
"""

import hashlib
import math
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from alerting.address import WebUrl
from alerting.channels.answers import document, not_taken
from alerting.channels.fitting import fitted, is_link, json_size
from alerting.channels.http import HttpChannel, HttpSettings
from alerting.channels.webhook import iso, status_of
from alerting.messages import Letter
from toban.alerts import Delivery, Outcome, What
from toban.catalogue import say
from toban.secrets import Secret

SUMMARY_CHARACTERS: Final = 1024
FIELD_CHARACTERS: Final = 255
DETAIL_BYTES: Final = 4_000
MOST_DETAILS: Final = 30
_ACTIONS = {"firing": "trigger", "acknowledged": "acknowledge", "resolved": "resolve"}
_ENDING_A_LEASE = frozenset({What.LAPSED, What.WORSENED})
_ALONE = frozenset({What.DIGEST, What.UNDELIVERED, What.TEST})  # of no episode
_BAD_REQUEST = 400


class PagerDutySettings(HttpSettings):
    """The integration's key."""

    kind: Literal["pagerduty"] = "pagerduty"
    routing_key: Secret
    url: WebUrl = Field(
        default=WebUrl("https://events.pagerduty.com/v2/enqueue"),
        description="For accounts in Europe https://events.eu.pagerduty.com/v2/enqueue.",
    )


class PagerDuty(HttpChannel[PagerDutySettings]):
    """A service of PagerDuty's."""

    kind = "pagerduty"
    settings_model = PagerDutySettings
    per_second: ClassVar[float] = 2.0
    burst: ClassVar[int] = 10
    keyed = True
    answers_apart = True

    async def send(self, letter: Letter) -> Delivery:
        """Send one event, or two to ring anew. Its key makes a repeat harmless."""
        action, was_held = _ACTIONS[status_of(letter.notice, letter.digest)], letter.notice.alert.acknowledged_at
        if action != "trigger" or letter.notice.what not in _ENDING_A_LEASE or was_held is None:
            return await self._sent(letter, action)
        ended = await self._sent(letter, "resolve", share=0.5)
        return await self._sent(letter, action, share=0.5) if ended.outcome is Outcome.SENT else ended

    async def _sent(self, letter: Letter, action: str, *, share: float = 1.0) -> Delivery:
        key = dedup_key(letter)
        answer = await self.post(self.settings.url, self._event(letter, action, key), share=share)
        if isinstance(answer, Delivery):
            return answer
        refused = not_taken(answer, self.clock.now())
        if refused is not None and answer.status == _BAD_REQUEST:
            return Delivery(outcome=refused.outcome, detail="status 400: is the routing_key right?")
        if refused is not None:
            return refused
        if document(answer).get("status") != "success":
            detail = f"status {answer.status}, but the answer is not PagerDuty's"
            return Delivery(outcome=Outcome.RETRY, detail=detail, unsure=True)
        return Delivery(outcome=Outcome.SENT, detail=f"status {answer.status}", receipt={"dedup_key": key})

    def _event(self, letter: Letter, action: str, key: str) -> dict[str, Any]:
        links = [{"href": link, "text": text} for link, text in _links(letter) if is_link(link)]
        event = {
            "routing_key": self.settings.routing_key.reveal(),
            "event_action": action,
            "dedup_key": key,
            "payload": _payload(letter),
            "client": fitted(f"Toban {letter.node}", FIELD_CHARACTERS),
            "links": links,
        }
        return {**event, "client_url": letter.url} if is_link(letter.url) else event


def dedup_key(letter: Letter) -> str:
    """The same for all of an episode; one that is acknowledged would swallow the next digest, so each has its own."""
    subject = letter.key if letter.notice.what in _ALONE else letter.notice.alert.episode
    return hashlib.sha256(subject.encode(errors="replace")).hexdigest()


def _payload(letter: Letter) -> dict[str, Any]:
    alert, message = letter.notice.alert, letter.message
    fields = {"component": alert.metric, "group": letter.node, "class": alert.key.rule}
    return {
        "summary": fitted(message.title, SUMMARY_CHARACTERS) or "Toban",
        "source": fitted(alert.key.target, FIELD_CHARACTERS) or letter.node,
        "severity": message.severity.value,
        "timestamp": iso(letter.notice.created_at),
        **{name: fitted(value, FIELD_CHARACTERS) for name, value in fields.items() if value},
        "custom_details": _details(letter),
    }


def _details(letter: Letter) -> dict[str, Any]:
    alert, message = letter.notice.alert, letter.message
    told = {"summary": message.summary, **dict(message.facts)}
    for place, line in enumerate((*message.evidence, *message.commands), 1):
        told[f"{place}"] = line
    told |= {f"label {name}": value for name, value in alert.key.labels}
    told |= {"runbook": message.runbook, "footer": message.footer}
    shortened = {
        fitted(name, FIELD_CHARACTERS): fitted(text, DETAIL_BYTES, size=json_size)
        for name, text in list(told.items())[:MOST_DETAILS]
        if text
    }
    return {**shortened, "value": alert.value} if math.isfinite(alert.value) else shortened


def _links(letter: Letter) -> tuple[tuple[str, str], ...]:
    message = letter.message
    return (
        (message.runbook, say("channel.runbook", message.language)),
        (message.acknowledge_url, say("channel.acknowledge", message.language)),
        (letter.url, say("channel.details", message.language)),
    )
