"""Alertmanager: each alert by its labels, said again and again while it lasts, since that is what it takes for firing.

What fires has an explicit end some minutes ahead, and `refresh` moves it on. When Toban is gone for longer than that,
Alertmanager takes the alert for resolved: hence `valid_for`, and the dead man's heartbeat beside it.
"""

import asyncio
import base64
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from alerting.address import WebUrl
from alerting.channels.answers import document, not_taken
from alerting.channels.fitting import fitted, is_link, json_size
from alerting.channels.http import HttpChannel, HttpSettings, Token
from alerting.channels.webhook import iso, status_of
from alerting.messages import Letter
from alerting.web import Answer
from toban.alerts import Alert, Delivery, Notice, Outcome, Severity, What
from toban.config import Duration, misfit
from toban.secrets import Secret

REFRESH_SECONDS: Final = 60.0
MOST_AT_ONCE: Final = 500  # alerts in one request
MOST_ENDED: Final = 10_000
MOST_LABELS: Final = 40
LABEL_BYTES: Final = 1_000
ANNOTATION_BYTES: Final = 4_000
UNDELIVERED: Final = "undelivered"
_NO_LABEL = re.compile(r"[^a-zA-Z0-9_]")


class AlertmanagerSettings(HttpSettings):
    """Where it listens, and how to log in where something in front of it asks for that."""

    kind: Literal["alertmanager"] = "alertmanager"
    url: WebUrl
    username: str | None = Field(default=None, min_length=1, pattern=r"^[^:\x00-\x1f]*$")
    password: Secret | None = None
    token: Token | None = None
    valid_for: Duration = Field(default=900.0, description="How long it believes what it has not heard again.")
    digest_above: int = Field(default=1000, ge=1, description="It groups by itself; so many become one request.")

    @model_validator(mode="after")
    def _logs_in_one_way(self) -> "AlertmanagerSettings":
        if (self.username is None) != (self.password is None):
            raise misfit("username and password go together", "password" if self.username is None else "username")
        if self.username is not None and self.token is not None:
            raise misfit("is instead of username and password", "token")
        if self.valid_for < 2 * REFRESH_SECONDS:
            raise misfit(f"is shorter than two rounds of {REFRESH_SECONDS:.0f} s", "valid_for")
        return self


