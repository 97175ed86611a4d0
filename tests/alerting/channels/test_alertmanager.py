"""Claims about Alertmanager, some of them asked of a real one."""

import asyncio
import base64
import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from alerting.channels.alertmanager import MOST_AT_ONCE, labels
from alerting.client import HttpWeb
from alerting.web import Answer
from tests.alerting import shapes
from tests.alerting.alertmanagers import ABSENCE, PROGRAM, RealAlertmanager
from tests.alerting.channels.opening import opened, settings_of
from tests.alerting.conftest import NewReceiver
from tests.alerting.letters import NASTY, a_letter, a_message, a_notice, an_alert
from tests.alerting.receivers import Receiver, Reply
from tests.builders import START, ManualClock
from tests.waiting import eventually
from toban.alerts import Delivery, Key, Outcome, Severity, State, What
from toban.clock import SystemClock

pytestmark = pytest.mark.integration
TAKEN = Reply(status=200)
NOW = "2026-11-18T11:08:20.000+00:00"


@pytest.fixture
def later() -> ManualClock:
    """A hundred seconds after the alert began."""
    return ManualClock(START + 100)


async def told(receiver: Receiver, clock: ManualClock, what: What = What.FIRED, **alert: object) -> list[Any]:
    """What it is told of one notice."""
    receiver.script(TAKEN)
    letter = a_letter(a_notice(an_alert(**alert), what), url="http://127.0.0.1:8432/alerts/4f7k2m1x")
    delivery = await opened(clock, kind="alertmanager", url=receiver.url()).send(letter)
    assert delivery == Delivery(outcome=Outcome.SENT, detail="status 200")
    found: list[Any] = receiver.requests[-1].json
    return found


async def test_alertmanager_is_told_of_what_fires(new_receiver: NewReceiver, later: ManualClock) -> None:
    """With labels to route by, words, and an end that lies ahead."""
    receiver = await new_receiver(shapes.alertmanager)
    key = Key("disk_full", "main", (("mount", "/srv"),))
    (alert,) = await told(receiver, later, key=key, state=State.FIRING)
    assert receiver.requests[0].target == "/api/v2/alerts"
    message = a_letter(a_notice(an_alert(key=key))).message
    assert alert == {
        "labels": {
            "alertname": "disk_full",
            "target": "main",
            "severity": "critical",
            "node": "db1",
            "mount": "/srv",
        },
        "annotations": {
            "summary": message.title,
            "description": message.text,
            "runbook": "https://runbooks.example.org/connections",
            "runbook_url": "https://runbooks.example.org/connections",
            "dashboard": "http://127.0.0.1:8432/alerts/4f7k2m1x",
        },
        "startsAt": "2026-11-18T11:07:40.000+00:00",
        "endsAt": "2026-11-18T11:23:20.000+00:00",
        "generatorURL": "http://127.0.0.1:8432/alerts/4f7k2m1x",
    }


async def test_alertmanager_is_told_who_is_at_it(new_receiver: NewReceiver, later: ManualClock) -> None:
    """It knows no acknowledgement: to it the alert still fires."""
    receiver = await new_receiver(shapes.alertmanager)
    (alert,) = await told(receiver, later, What.ACKNOWLEDGED, state=State.ACKNOWLEDGED, acknowledged_by="alice")
    assert alert["annotations"]["acknowledged_by"] == "alice"
    assert alert["endsAt"] > NOW


async def test_alertmanager_is_told_of_what_is_over(new_receiver: NewReceiver, later: ManualClock) -> None:
    """When it was over, and never later than now."""
    receiver = await new_receiver(shapes.alertmanager)
    (alert,) = await told(receiver, later, What.RESOLVED, state=State.RESOLVED, resolved_at=START + 90)
    assert alert["endsAt"] == "2026-11-18T11:08:10.000+00:00"
    (alert,) = await told(receiver, later, What.RESOLVED, state=State.RESOLVED, resolved_at=START + 9000)
    assert alert["endsAt"] == NOW


