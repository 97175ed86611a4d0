"""Claims about the generic webhook."""

import base64
import hashlib
import hmac
import math

import pytest

from alerting.channels.webhook import MOST_ALERTS, document, signatures
from tests.alerting import shapes
from tests.alerting.channels.opening import opened
from tests.alerting.conftest import NewReceiver
from tests.alerting.letters import a_letter, a_notice, an_alert
from tests.alerting.receivers import Reply
from tests.builders import START, ManualClock
from toban.alerts import Delivery, Key, Notice, Outcome, Severity, State, What
from toban.secrets import Secret

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.integration
async def test_webhook_posts_the_surface_to_the_letter(new_receiver: NewReceiver) -> None:
    """Each field of the outer surface, with the key that every retry has."""
    receiver = await new_receiver(shapes.webhook)
    receiver.script(Reply(status=204))
    letter = a_letter(a_notice(an_alert(key=Key("disk_full", "main", (("mount", "/srv"),)))), url="https://toban/x")
    delivery = await opened(kind="webhook", url=receiver.url("/in?k=v")).send(letter)
    assert delivery == Delivery(outcome=Outcome.SENT, detail="status 204", receipt={"id": letter.key})
    told = receiver.requests[0].json
    assert told == {
        "version": 1,
        "id": "0a1b2c3d" * 8,
        "node": "db1",
        "status": "firing",
        "severity": "critical",
        "rule": "disk_full",
        "target": "main",
        "labels": {"mount": "/srv"},
        "value": 0.97,
        "threshold": "> 95%",
        "summary": letter.message.summary,
        "description": letter.message.text,
        "started_at": "2026-11-18T11:06:40.000+00:00",
        "ended_at": None,
        "escalation_level": 0,
        "runbook": letter.message.runbook,
        "url": "https://toban/x",
        # Beyond the surface:
        "title": letter.message.title,
        "what": "fired",
        "episode": "4f7k2m1x",
        "metric": "pg_connections_used_ratio",
        "unit": "ratio",
        "acknowledged_by": None,
        "data": "ok",
        "cause": None,
        "test": False,
    }


@pytest.mark.integration
async def test_webhook_signs_so_that_the_receiver_can_tell(new_receiver: NewReceiver) -> None:
    """Both headers prove the body that came, by each of the secrets."""
    receiver = await new_receiver(shapes.webhook)
    receiver.script(Reply())
    await opened(kind="webhook", url=receiver.url(), secret=["new", "old"]).send(a_letter())
    (request,) = receiver.requests
    signed = request.headers["toban-signature"].split(",")
    at = request.headers["webhook-timestamp"]
    assert signed == [f"t={at}"] + [
        f"v1={hmac.new(secret, at.encode() + b'.' + request.body, hashlib.sha256).hexdigest()}"
        for secret in (b"new", b"old")
    ]
    assert at == str(int(START))
    content = f"{request.headers['webhook-id']}.{at}.".encode() + request.body
    assert request.headers["webhook-signature"].split(" ") == [
        "v1," + base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()
        for secret in (b"new", b"old")
    ]


@pytest.mark.integration
async def test_webhook_without_a_secret_signs_nothing(new_receiver: NewReceiver) -> None:
    """And sends the operator's own headers."""
    receiver = await new_receiver(shapes.webhook)
    receiver.script(Reply())
    await opened(kind="webhook", url=receiver.url(), headers={"Authorization": "Bearer t0"}).send(a_letter())
    headers = receiver.requests[0].headers
    assert "toban-signature" not in headers
    assert "webhook-signature" not in headers
    assert headers["authorization"] == "Bearer t0"