class Alertmanager(HttpChannel[AlertmanagerSettings]):
    """An Alertmanager, or what takes its place."""

    kind = "alertmanager"
    settings_model = AlertmanagerSettings
    per_second: ClassVar[float] = 20.0
    burst: ClassVar[int] = 50
    keyed = True  # by the labels: the same alert again is the same alert
    refresh_seconds = REFRESH_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on
        super().__init__(*args, **kwargs)
        self._turn = asyncio.Lock()
        self._ended: OrderedDict[str, None] = OrderedDict()

    async def send(self, letter: Letter) -> Delivery:
        """Tell of one alert; of a digest, of each."""
        for notice in letter.digest or (letter.notice,):
            if notice.what is What.RESOLVED:
                self._end(notice.alert.episode)
        async with self._turn:
            return await self._tell(list(self._told(letter)))

    async def refresh(self, letters: Sequence[Letter]) -> Delivery:
        """Tell of all that are open, so that none of them runs out. The first request that fails ends it.

        One by one with what is sent: an alert that ends meanwhile must not be told as firing after its end.
        """
        delivery = Delivery(outcome=Outcome.SENT, detail="nothing is open")
        for start in range(0, len(letters), MOST_AT_ONCE):
            async with self._turn:
                those = letters[start : start + MOST_AT_ONCE]
                standing = [letter for letter in those if letter.notice.alert.episode not in self._ended]
                told = [one for letter in standing for one in self._told(letter)]
                delivery = await self._tell(told) if told else delivery
            if delivery.outcome is not Outcome.SENT:
                break
        return delivery

    def _end(self, episode: str) -> None:
        self._ended[episode] = None
        while len(self._ended) > MOST_ENDED:
            self._ended.popitem(last=False)

    async def _tell(self, alerts: list[dict[str, Any]]) -> Delivery:
        answer = await self.post(self.settings.url.below("api/v2/alerts"), alerts, self._login())
        if isinstance(answer, Delivery):
            return answer
        detail = f"status {answer.status}"
        if answer.status < 300 and not _is_its_own(answer):  # noqa: PLR2004 - success
            detail = f"{detail}, but the answer is not Alertmanager's"
            return Delivery(outcome=Outcome.RETRY, detail=detail, unsure=True)
        return not_taken(answer, self.clock.now()) or Delivery(outcome=Outcome.SENT, detail=detail)

    def _login(self) -> dict[str, str]:
        settings = self.settings
        if settings.token is not None:
            return {"Authorization": f"Bearer {settings.token.reveal()}"}
        if settings.username is None or settings.password is None:
            return {}
        pair = base64.b64encode(f"{settings.username}:{settings.password.reveal()}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    def _told(self, letter: Letter) -> Iterator[dict[str, Any]]:
        """The alert; and where its severity has changed, that it is over under the one it had."""
        if letter.notice.what is What.UNDELIVERED:
            yield self._unreached(letter)
            return
        if letter.digest:
            for notice in letter.digest:
                yield self._alert(notice, letter.node, _few_words(notice, letter), notice.alert.severity)
            return
        words = _words(letter)
        yield self._alert(letter.notice, letter.node, words, letter.message.severity)
        for severity in _left(letter.notice):
            yield {**self._alert(letter.notice, letter.node, words, severity), "endsAt": iso(self.clock.now())}

    def _alert(self, notice: Notice, node: str, words: dict[str, str], severity: Severity) -> dict[str, Any]:
        alert, now = notice.alert, self.clock.now()
        over = status_of(notice) == "resolved"
        ends_at = min(alert.resolved_at or now, now) if over else now + self.settings.valid_for
        told = {
            "labels": labels(alert, node, severity),
            "annotations": {name: text for name, text in words.items() if text},
            "startsAt": iso(min(alert.fired_at or alert.started_at, now, ends_at)),
            "endsAt": iso(ends_at),
        }
        link = words.get("dashboard", "")
        return {**told, "generatorURL": link} if is_link(link) else told

    def _unreached(self, letter: Letter) -> dict[str, Any]:
        """A channel out of reach is an alert of its own. What was lost would run out here: no refresh tells of it."""
        told = {"channel": letter.notice.receipt.get("channel", ""), "severity": letter.message.severity.value}
        found = {"alertname": UNDELIVERED, "node": letter.node, **told}
        return {
            "labels": {name: fitted(value, LABEL_BYTES, size=json_size) for name, value in found.items() if value},
            "annotations": {name: text for name, text in _words(letter).items() if text},
            "startsAt": iso(min(letter.notice.created_at, self.clock.now())),
            "endsAt": iso(self.clock.now() + self.settings.valid_for),
        }


def labels(alert: Alert, node: str, severity: Severity) -> dict[str, str]:
    """What tells the alert from every other. Names are made such as Alertmanager takes; Toban's own come first.

    One of a series that has the name of an own one is called as Prometheus does, lest two series become one alert.
    """
    own = {"alertname": alert.key.rule, "target": alert.key.target, "severity": severity.value, "node": node}
    named = ((_name(name), value) for name, value in alert.key.labels[:MOST_LABELS])
    foreign = {f"exported_{name}" if name in own else name: value for name, value in named}
    found = {**foreign, **own, **({"test": "true"} if alert.test else {})}
    return {name: fitted(value, LABEL_BYTES, size=json_size) for name, value in found.items() if value}


def _name(name: str) -> str:
    plain = _NO_LABEL.sub("_", name)[:100]
    return f"_{plain}" if plain[:1].isdigit() or not plain else plain


def _left(notice: Notice) -> Iterator[Severity]:
    """The severities under which Alertmanager may still believe this alert to be."""
    now = notice.alert.severity.rank
    for severity in Severity:
        worse_before = notice.what is What.EASED and severity.rank > now
        if worse_before or (notice.what is What.WORSENED and severity.rank < now):
            yield severity


def _words(letter: Letter) -> dict[str, str]:
    message = letter.message
    told = {
        "summary": message.title,
        "description": message.text,
        "runbook": message.runbook,
        "runbook_url": message.runbook if is_link(message.runbook) else "",
        "acknowledged_by": letter.notice.alert.acknowledged_by,
        "dashboard": letter.url,
    }
    return {name: _annotation(text) for name, text in told.items()}


def _few_words(notice: Notice, letter: Letter) -> dict[str, str]:
    """In a digest the words are of all of them; each alert's own come with the next refresh."""
    told = {"summary": notice.alert.key.text, "description": letter.message.summary, "runbook": notice.alert.runbook}
    return {name: _annotation(text) for name, text in told.items()}


def _annotation(text: str) -> str:
    lines = (fitted(line, ANNOTATION_BYTES, size=json_size) for line in text[:ANNOTATION_BYTES].split("\n"))
    return "\n".join(lines)


def _is_its_own(answer: Answer) -> bool:
    """It says nothing; what stands in for it may say `success`."""
    return not answer.body.strip() or document(answer).get("status") == "success"
