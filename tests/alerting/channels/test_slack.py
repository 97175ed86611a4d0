"""Claims about Slack, by both of its ways."""

import json
from dataclasses import replace
from typing import Any

import pytest

from alerting.channels.slack_blocks import blocks, plain
from tests.alerting import shapes
from tests.alerting.channels.opening import a_full_message, opened
from tests.alerting.conftest import NewReceiver
from tests.alerting.letters import a_letter, a_message, a_notice, an_alert
from tests.alerting.receivers import Receiver, Reply
from toban.alerts import Delivery, Outcome, Severity, State, What
from toban.language import Language

pytestmark = pytest.mark.integration
TOKEN = "xoxb-1-hunter2"
THREAD = {"ts": "1795000000.000100", "channel": "C0TEST"}


def said(**fields: object) -> Reply:
    """An answer of the Web API's."""
    return Reply(body=json.dumps(fields).encode())


def posted(ts: str = "1795000060.000200") -> Reply:
    """That it was posted."""
    return said(ok=True, channel="C0TEST", ts=ts)


async def by_token(receiver: Receiver, what: What = What.FIRED, **letter: Any) -> Delivery:  # noqa: ANN401 - any field of a letter
    """Send one notice by a bot's token."""
    channel = opened(kind="slack", token=TOKEN, channel="#ops", api_url=receiver.url("/api"))
    return await channel.send(a_letter(a_notice(an_alert(), what), **letter))


async def by_webhook(receiver: Receiver) -> Delivery:
    """Send one notice by an incoming webhook."""
    return await opened(kind="slack", url=receiver.url("/services/T0/B0/hunter2")).send(a_letter())


@pytest.mark.parametrize("body", [b"ok", b"ok\n", b'{"success": true}'])
async def test_slack_webhook_says_ok(new_receiver: NewReceiver, body: bytes) -> None:
    """Or, of what is like Slack, that it was a success. It names no message to find again."""
    receiver = await new_receiver(shapes.slack_webhook)
    receiver.script(Reply(body=body))
    assert await by_webhook(receiver) == Delivery(outcome=Outcome.SENT, detail="ok")
    assert receiver.requests[0].target == "/services/T0/B0/hunter2"


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(body=b"invalid_payload"), Delivery(outcome=Outcome.REFUSED, detail="invalid_payload")),
        (Reply(body=b"rate_limited"), Delivery(outcome=Outcome.RETRY, detail="rate_limited")),
        (
            Reply(body=b"<html>Sign in, hunter2</html>"),
            Delivery(outcome=Outcome.RETRY, detail="status 200, but the answer is not Slack's", unsure=True),
        ),
        (Reply(), Delivery(outcome=Outcome.RETRY, detail="status 200, but the answer is not Slack's", unsure=True)),
        (Reply(status=404, body=b"no_team"), Delivery(outcome=Outcome.REFUSED, detail="status 404: no_team")),
        (
            Reply(status=429, headers={"Retry-After": "30"}),
            Delivery(outcome=Outcome.RETRY, detail="status 429", after_seconds=30),
        ),
    ],
)
async def test_slack_webhook_that_says_anything_else_has_not_taken_it(
    new_receiver: NewReceiver, reply: Reply, told: Delivery
) -> None:
    """200 with an error is an error."""
    receiver = await new_receiver(shapes.slack_webhook)
    receiver.script(reply)
    assert await by_webhook(receiver) == told


async def test_slack_token_posts_and_keeps_the_receipt(new_receiver: NewReceiver) -> None:
    """Into the channel that is configured, as a bot."""
    receiver = await new_receiver(shapes.slack_api)
    receiver.script(posted())
    delivery = await by_token(receiver)
    assert delivery == Delivery(
        outcome=Outcome.SENT, detail="ok", receipt={"ts": "1795000060.000200", "channel": "C0TEST"}
    )
    (request,) = receiver.requests
    assert request.target == "/api/chat.postMessage"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.json["channel"] == "#ops"
    assert "thread_ts" not in request.json


