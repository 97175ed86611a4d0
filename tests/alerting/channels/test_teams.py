"""Claims about Teams."""

import json

import pytest

from alerting.channels.http import encoded
from alerting.channels.teams import MOST_BYTES, card
from alerting.messages import Message
from tests.alerting import shapes
from tests.alerting.channels.opening import a_full_message, opened
from tests.alerting.conftest import NewReceiver
from tests.alerting.letters import a_letter, a_message, a_notice, an_alert
from tests.alerting.receivers import Reply, Request
from toban.alerts import Alert, Delivery, Outcome, Severity, State, What
from toban.language import Language

QUERY = "/workflows/1/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=hunter2_-"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(status=202), Delivery(outcome=Outcome.SENT, detail="queued")),
        (Reply(status=200, body=b"1"), Delivery(outcome=Outcome.SENT, detail="status 200")),
        (
            Reply(status=429, headers={"Retry-After": "17"}),
            Delivery(outcome=Outcome.RETRY, detail="status 429", after_seconds=17),
        ),
        (
            Reply(
                status=200, body=b"Webhook message delivery failed with error: endpoint returned HTTP error 429 with"
            ),
            Delivery(outcome=Outcome.RETRY, detail="status 429"),
        ),
        (Reply(status=413), Delivery(outcome=Outcome.REFUSED, detail="status 413")),
    ],
)
async def test_teams_answer_is_told_as_it_is(new_receiver: NewReceiver, reply: Reply, told: Delivery) -> None:
    """202 is queued and no failure; an error inside a 200 is one."""
    receiver = await new_receiver(shapes.teams)
    receiver.script(reply)
    assert await opened(kind="teams", url=receiver.url(QUERY)).send(a_letter()) == told
    assert receiver.requests[0].target == QUERY


def shown(letter_card: dict[str, object]) -> list[str]:
    """The text of each element."""
    found = []
    for element in json.loads(encoded(letter_card))["attachments"][0]["content"]["body"]:
        runs = element.get("inlines", [element])
        found.append("".join(run["text"] for run in runs))
    return found


def test_teams_card_holds_all_that_a_person_needs() -> None:
    """Title, sentence, facts, evidence, commands and foot as text, the links as buttons."""
    message = Message(
        what=What.FIRED,
        severity=Severity.CRITICAL,
        state=State.FIRING,
        language=Language.JA,
        title="CRITICAL main: connections 97 %",
        summary="97 % > 95 %",
        facts=(("Target", "main"), ("Empty", "")),
        evidence=("pid 1 blocks 7",),
        commands=("toban alerts ack 4f7k2m1x",),
        runbook="https://runbooks.example.org/connections",
        footer="db1",
    )
    found = card(a_letter(message=message, url="http://127.0.0.1:8432/alerts/4f7k2m1x"))
    assert shown(found) == [
        *("CRITICAL main: connections 97 %", "97 % > 95 %", "Target: main", "Empty: "),
        *("pid 1 blocks 7", "toban alerts ack 4f7k2m1x", "db1"),
    ]
    content = found["attachments"][0]["content"]
    assert [(action["title"], action["url"]) for action in content["actions"]] == [
        ("手順書", "https://runbooks.example.org/connections"),
        ("詳細", "http://127.0.0.1:8432/alerts/4f7k2m1x"),
    ]


def test_teams_card_without_links_has_no_buttons() -> None:
    """A runbook that is a path is written out."""
    found = card(a_letter(message=a_full_message("docs/rules/x.md")))
    assert "actions" not in found["attachments"][0]["content"]
    assert shown(found)[-2:] == ["docs/rules/x.md", "docs/rules/x.md"]


@pytest.mark.parametrize(
    "text", ["x" * 10_000, "😀" * 10_000, "\\" * 10_000, '"' * 10_000, "日本語" * 4_000, "*" * 10_000]
)
def test_teams_card_survives_being_wrapped(text: str) -> None:
    """However long and whatever it is made of, it is below 20 kB as it goes out, links included."""
    letter = a_letter(message=a_full_message(text), url="https://toban.example.org/" + "x" * 900)
    body = encoded(card(letter))
    assert len(body) <= MOST_BYTES
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    shapes.teams(Request(method="POST", target="/", headers=headers, body=body))


@pytest.mark.parametrize(
    ("alert", "what", "colour"),
    [
        (an_alert(severity=Severity.INFO), What.FIRED, "Accent"),
        (an_alert(severity=Severity.WARNING), What.FIRED, "Warning"),
        (an_alert(), What.FIRED, "Attention"),
        (an_alert(state=State.RESOLVED, resolved_at=1_795_000_100.0), What.RESOLVED, "Good"),
    ],
)
def test_teams_title_is_coloured_by_severity(alert: Alert, what: What, colour: str) -> None:
    """And green when it is over."""
    notice = a_notice(alert, what)
    found = card(a_letter(notice, a_message(notice)))
    assert found["attachments"][0]["content"]["body"][0]["color"] == colour
