"""Microsoft Teams, by a workflow that posts an Adaptive Card. Its yes is mostly `queued`, and is told as that."""

import re
from typing import Any, ClassVar, Final, Literal

from alerting.address import WebUrl
from alerting.channels.answers import not_taken
from alerting.channels.fitting import fitted, is_link, json_size
from alerting.channels.http import HttpChannel, HttpSettings
from alerting.messages import Letter, Message
from alerting.web import Answer
from toban.alerts import Delivery, Outcome, Severity, State
from toban.catalogue import say

MOST_BYTES: Final = 20_000  # Teams wraps it, and takes 28,672 bytes after that; the sizes below keep within it
TITLE_BYTES: Final = 500
SUMMARY_BYTES: Final = 2_000
MOST_FACTS: Final = 12
FACT_NAME_BYTES: Final = 100
FACT_BYTES: Final = 400
MOST_LINES: Final = 3
LINE_BYTES: Final = 700
FOOTER_BYTES: Final = 500
_ACCEPTED = 202
_HIDDEN_ERROR = re.compile(rb"HTTP error ([45][0-9]{2})")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>])")
_COLOURS = {Severity.INFO: "Accent", Severity.WARNING: "Warning", Severity.CRITICAL: "Attention"}


class TeamsSettings(HttpSettings):
    """The address of the workflow, with all of its query: the signature in it is what lets in."""

    kind: Literal["teams"] = "teams"
    url: WebUrl


class Teams(HttpChannel[TeamsSettings]):
    """A channel or chat of Teams."""

    kind = "teams"
    settings_model = TeamsSettings
    per_second: ClassVar[float] = 1.0
    burst: ClassVar[int] = 4

    async def send(self, letter: Letter) -> Delivery:
        """Post once."""
        answer = await self.post(self.settings.url, card(letter))
        if isinstance(answer, Delivery):
            return answer
        answer = _as_meant(answer)
        detail = "queued" if answer.status == _ACCEPTED else f"status {answer.status}"
        return not_taken(answer, self.clock.now()) or Delivery(outcome=Outcome.SENT, detail=detail)


def card(letter: Letter) -> dict[str, Any]:
    """The message with its one card."""
    content: dict[str, Any] = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.2",
        "body": _body(letter.message),
        "msteams": {"width": "Full"},
    }
    actions = _actions(letter)
    if actions:
        content["actions"] = actions
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


def escaped(text: str) -> str:
    """No markdown and no mention: what would format is preceded by a backslash, `<` and `&` are written out."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", plain)


def _body(message: Message) -> list[dict[str, Any]]:
    colour = "Good" if message.state is State.RESOLVED else _COLOURS[message.severity]
    title = {"size": "Large", "weight": "Bolder", "color": colour}
    body = [_formatted(message.title, TITLE_BYTES, **title), _runs((message.summary, SUMMARY_BYTES, {}))]
    for name, value in message.facts[:MOST_FACTS]:
        told = _runs((f"{name}: ", FACT_NAME_BYTES, {"weight": "Bolder"}), (value, FACT_BYTES, {}))
        body.append({**told, "spacing": "Small"})
    for lines in (message.evidence, message.commands):
        body.extend(_runs((line, LINE_BYTES, {"fontType": "Monospace"})) for line in lines[:MOST_LINES])
    foot = (message.footer if is_link(message.runbook) else f"{message.runbook}\n{message.footer}").strip()
    small = {"size": "Small", "isSubtle": True}
    body.extend(_runs((line, FOOTER_BYTES, small)) for line in foot.split("\n")[:MOST_LINES] if line)
    return [element for element in body if element.get("inlines") or element.get("text")]


def _formatted(text: str, most: int, **look: object) -> dict[str, Any]:
    return {"type": "TextBlock", "text": fitted(text, most, escape=escaped, size=json_size), "wrap": True, **look}


def _runs(*pieces: tuple[str, int, dict[str, object]]) -> dict[str, Any]:
    """Text in which nothing is markdown: that is what text runs are."""
    inlines = [
        {"type": "TextRun", "text": fitted(text, most, size=json_size), **look} for text, most, look in pieces if text
    ]
    return {"type": "RichTextBlock", "inlines": inlines}


def _actions(letter: Letter) -> list[dict[str, Any]]:
    language = letter.message.language
    links = (
        (say("channel.acknowledge", language), letter.message.acknowledge_url),
        (say("channel.runbook", language), letter.message.runbook),
        (say("channel.details", language), letter.url),
    )
    return [{"type": "Action.OpenUrl", "title": title, "url": link} for title, link in links if is_link(link)]


def _as_meant(answer: Answer) -> Answer:
    """A connector may say yes, and inside that no."""
    hidden = _HIDDEN_ERROR.search(answer.body) if answer.status < 300 else None  # noqa: PLR2004 - success
    return answer if hidden is None else Answer(status=int(hidden[1]), headers=answer.headers, body=answer.body)