@pytest.mark.parametrize(
    ("what", "loud"),
    [
        *((What.ESCALATED, True), (What.WORSENED, True), (What.NO_DATA, True)),
        *((What.ACKNOWLEDGED, False), (What.RESOLVED, False)),
    ],
)
async def test_slack_keeps_an_episode_together(new_receiver: NewReceiver, what: What, *, loud: bool) -> None:
    """What follows goes into the thread, what is grave into the channel too; the first message is renewed."""
    receiver = await new_receiver(shapes.slack_api)
    receiver.script(posted(), said(ok=True, channel="C0TEST", ts=THREAD["ts"]))
    delivery = await by_token(receiver, what, thread=THREAD)
    assert delivery.receipt == {"ts": "1795000060.000200", "channel": "C0TEST"}
    reply, update = receiver.requests
    assert reply.target.endswith("/chat.postMessage")
    assert (reply.json["channel"], reply.json["thread_ts"], reply.json["reply_broadcast"]) == (
        *("C0TEST", THREAD["ts"]),
        loud,
    )
    assert update.target.endswith("/chat.update")
    assert (update.json["channel"], update.json["ts"]) == ("C0TEST", THREAD["ts"])
    assert update.json["blocks"] == reply.json["blocks"]


async def test_slack_reply_counts_where_the_first_message_cannot_be_changed(new_receiver: NewReceiver) -> None:
    """It was told; that the first message is out of date is said, and nothing is sent twice."""
    receiver = await new_receiver(shapes.slack_api)
    receiver.script(posted(), said(ok=False, error="cant_update_message"))
    delivery = await by_token(receiver, What.RESOLVED, thread=THREAD)
    assert (delivery.outcome, delivery.receipt["ts"]) == (Outcome.SENT, "1795000060.000200")
    assert delivery.detail == "the first message was not brought up to date: cant_update_message"


async def test_slack_reply_that_waits_leaves_the_first_message(new_receiver: NewReceiver) -> None:
    """Both are done by the next attempt."""
    receiver = await new_receiver(shapes.slack_api)
    receiver.script(said(ok=False, error="ratelimited", retry_after=12))
    delivery = await by_token(receiver, What.RESOLVED, thread=THREAD)
    assert delivery == Delivery(outcome=Outcome.RETRY, detail="ratelimited", after_seconds=12)


@pytest.mark.parametrize("error", ["thread_not_found", "restricted_action_thread_locked", "channel_not_found"])
async def test_slack_thread_that_is_gone_is_left(new_receiver: NewReceiver, error: str) -> None:
    """Somebody deleted or locked it, or the channel is another one by now: it is told all the same."""
    receiver = await new_receiver(shapes.slack_api)
    receiver.script(said(ok=False, error=error), posted())
    assert (await by_token(receiver, What.RESOLVED, thread=THREAD)).outcome is Outcome.SENT
    assert "thread_ts" not in receiver.requests[1].json
    assert receiver.requests[1].json["channel"] == "#ops"


async def test_slack_digest_stands_for_itself(new_receiver: NewReceiver) -> None:
    """It belongs to many episodes, and to the thread of none."""
    receiver = await new_receiver(shapes.slack_api)
    receiver.script(posted())
    digest = (a_notice(), a_notice())
    await by_token(receiver, What.DIGEST, thread=THREAD, digest=digest, message=a_message())
    assert "thread_ts" not in receiver.requests[0].json


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (said(ok=False, error="invalid_auth"), Delivery(outcome=Outcome.REFUSED, detail="invalid_auth")),
        (said(ok=False, error="channel_not_found"), Delivery(outcome=Outcome.REFUSED, detail="channel_not_found")),
        (said(ok=False, error="internal_error"), Delivery(outcome=Outcome.RETRY, detail="internal_error")),
        (said(ok=False, error="As to hunter2…"), Delivery(outcome=Outcome.RETRY, detail="Slack says no, and not why")),
        (said(error="x"), Delivery(outcome=Outcome.RETRY, detail="the answer is not Slack's", unsure=True)),
        (Reply(body=b"ok"), Delivery(outcome=Outcome.RETRY, detail="the answer is not Slack's", unsure=True)),
        (
            Reply(status=429, body=b'{"ok":false,"error":"ratelimited","retry_after":7}'),
            Delivery(outcome=Outcome.RETRY, detail="status 429: ratelimited", after_seconds=7),
        ),
        (Reply(status=503), Delivery(outcome=Outcome.RETRY, detail="status 503")),
    ],
)
async def test_slack_api_that_says_no_has_not_taken_it(new_receiver: NewReceiver, reply: Reply, told: Delivery) -> None:
    """200 with `ok: false` is a failure, with Slack's own word for it where that is a word."""
    receiver = await new_receiver(shapes.slack_api)
    receiver.script(reply)
    assert await by_token(receiver) == told