@pytest.mark.parametrize(
    ("what", "severity", "left"),
    [
        (What.WORSENED, Severity.CRITICAL, {"info", "warning"}),
        (What.EASED, Severity.WARNING, {"critical"}),
        (What.FIRED, Severity.WARNING, set()),
    ],
)
async def test_alertmanager_leaves_no_severity_behind(
    new_receiver: NewReceiver, later: ManualClock, what: What, severity: Severity, left: set[str]
) -> None:
    """The severity is a label: under another one it is another alert, and the one that was is over."""
    receiver = await new_receiver(shapes.alertmanager)
    alert, *others = await told(receiver, later, what, severity=severity)
    assert (alert["labels"]["severity"], alert["endsAt"] > NOW) == (severity.value, True)
    assert {(other["labels"]["severity"], other["endsAt"]) for other in others} == {(name, NOW) for name in left}


def test_alertmanager_labels_are_such_as_it_takes() -> None:
    """Names are made so, empty ones left out, and nobody can pass for another rule."""
    key = Key("disk", "main", (("a.b-c", "1"), ("9lives", "2"), ("", "3"), ("alertname", "evil"), ("empty", "")))
    assert labels(an_alert(key=key, test=True), "db1", Severity.INFO) == {
        "a_b_c": "1",
        "_9lives": "2",
        "_": "3",
        "exported_alertname": "evil",
        "alertname": "disk",
        "target": "main",
        "severity": "info",
        "node": "db1",
        "test": "true",
    }


async def test_alertmanager_is_told_of_each_alert_of_a_digest(new_receiver: NewReceiver, later: ManualClock) -> None:
    """It groups by itself."""
    receiver = await new_receiver(shapes.alertmanager)
    receiver.script(TAKEN)
    digest = tuple(a_notice(an_alert(key=Key("x", f"t{place}"))) for place in range(3))
    letter = a_letter(a_notice(what=What.DIGEST), a_message(), digest=digest)
    await opened(later, kind="alertmanager", url=receiver.url()).send(letter)
    assert [one["labels"]["target"] for one in receiver.requests[0].json] == ["t0", "t1", "t2"]
    assert receiver.requests[0].json[0]["annotations"]["summary"] == "x t0"


async def test_alertmanager_is_told_of_a_channel_out_of_reach(new_receiver: NewReceiver, later: ManualClock) -> None:
    """An alert of its own; of what was lost it would hear no more, and take it for over."""
    receiver = await new_receiver(shapes.alertmanager)
    receiver.script(TAKEN)
    notice = a_notice(what=What.UNDELIVERED, receipt={"channel": "slack"}, detail="status 500")
    letter = a_letter(notice, a_message(notice), digest=(a_notice(), a_notice()))
    await opened(later, kind="alertmanager", url=receiver.url()).send(letter)
    (alert,) = receiver.requests[0].json
    assert alert["labels"] == {"alertname": "undelivered", "node": "db1", "channel": "slack", "severity": "critical"}
    assert "status 500" in alert["annotations"]["description"]
    assert (alert["startsAt"], alert["endsAt"] > NOW) == ("2026-11-18T11:07:40.000+00:00", True)


async def test_alertmanager_is_told_of_no_alert_that_ends_before_it_begins(
    new_receiver: NewReceiver, later: ManualClock
) -> None:
    """Somebody set the clock back meanwhile: it would refuse such an alert for good."""
    receiver = await new_receiver(shapes.alertmanager)
    (alert,) = await told(receiver, later, What.RESOLVED, state=State.RESOLVED, resolved_at=START - 3600)
    assert alert["startsAt"] == alert["endsAt"] == "2026-11-18T10:06:40.000+00:00"


def test_alertmanager_labels_of_a_series_hide_none_of_its_own() -> None:
    """Two series that differ by such a label alone would be one alert."""
    key = Key("x", "main", (("node", "n2"), ("severity", "high")))
    found = labels(an_alert(key=key), "db1", Severity.WARNING)
    assert (found["node"], found["exported_node"], found["exported_severity"]) == ("db1", "n2", "high")
    assert found["severity"] == "warning"