def test_webhook_signature_is_that_of_standard_webhooks() -> None:
    """The example of the specification."""
    body = b'{"test": 2432232314}'
    found = signatures([Secret(WHSEC)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_webhook_secret_that_only_looks_standard_is_taken_as_it_is() -> None:
    """Half a base64 is still a secret."""
    ours = signatures([Secret("whsec_%%")], "k", 1, b"")["webhook-signature"]
    mac = hmac.new(b"whsec_%%", b"k.1.", hashlib.sha256).digest()
    assert ours == "v1," + base64.b64encode(mac).decode()


@pytest.mark.parametrize(
    ("what", "state", "status"),
    [
        (What.FIRED, State.FIRING, "firing"),
        (What.ESCALATED, State.FIRING, "firing"),
        (What.LAPSED, State.FIRING, "firing"),
        (What.NO_DATA, State.FIRING, "firing"),
        (What.TEST, State.PENDING, "firing"),
        (What.WORSENED, State.ACKNOWLEDGED, "acknowledged"),
        (What.ACKNOWLEDGED, State.ACKNOWLEDGED, "acknowledged"),
        (What.RESOLVED, State.RESOLVED, "resolved"),
    ],
)
def test_webhook_status_is_one_of_three(what: What, state: State, status: str) -> None:
    """By what is told, and by how far along the alert is."""
    assert document(a_letter(a_notice(an_alert(state=state), what)))["status"] == status


def test_webhook_tells_of_a_channel_out_of_reach_as_of_trouble() -> None:
    """Although the alert that was lost there is over by now."""
    over = a_notice(an_alert(state=State.RESOLVED, resolved_at=START), What.RESOLVED)
    told = document(a_letter(a_notice(over.alert, What.UNDELIVERED), digest=(over,)))
    assert (told["status"], told["ended_at"], told["alerts"][0]["status"]) == ("firing", None, "resolved")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_webhook_value_that_is_no_number_is_null(value: float) -> None:
    """JSON has no others."""
    assert document(a_letter(a_notice(an_alert(value=value))))["value"] is None


def test_webhook_says_when_it_was_over() -> None:
    """With its zone."""
    over = an_alert(state=State.RESOLVED, resolved_at=START + 90)
    assert document(a_letter(a_notice(over, What.RESOLVED)))["ended_at"] == "2026-11-18T11:08:10.000+00:00"


def some_notices(count: int, what: What = What.FIRED, **changes: object) -> tuple[Notice, ...]:
    """Notices of as many alerts."""
    return tuple(
        a_notice(an_alert(key=Key("disk_full", f"t{place}"), **changes), what, key=f"{place:064x}")
        for place in range(count)
    )


@pytest.mark.integration
async def test_webhook_digest_lists_its_alerts(new_receiver: NewReceiver) -> None:
    """Beside the fields, with their own ids; the whole fires while one of them does."""
    receiver = await new_receiver(shapes.webhook)
    receiver.script(Reply())
    over = some_notices(1, What.RESOLVED, state=State.RESOLVED, resolved_at=START)
    digest = (*over, *some_notices(2, severity=Severity.WARNING))
    letter = a_letter(a_notice(what=What.DIGEST), message=a_letter().message, digest=digest)
    await opened(kind="webhook", url=receiver.url()).send(letter)
    told = receiver.requests[0].json
    assert told["status"] == "firing"
    assert [(one["target"], one["status"], one["severity"]) for one in told["alerts"]] == [
        ("t0", "resolved", "critical"),
        ("t0", "firing", "warning"),
        ("t1", "firing", "warning"),
    ]
    assert told["alerts_left_out"] == 0


def test_webhook_digest_is_bounded() -> None:
    """Of a storm, the first; and how many are left out. When all are over, it is over."""
    over = some_notices(MOST_ALERTS + 3, What.RESOLVED, state=State.RESOLVED, resolved_at=START)
    told = document(a_letter(a_notice(what=What.DIGEST), message=a_letter().message, digest=over))
    assert (len(told["alerts"]), told["alerts_left_out"], told["status"]) == (MOST_ALERTS, 3, "resolved")


@pytest.mark.integration
async def test_webhook_is_shut_by_410(new_receiver: NewReceiver) -> None:
    """The receiver wants no more, and gets none."""
    receiver = await new_receiver(shapes.webhook)
    receiver.script(Reply(status=410))
    delivery = await opened(kind="webhook", url=receiver.url()).send(a_letter())
    assert delivery == Delivery(outcome=Outcome.GONE, detail="status 410: the receiver wants no more of this")


@pytest.mark.integration
async def test_webhook_keeps_its_key_over_a_retry(new_receiver: NewReceiver) -> None:
    """The time of the signature moves on, the id does not."""
    receiver = await new_receiver(shapes.webhook)
    receiver.script(Reply(status=500), Reply())
    clock = ManualClock()
    channel = opened(clock, kind="webhook", url=receiver.url(), secret="s")
    first = await channel.send(a_letter())
    clock.advance(60)
    second = await channel.send(a_letter())
    assert (first.outcome, second.outcome) == (Outcome.RETRY, Outcome.SENT)
    one, two = receiver.requests
    assert one.headers["idempotency-key"] == two.headers["idempotency-key"]
    assert one.body == two.body
    assert int(two.headers["webhook-timestamp"]) - int(one.headers["webhook-timestamp"]) == 60