def test_slack_blocks_hold_all_that_a_person_needs() -> None:
    """Title, sentence, facts, evidence, commands, links and foot, in this order."""
    message = a_message()
    changes = {
        "title": "CRITICAL main: connections",
        "summary": "97 % > 95 %",
        "facts": (("Target", "main"),),
        "evidence": ("pid 1 <blocks> 7",),
        "commands": ("toban alerts ack 4f7k2m1x",),
        "runbook": "https://runbooks.example.org/c?a=1&b=2",
        "acknowledge_url": "docs/rules/connections.md",
        "footer": "db1",
    }
    told = {name: getattr(message, name) for name in ("what", "severity", "state", "language")} | changes
    words = [shapes._slack_texts(block) for block in blocks(a_letter(message=type(message)(**told)))]
    assert words == [
        ["🔴 CRITICAL main: connections"],
        ["97 % &gt; 95 %"],
        ["*Target*\nmain"],
        ["```pid 1 &lt;blocks&gt; 7```"],
        ["```toban alerts ack 4f7k2m1x```"],
        ["<https://runbooks.example.org/c?a=1&amp;b=2|Runbook> · docs/rules/connections.md"],
        ["db1"],
    ]


@pytest.mark.parametrize(
    ("alert", "what", "mark"),
    [
        (an_alert(severity=Severity.INFO), What.FIRED, "🔵"),
        (an_alert(severity=Severity.WARNING), What.FIRED, "🟠"),
        (an_alert(), What.FIRED, "🔴"),
        (an_alert(state=State.RESOLVED, resolved_at=1_795_000_100.0), What.RESOLVED, "🟢"),
    ],
)
def test_slack_title_is_marked_by_severity(alert: object, what: What, mark: str) -> None:
    """A colour that is seen from afar."""
    letter = a_letter(a_notice(alert, what))  # type: ignore[arg-type] # a parameter of pytest's is an object
    assert blocks(letter)[0]["text"]["text"].startswith(mark)


def test_slack_blocks_speak_the_language_of_the_channel() -> None:
    """As the message has it."""
    letter = a_letter(message=a_message(language=Language.JA))
    assert "重大" in blocks(letter)[0]["text"]["text"]


def test_slack_message_without_words_is_still_one() -> None:
    """Slack takes no empty text."""
    message = a_message()
    bare = type(message)(
        what=message.what,
        severity=message.severity,
        state=message.state,
        language=message.language,
        title="",
        summary="",
    )
    found = blocks(a_letter(message=bare))
    assert [shapes._slack_texts(block) for block in found] == [["🔴 "], ["–"]]  # noqa: RUF001 - a dash


def test_slack_link_that_is_too_long_is_left_out() -> None:
    """Cut it would lead nowhere, and part of a token would stand there; three that just fit are within the budget."""
    address = "https://toban.example.org/"
    message = replace(a_full_message("x" * 10_000), runbook=address + "r" * 474, acknowledge_url=address + "a" * 475)
    found = blocks(a_letter(message=message, url=address + "d" * 474))
    words = [text for block in found for text in shapes._slack_texts(block)]
    assert f"<{address}{'r' * 474}|Runbook> · <{address}{'d' * 474}|Details>" in words
    assert "aaaa" not in "".join(words)
    fits = replace(message, acknowledge_url=address + "a" * 474)
    letter = a_letter(message=fits, url=address + "d" * 474)
    shapes.is_slack_message({"text": plain(fits), "blocks": blocks(letter)})