async def test_alertmanager_hears_again_of_all_that_is_open(new_receiver: NewReceiver, later: ManualClock) -> None:
    """In requests of a bounded size; of nothing, in none."""
    receiver = await new_receiver(shapes.alertmanager)
    channel = opened(later, kind="alertmanager", url=receiver.url())
    assert channel.refresh_seconds == 60
    assert (await channel.refresh([])).outcome is Outcome.SENT
    receiver.script(TAKEN, TAKEN)
    message = a_message()
    letters = [a_letter(a_notice(an_alert(key=Key("x", f"t{n}"))), message) for n in range(MOST_AT_ONCE + 1)]
    assert (await channel.refresh(letters)).outcome is Outcome.SENT
    assert [len(request.json) for request in receiver.requests] == [MOST_AT_ONCE, 1]


async def test_alertmanager_hears_nothing_of_an_alert_after_its_end(
    new_receiver: NewReceiver, later: ManualClock
) -> None:
    """It ended while the round was being prepared: told as firing once more, it would fire for a quarter of an hour."""
    receiver = await new_receiver(shapes.alertmanager)
    receiver.script(TAKEN, TAKEN)
    channel = opened(later, kind="alertmanager", url=receiver.url())
    over = a_notice(an_alert(state=State.RESOLVED, resolved_at=START + 90), What.RESOLVED)
    await channel.send(a_letter(a_notice(what=What.DIGEST), a_message(), digest=(over,)))
    other = a_notice(an_alert(key=Key("x", "main"), episode="other000"))
    assert (await channel.refresh([a_letter(), a_letter(other)])).outcome is Outcome.SENT
    assert [alert["labels"]["alertname"] for alert in receiver.requests[1].json] == ["x"]
    assert (await channel.refresh([a_letter()])).detail == "nothing is open"


