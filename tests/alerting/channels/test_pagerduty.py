"""Claims about PagerDuty."""

import hashlib
import json
import math
from dataclasses import replace

import pytest

from tests.alerting import shapes
from tests.alerting.channels.opening import a_full_message, opened, settings_of
from tests.alerting.conftest import NewReceiver
from tests.alerting.letters import a_letter, a_message, a_notice, an_alert
from tests.alerting.receivers import Receiver, Reply
from toban.alerts import Delivery, Key, Outcome, Severity, State, What

pytestmark = pytest.mark.integration
ROUTING_KEY = "0123456789abcdef0123456789abcdef"
TAKEN = Reply(status=202, body=b'{"status":"success","message":"Event processed","dedup_key":"x"}')
KEY = hashlib.sha256(b"4f7k2m1x").hexdigest()


async def sent(receiver: Receiver, what: What = What.FIRED, **alert: object) -> Delivery:
    """Send one notice."""
    letter = a_letter(a_notice(an_alert(**alert), what), url="http://127.0.0.1:8432/alerts/4f7k2m1x")
    return await opened(kind="pagerduty", routing_key=ROUTING_KEY, url=receiver.url("/v2/enqueue")).send(letter)


async def test_pagerduty_event_is_as_documented(new_receiver: NewReceiver) -> None:
    """One event; its key is the receipt."""
    receiver = await new_receiver(shapes.pagerduty)
    receiver.script(TAKEN)
    delivery = await sent(receiver, key=Key("connections", "main", (("datname", "shop"),)))
    assert delivery == Delivery(outcome=Outcome.SENT, detail="status 202", receipt={"dedup_key": KEY})
    told = receiver.requests[0].json
    payload = told.pop("payload")
    assert told == {
        "routing_key": ROUTING_KEY,
        "event_action": "trigger",
        "dedup_key": KEY,
        "client": "Toban db1",
        "client_url": "http://127.0.0.1:8432/alerts/4f7k2m1x",
        "links": [
            {"href": "https://runbooks.example.org/connections", "text": "Runbook"},
            {"href": "http://127.0.0.1:8432/alerts/4f7k2m1x", "text": "Details"},
        ],
    }
    details = payload.pop("custom_details")
    assert details["value"] == 0.97
    assert details["label datname"] == "shop"
    letter = a_letter(a_notice(an_alert(key=Key("connections", "main", (("datname", "shop"),)))))
    assert payload == {
        "summary": letter.message.title,
        "source": "main",
        "severity": "critical",
        "timestamp": "2026-11-18T11:07:40.000+00:00",
        "component": "pg_connections_used_ratio",
        "group": "db1",
        "class": "connections",
    }


@pytest.mark.parametrize(
    ("what", "state", "action"),
    [
        (What.FIRED, State.FIRING, "trigger"),
        (What.REPEATED, State.FIRING, "trigger"),
        (What.LAPSED, State.FIRING, "trigger"),
        (What.ACKNOWLEDGED, State.ACKNOWLEDGED, "acknowledge"),
        (What.RESOLVED, State.RESOLVED, "resolve"),
    ],
)
async def test_pagerduty_incident_follows_the_episode(
    new_receiver: NewReceiver, what: What, state: State, action: str
) -> None:
    """By one key from trigger to resolve."""
    receiver = await new_receiver(shapes.pagerduty)
    receiver.script(TAKEN)
    await sent(receiver, what, state=state, resolved_at=1_795_000_100.0 if state is State.RESOLVED else None)
    told = receiver.requests[0].json
    assert (told["event_action"], told["dedup_key"]) == (action, KEY)


@pytest.mark.parametrize("severity", Severity)
async def test_pagerduty_severity_is_one_of_its_own(new_receiver: NewReceiver, severity: Severity) -> None:
    """Ours are among them."""
    receiver = await new_receiver(shapes.pagerduty)
    receiver.script(TAKEN)
    await sent(receiver, severity=severity)
    assert receiver.requests[0].json["payload"]["severity"] == severity.value


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (
            Reply(status=400, body=b'{"status":"invalid event","errors":["routing_key hunter2"]}'),
            Delivery(outcome=Outcome.REFUSED, detail="status 400: is the routing_key right?"),
        ),
        (Reply(status=403), Delivery(outcome=Outcome.REFUSED, detail="status 403")),
        (
            Reply(status=429, headers={"Retry-After": "5"}),
            Delivery(outcome=Outcome.RETRY, detail="status 429", after_seconds=5),
        ),
        (Reply(status=500), Delivery(outcome=Outcome.RETRY, detail="status 500")),
        (
            Reply(status=200, body=b"<html>"),
            Delivery(outcome=Outcome.RETRY, detail="status 200, but the answer is not PagerDuty's", unsure=True),
        ),
    ],
)
async def test_pagerduty_answer_is_told_as_it_is(new_receiver: NewReceiver, reply: Reply, told: Delivery) -> None:
    """400 is never tried again; 429 and 5xx are."""
    receiver = await new_receiver(shapes.pagerduty)
    receiver.script(reply)
    assert await sent(receiver) == told


