"""What each provider documents of a request, as a check: sizes, types, names, and what must not be in it."""

import re
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

from tests.alerting.receivers import Request

CALLS = re.compile(r"<[!@#]|(?<!\w)@(here|channel|all|everyone)\b")
LINK = re.compile(r"<https?://[^<>|\s]+\|[^<>|\n]+>")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
EPISODE_FIELDS = {
    *("version", "id", "node", "status", "severity", "rule", "target", "labels", "value", "threshold", "summary"),
    *("description", "started_at", "ended_at", "escalation_level", "runbook", "url"),
}


def is_json_post(request: Request) -> None:
    """What all of them want."""
    assert request.method == "POST"
    assert request.headers["content-type"].startswith("application/json")
    assert int(request.headers["content-length"]) == len(request.body)
    assert "transfer-encoding" not in request.headers
    assert "cookie" not in request.headers
    names = [name for name, _ in request.pairs]
    assert len(names) == len(set(names)), names
    assert request.json is not None


def webhook(request: Request) -> None:
    """The outer surface's own."""
    is_json_post(request)
    told = request.json
    assert told.keys() >= EPISODE_FIELDS
    assert told["version"] == 1
    assert request.headers["idempotency-key"] == request.headers["webhook-id"] == told["id"]
    assert told["status"] in ("firing", "acknowledged", "resolved")
    assert told["severity"] in ("info", "warning", "critical")
    assert is_zoned(told["started_at"])
    assert told["ended_at"] is None or is_zoned(told["ended_at"])
    assert isinstance(told["value"], float | int | None)
    assert all(isinstance(value, str) for value in told["labels"].values())
    assert isinstance(told["escalation_level"], int)
    assert (told["status"] == "resolved") == (told["ended_at"] is not None) or "alerts" in told


def slack_webhook(request: Request) -> None:
    """An incoming webhook's message."""
    is_json_post(request)
    is_slack_message(request.json)
    assert "channel" not in request.json


def slack_api(request: Request) -> None:
    """A method of the Web API, by a bot's token."""
    is_json_post(request)
    assert request.headers["authorization"].startswith("Bearer xoxb-")
    method = request.target.rpartition("/")[2]
    assert method in ("chat.postMessage", "chat.update")
    assert isinstance(request.json["channel"], str)
    assert method == "chat.postMessage" or re.fullmatch(r"\d+\.\d+", request.json["ts"])
    is_slack_message(request.json)


def is_slack_message(told: dict[str, Any]) -> None:
    """Blocks within Slack's sizes, in which nothing calls anybody."""
    assert told["text"].strip()
    assert len(told["blocks"]) <= 50
    texts = [told["text"], *(text for block in told["blocks"] for text in _slack_texts(block))]
    assert sum(map(len, texts)) <= 8000
    assert not any(CALLS.search(text) for text in texts), texts
    assert not any("<" in LINK.sub("", text) for text in texts), texts


def _slack_texts(block: dict[str, Any]) -> list[str]:
    match block:
        case {"type": "header", "text": {"type": "plain_text", "text": str(text)}}:
            assert 0 < len(text.encode("utf-16-le")) // 2 <= 150  # an emoji may count as two
            assert "\n" not in text
            return [text]
        case {"type": "section", "text": text}:
            return [_slack_text(text, 3000)]
        case {"type": "section", "fields": list(fields)}:
            assert 0 < len(fields) <= 10
            return [_slack_text(text, 2000) for text in fields]
        case {"type": "context", "elements": list(elements)}:
            assert 0 < len(elements) <= 10
            return [_slack_text(text, 3000) for text in elements]
    raise AssertionError(block)


def _slack_text(text: dict[str, Any], most: int) -> str:
    assert text["type"] == "mrkdwn"
    assert 0 < len(text["text"]) <= most
    return str(text["text"])


def teams(request: Request) -> None:
    """A workflow's message: one Adaptive Card of 1.2, and never more bytes than survive being wrapped."""
    is_json_post(request)
    assert len(request.body) <= 20_000
    told = request.json
    assert told.keys() == {"type", "attachments"}
    assert told["type"] == "message"
    (attachment,) = told["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["contentUrl"] is None
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.2")
    for element in card["body"]:
        _is_teams_element(element)
    for action in card.get("actions", []):
        assert action["type"] == "Action.OpenUrl"
        assert re.fullmatch(r"https?://\S+", action["url"])
        assert action["title"]


def _is_teams_element(element: dict[str, Any]) -> None:
    match element:
        case {"type": "TextBlock", "text": str(text)}:
            assert not re.search(r"(?<!\\)[*_\[\]`#~]|<", text), text
        case {"type": "RichTextBlock", "inlines": list(inlines)}:
            assert all(inline["type"] == "TextRun" and inline["text"] for inline in inlines)
            assert inlines
        case _:
            raise AssertionError(element)


def pagerduty(request: Request) -> None:
    """An event of Events v2."""
    is_json_post(request)
    assert len(request.body) <= 512_000
    told = request.json
    assert re.fullmatch(r"[0-9a-z]{32}", told["routing_key"])
    assert told["event_action"] in ("trigger", "acknowledge", "resolve")
    assert len(told["dedup_key"]) <= 255
    payload = told["payload"]
    assert 0 < len(payload["summary"]) <= 1024
    assert payload["source"]
    assert payload["severity"] in ("critical", "error", "warning", "info")
    assert is_zoned(payload["timestamp"])
    assert all(re.fullmatch(r"https?://\S+", link["href"]) and link["text"] for link in told["links"])


def twilio(request: Request) -> None:
    """A text message or a call, as a form."""
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["authorization"].startswith("Basic ")
    form = dict(parse_qsl(request.body.decode("ascii"), strict_parsing=True))
    assert re.fullmatch(r"\+[1-9][0-9]{6,14}", form.pop("To"))
    assert form.pop("From")
    if request.target.endswith("/Messages.json"):
        assert form.keys() == {"Body", "ValidityPeriod"}
        assert 0 < len(form["Body"]) <= 1600
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", form["Body"])
        assert 60 <= int(form["ValidityPeriod"]) <= 14_400
    else:
        assert request.target.endswith("/Calls.json")
        assert form.keys() == {"Twiml"}
        assert ET.fromstring(form["Twiml"].encode()).tag == "Response"  # noqa: S314 - what is under test made it


def alertmanager(request: Request) -> None:
    """Alerts of API v2."""
    is_json_post(request)
    assert request.target.endswith("/api/v2/alerts")
    assert request.json
    for alert in request.json:
        assert alert["labels"]["alertname"]
        assert all(LABEL.fullmatch(name) and value for name, value in alert["labels"].items())
        assert all(LABEL.fullmatch(name) for name in alert["annotations"])
        assert is_zoned(alert["startsAt"])
        assert is_zoned(alert["endsAt"])
        assert alert["startsAt"] <= alert["endsAt"]


def is_zoned(text: str) -> bool:
    """Whether this is a moment in ISO 8601 with its zone."""
    return datetime.fromisoformat(text).tzinfo is not None