async def test_alertmanager_hears_of_an_end_only_after_the_round_that_is_under_way(
    later: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two connections may overtake each other."""
    channel = opened(later, kind="alertmanager", url="http://127.0.0.1:9")
    gate, begun = asyncio.Event(), []

    async def post(_url: str, *, body: bytes, **_: Any) -> Answer:  # noqa: ANN401 - as the web has it
        begun.append(json.loads(body)[0]["endsAt"] > NOW)
        await gate.wait()
        return Answer(status=200, headers={}, body=b"")

    monkeypatch.setattr(channel.web, "post", post)
    round_ = asyncio.create_task(channel.refresh([a_letter()]))
    over = a_notice(an_alert(state=State.RESOLVED, resolved_at=START + 90), What.RESOLVED)
    end = asyncio.create_task(channel.send(a_letter(over)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert begun == [True]
    gate.set()
    assert [(await task).outcome for task in (round_, end)] == [Outcome.SENT, Outcome.SENT]
    assert begun == [True, False]


async def test_alertmanager_that_is_away_is_not_asked_on(new_receiver: NewReceiver, later: ManualClock) -> None:
    """The first request that fails ends the round."""
    receiver = await new_receiver(shapes.alertmanager)
    receiver.script(Reply(status=503))
    letters = [a_letter()] * (MOST_AT_ONCE + 1)
    found = await opened(later, kind="alertmanager", url=receiver.url()).refresh(letters)
    assert found == Delivery(outcome=Outcome.RETRY, detail="status 503")


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(body=b'{"status":"success"}'), Delivery(outcome=Outcome.SENT, detail="status 200")),
        (
            Reply(body=b"<html>"),
            Delivery(outcome=Outcome.RETRY, detail="status 200, but the answer is not Alertmanager's", unsure=True),
        ),
        (Reply(status=400, body=b'"bad"'), Delivery(outcome=Outcome.REFUSED, detail="status 400")),
    ],
)
async def test_alertmanager_answer_is_told_as_it_is(new_receiver: NewReceiver, reply: Reply, told: Delivery) -> None:
    """A page of something in front of it is no yes."""
    receiver = await new_receiver(shapes.alertmanager)
    receiver.script(reply)
    assert await opened(kind="alertmanager", url=receiver.url()).send(a_letter()) == told


@pytest.mark.parametrize(
    ("login", "header"),
    [
        ({}, None),
        ({"token": "t0ken"}, "Bearer t0ken"),
        ({"username": "toban", "password": "p:w"}, "Basic " + base64.b64encode(b"toban:p:w").decode()),
    ],
)
async def test_alertmanager_is_logged_in_to(
    new_receiver: NewReceiver, login: dict[str, Any], header: str | None
) -> None:
    """Where something in front of it asks for that; below a path as well."""
    receiver = await new_receiver(shapes.alertmanager)
    receiver.script(TAKEN)
    await opened(kind="alertmanager", url=receiver.url("/am/"), **login).send(a_letter())
    (request,) = receiver.requests
    assert request.headers.get("authorization") == header
    assert request.target == "/am/api/v2/alerts"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"username": "a"}, "username and password go together"),
        ({"password": "a"}, "username and password go together"),
        ({"username": "a", "password": "b", "token": "c"}, "is instead of username and password"),
        ({"valid_for": "1m"}, "is shorter than two rounds of 60 s"),
        ({"token": "a b"}, "holds a blank, a line break or another character that no token has"),
    ],
)
def test_alertmanager_settings_that_do_not_go_together_are_refused(more: dict[str, str], why: str) -> None:
    """With the reason."""
    with pytest.raises(ValidationError, match=why):
        settings_of(kind="alertmanager", url="http://127.0.0.1:9093", **more)


@pytest.fixture
async def real(new_receiver: NewReceiver) -> RealAlertmanager:
    """Debian's; what it notifies is not what is claimed here."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(ABSENCE)
    hook = await new_receiver()
    hook.always(Reply())
    return RealAlertmanager(hook.url())


@pytest.fixture
def running(real: RealAlertmanager) -> Iterator[RealAlertmanager]:
    """It runs."""
    try:
        real.start()
        yield real
    finally:
        real.remove()


async def alerts_of(real: RealAlertmanager) -> list[Any]:
    """What it believes to be active."""
    answer = await HttpWeb().get(f"{real.url}/api/v2/alerts")
    found: list[Any] = json.loads(answer.body)
    return found


async def test_real_alertmanager_believes_what_it_is_told(running: RealAlertmanager) -> None:
    """An alert with a nasty label is active there, with its words; then resolved, and active no more."""
    clock = SystemClock()
    channel = opened(kind="alertmanager", url=running.url)
    channel.clock = clock
    since = clock.now() - 60
    key = Key("disk_full", "main", (("mount", NASTY), ("a.b", "\ud800😀")))
    firing = an_alert(key=key, started_at=since, fired_at=since)
    assert (await channel.send(a_letter(a_notice(firing)))).outcome is Outcome.SENT
    (seen,) = await eventually(lambda: alerts_of(running))
    assert seen["status"]["state"] == "active"
    assert seen["labels"] == labels(firing, "db1", Severity.CRITICAL)
    assert seen["annotations"]["runbook"] == firing.runbook
    assert (await channel.refresh([a_letter(a_notice(firing))])).outcome is Outcome.SENT
    assert len(await alerts_of(running)) == 1
    over = an_alert(key=key, started_at=since, fired_at=since, state=State.RESOLVED, resolved_at=clock.now())
    assert (await channel.send(a_letter(a_notice(over, What.RESOLVED)))).outcome is Outcome.SENT

    async def none_left() -> bool:
        return await alerts_of(running) == []

    await eventually(none_left)


async def test_real_alertmanager_keeps_one_severity(running: RealAlertmanager) -> None:
    """What worsens is not there twice."""
    channel = opened(kind="alertmanager", url=running.url)
    channel.clock = SystemClock()
    since = channel.clock.now() - 60
    warning = an_alert(severity=Severity.WARNING, started_at=since, fired_at=since)
    critical = an_alert(severity=Severity.CRITICAL, started_at=since, fired_at=since)
    await channel.send(a_letter(a_notice(warning)))
    await eventually(lambda: alerts_of(running))
    await channel.send(a_letter(a_notice(critical, What.WORSENED)))

    async def one_is_left() -> bool:
        return [alert["labels"]["severity"] for alert in await alerts_of(running)] == ["critical"]

    await eventually(one_is_left)