async def test_pagerduty_event_of_anything_keeps_its_sizes(new_receiver: NewReceiver) -> None:
    """A value that is no number is left out, an address that is none is no link, a label is cut."""
    receiver = await new_receiver(shapes.pagerduty)
    receiver.script(TAKEN)
    labels = tuple((f"label{place}", "😀" * 10_000) for place in range(100))
    notice = a_notice(an_alert(key=Key("x", "", labels), value=math.nan, metric="", episode="\ud800"))
    letter = a_letter(notice, a_full_message("y" * 10_000))
    await opened(kind="pagerduty", routing_key=ROUTING_KEY, url=receiver.url()).send(letter)
    told = receiver.requests[0].json
    assert "value" not in told["payload"]["custom_details"]
    assert "client_url" not in told
    assert told["links"] == []
    assert told["payload"]["source"] == "db1"


async def test_pagerduty_digest_is_an_incident_of_its_own(new_receiver: NewReceiver) -> None:
    """One that was acknowledged would swallow the next in silence; the same digest again is the same incident."""
    receiver = await new_receiver(shapes.pagerduty)
    receiver.script(TAKEN, TAKEN, TAKEN)
    over = a_notice(an_alert(state=State.RESOLVED, resolved_at=1_795_000_100.0), What.RESOLVED)
    channel = opened(kind="pagerduty", routing_key=ROUTING_KEY, url=receiver.url())
    for key, digest in (("a", (a_notice(), over)), ("a", (a_notice(), over)), ("b", (over, over))):
        await channel.send(a_letter(a_notice(what=What.DIGEST, key=key), a_message(), digest=digest))
    first, again, second = (request.json for request in receiver.requests)
    assert first["dedup_key"] == again["dedup_key"]
    assert len({first["dedup_key"], second["dedup_key"], KEY}) == 3
    assert (first["event_action"], second["event_action"]) == ("trigger", "resolve")


async def test_pagerduty_is_paged_of_a_channel_out_of_reach(new_receiver: NewReceiver) -> None:
    """Whatever became of the alert that was lost there: it ends no incident, and is no part of one."""
    receiver = await new_receiver(shapes.pagerduty)
    receiver.script(TAKEN, TAKEN)
    over = a_notice(an_alert(state=State.RESOLVED, resolved_at=1_795_000_100.0), What.RESOLVED)
    told = replace(over, what=What.UNDELIVERED, receipt={"channel": "slack"})
    channel = opened(kind="pagerduty", routing_key=ROUTING_KEY, url=receiver.url())
    for digest in ((over,), ()):
        await channel.send(a_letter(told, digest=digest))
    for request in receiver.requests:
        assert request.json["event_action"] == "trigger"
        assert request.json["dedup_key"] != KEY


@pytest.mark.parametrize("what", [What.LAPSED, What.WORSENED])
async def test_pagerduty_rings_anew_when_an_acknowledgement_has_lapsed(new_receiver: NewReceiver, what: What) -> None:
    """An incident that is acknowledged there takes another trigger without a sound: it is ended, and begun again."""
    receiver = await new_receiver(shapes.pagerduty)
    receiver.script(TAKEN, TAKEN)
    assert (await sent(receiver, what, acknowledged_at=1_795_000_000.0)).outcome is Outcome.SENT
    assert [(one.json["event_action"], one.json["dedup_key"]) for one in receiver.requests] == [
        ("resolve", KEY),
        ("trigger", KEY),
    ]
    receiver.script(Reply(status=500))
    assert (await sent(receiver, what, acknowledged_at=1_795_000_000.0)).outcome is Outcome.RETRY
    assert len(receiver.requests) == 3


def test_pagerduty_is_asked_where_it_lives() -> None:
    """Unless the account is in another region."""
    settings = settings_of(kind="pagerduty", routing_key=ROUTING_KEY)
    assert json.loads(settings.model_dump_json())["url"] == "https://events.pagerduty.com/********"
