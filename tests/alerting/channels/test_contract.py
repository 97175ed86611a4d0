"""Claims that hold for every channel, and for each of those over HTTP with a receiver that misbehaves."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError

import alerting.channels
from alerting.channels import CHANNELS
from alerting.channels.contract import Channel
from alerting.channels.http import HttpChannel
from tests.alerting import shapes
from tests.alerting.channels.opening import ADAPTER, a_full_message, opened, revealed, settings_of
from tests.alerting.conftest import NewReceiver
from tests.alerting.letters import NASTY, a_letter, a_message, a_notice, an_alert
from tests.alerting.receivers import (
    ENDLESS_HEAD,
    GARBAGE,
    HANGS,
    HANGS_IN_BODY,
    HANGS_UP,
    HUGE,
    HUGE_BYTES,
    RESETS,
    Check,
    Misbehaviour,
    Receiver,
    Reply,
)
from tests.authority import Authority
from toban.alerts import Delivery, Key, Outcome, What
from toban.secrets import MASK, Secret

LONG_AGO, FOREVER = 1_500_000_000.0, 4_000_000_000.0
THREAD = {"ts": "1795000000.000100", "channel": "C0TEST"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """How to try one way of one channel over HTTP: its settings below an address, its shape, a good answer."""

    written: Callable[[str], dict[str, Any]]
    check: Check
    good: Reply
    any_success: bool = False
    """Whether it takes any 2xx for a yes, since its receivers say what they like."""
    thread: dict[str, str] = field(default_factory=dict)
    requests: int = 1


OK_TRUE = Reply(body=b'{"ok":true,"ts":"1795000060.000200","channel":"C0TEST"}')
QUEUED = Reply(status=201, body=b'{"sid":"SM' + b"0" * 32 + b'","status":"queued"}')
TWILIO = {"account_sid": "AC" + "0" * 32, "auth_token": "hunter2", "from": "+15005550006", "to": "+15005550009"}
CASES = {
    "slack": Case(
        written=lambda url: {"url": f"{url}/services/T0/B0/hunter2"},
        check=shapes.slack_webhook,
        good=Reply(body=b"ok"),
    ),
    "slack by token": Case(
        written=lambda url: {"token": "xoxb-hunter2", "channel": "C0TEST", "api_url": f"{url}/api"},
        check=shapes.slack_api,
        good=OK_TRUE,
    ),
    "slack in a thread": Case(
        written=lambda url: {"token": "xoxb-hunter2", "channel": "C0TEST", "api_url": f"{url}/api"},
        check=shapes.slack_api,
        good=OK_TRUE,
        thread=THREAD,
        requests=2,
    ),
    "teams": Case(
        written=lambda url: {"url": f"{url}/workflows/x?sig=hunter2"},
        check=shapes.teams,
        good=Reply(status=202),
        any_success=True,
    ),
    "pagerduty": Case(
        written=lambda url: {"routing_key": "0123456789abcdef0123456hunter200", "url": f"{url}/v2/enqueue/hunter2"},
        check=shapes.pagerduty,
        good=Reply(status=202, body=b'{"status":"success"}'),
    ),
    "twilio": Case(
        written=lambda url: {**TWILIO, "api_url": f"{url}/hunter2"},
        check=shapes.twilio,
        good=QUEUED,
    ),
    "twilio by voice": Case(
        written=lambda url: {**TWILIO, "via": "voice", "api_url": f"{url}/hunter2"},
        check=shapes.twilio,
        good=QUEUED,
    ),
    "alertmanager": Case(
        written=lambda url: {"url": f"{url}/hunter2", "username": "toban", "password": "hunter2"},
        check=shapes.alertmanager,
        good=Reply(),
    ),
    "webhook": Case(
        written=lambda url: {
            "url": f"{url}/hunter2?k=hunter2",
            "secret": ["hunter2", "hunter3"],
            "headers": {"X-Key": "hunter2"},
        },
        check=shapes.webhook,
        good=Reply(status=204),
        any_success=True,
    ),
}
TEXTS = {
    "nasty": NASTY,
    "CR and LF": "a\r\nX-Injected: b\r\n\r\nc",
    "calls": "<!channel> <!here|x> <@U1> <#C1> @here @channel @all @everyone",
    "encoded word": "=?utf-8?q?=0ABcc:_eve?= =?utf-8?b?Cg==?=",
    "HTML": "<img src=x onerror=alert(1)><script>x</script>&lt;b&gt;",
    "markdown": "*a* _b_ ~c~ `d` ```e``` [f](http://g) # h\n> i\n- j",
    "long": "x" * 10_000,
    "long and escaped": "&<>" * 4_000,
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈" * 1_000,
    "right to left": "\u202e\u2066\u05e9\u05dc\u05d5\u05dd\u200f \u0645\u0631\u062d\u0628\u0627",
    "acting": "".join(map(chr, range(32))) + "\x7f\x85\u2028\ufeff",
    "no encoding": "\ud800\udfff",
    "empty": "",
}


def opened_on(case: str, receiver: Receiver, **more: Any) -> Channel[Any]:  # noqa: ANN401 - as YAML has them
    """The channel of a case, on a receiver."""
    return opened(kind=case.split(maxsplit=1)[0], timeout="1s", **CASES[case].written(receiver.url("")), **more)


async def tried(case: str, new_receiver: NewReceiver, *replies: Reply | Misbehaviour) -> Delivery:
    """Send one letter to a receiver that answers so. Nothing secret is in what became of it."""
    receiver = await new_receiver(CASES[case].check)
    receiver.script(*replies)
    channel = opened_on(case, receiver)
    delivery = await channel.send(a_letter(thread=CASES[case].thread))
    _assert_no_secret(channel, delivery)
    return delivery


def _assert_no_secret(channel: Channel[Any], delivery: Delivery) -> None:
    shown = repr(delivery) + repr(channel) + str(channel.settings) + channel.settings.model_dump_json()
    assert "hunter" not in shown
    for secret in revealed(channel.settings, channel):
        assert secret not in shown


def modules() -> Iterator[Any]:
    """Every module of the channels."""
    for found in pkgutil.walk_packages(alerting.channels.__path__, "alerting.channels."):
        yield importlib.import_module(found.name)


def test_channels_are_all_listed() -> None:
    """A channel that is written but not in CHANNELS would reach nobody."""
    written = {
        member
        for module in modules()
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, Channel) and member.__module__ == module.__name__
        if not getattr(member, "__abstractmethods__", None)
    }
    assert written == set(CHANNELS)


def test_channels_can_all_be_configured() -> None:
    """Each kind stands in the configuration, once, and opens as itself."""
    kinds = [channel.kind for channel in CHANNELS]
    assert len(kinds) == len(set(kinds))
    assert set(ADAPTER.json_schema()["discriminator"]["mapping"]) == set(kinds)
    for channel in CHANNELS:
        assert channel.settings_model.model_fields["kind"].default == channel.kind


def test_channels_that_end_by_a_receipt_alone_are_known() -> None:
    """An incident, or a message that is kept up to date: in a digest its end would never come."""
    assert {channel.kind for channel in CHANNELS if channel.answers_apart} == {"pagerduty", "slack"}


def test_channels_over_http_are_all_tried() -> None:
    """Here, with receivers that misbehave."""
    posting = {channel.kind for channel in CHANNELS if issubclass(channel, HttpChannel)}
    assert {case.split(maxsplit=1)[0] for case in CASES} == posting


def test_channel_of_an_unknown_kind_is_refused() -> None:
    """With the kinds that there are."""
    with pytest.raises(ValidationError, match="'pigeon'"):
        settings_of(kind="pigeon")


@pytest.mark.parametrize("case", CASES)
def test_channel_knows_its_secrets(case: str) -> None:
    """Each is found, to be blotted out of the log, and none is shown by the settings."""
    settings = settings_of(kind=case.split(maxsplit=1)[0], **CASES[case].written("https://receiver.example.org"))
    channel = next(channel for channel in CHANNELS if channel.kind == settings.kind)
    found = channel.secrets(settings)
    assert all(isinstance(secret, Secret) for secret in found)
    assert any("hunter2" in secret.reveal() for secret in found)
    assert "hunter" not in repr(settings) + settings.model_dump_json()
    assert MASK in settings.model_dump_json()


@pytest.mark.integration
@pytest.mark.parametrize("case", CASES)
async def test_channel_is_sent_by_a_good_receiver(case: str, new_receiver: NewReceiver) -> None:
    """In the documented shape, in as many requests as it takes."""
    delivery = await tried(case, new_receiver, *[CASES[case].good] * CASES[case].requests)
    assert (delivery.outcome, delivery.after_seconds) == (Outcome.SENT, None)


@pytest.mark.integration
@pytest.mark.parametrize("what", [what for what in What if what is not What.ACTION])
@pytest.mark.parametrize("case", CASES)
async def test_channel_tells_of_everything(case: str, what: What, new_receiver: NewReceiver) -> None:
    """Whatever a notice is sent for has a form that the receiver takes."""
    receiver = await new_receiver(CASES[case].check)
    digest = (a_notice(), a_notice()) if what is What.DIGEST else ()
    receiver.script(*[CASES[case].good] * (CASES[case].requests if not digest else 1))
    over = {"resolved_at": 1_795_000_090.0, "state": "resolved"} if what is What.RESOLVED else {}
    letter = a_letter(a_notice(an_alert(**over), what), a_message(), thread=CASES[case].thread, digest=digest)
    assert (await opened_on(case, receiver).send(letter)).outcome is Outcome.SENT


@pytest.mark.integration
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("case", CASES)
async def test_channel_takes_any_text(case: str, text: str, new_receiver: NewReceiver) -> None:
    """Wherever a text of others can stand: it calls nobody, breaks nothing and fits."""
    nasty = TEXTS[text]
    receiver = await new_receiver(CASES[case].check)
    receiver.script(*[CASES[case].good] * CASES[case].requests)
    key = Key(nasty or "rule", nasty, ((nasty, nasty), ("mount", nasty)))
    alert = an_alert(key=key, threshold=nasty, metric=nasty, runbook=nasty, acknowledged_by=nasty)
    message = a_full_message(nasty)
    letter = a_letter(a_notice(alert), message, thread=CASES[case].thread, url=nasty)
    assert (await opened_on(case, receiver).send(letter)).outcome is Outcome.SENT


@pytest.mark.integration
@pytest.mark.parametrize("misbehaviour", [HANGS, RESETS, HANGS_UP, GARBAGE, ENDLESS_HEAD], ids=lambda how: how.name)
@pytest.mark.parametrize("case", CASES)
async def test_channel_tries_again_where_there_is_no_answer(
    case: str, misbehaviour: Misbehaviour, new_receiver: NewReceiver
) -> None:
    """Within its time, with a reason."""
    delivery = await tried(case, new_receiver, misbehaviour)
    assert delivery.outcome is Outcome.RETRY
    assert delivery.detail.startswith("127.0.0.1:")
    assert delivery.unsure  # it was handed over


@pytest.mark.integration
@pytest.mark.parametrize("case", CASES)
async def test_channel_tries_again_after_500(case: str, new_receiver: NewReceiver) -> None:
    """As long as the dispatcher likes."""
    delivery = await tried(case, new_receiver, Reply(status=500, body=b"hunter2"))
    assert delivery == Delivery(outcome=Outcome.RETRY, detail="status 500")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({}, b"", None),
        ({"Retry-After": "21"}, b"", 21.0),
        ({}, b'{"retry_after": 1.5}', 1.5),
        ({"Retry-After": "2"}, b'{"retry_after": 30}', 30.0),
    ],
)
@pytest.mark.parametrize("case", CASES)
async def test_channel_waits_as_429_asks(
    case: str, headers: dict[str, str], body: bytes, seconds: float | None, new_receiver: NewReceiver
) -> None:
    """By header, by body, or as the dispatcher likes."""
    delivery = await tried(case, new_receiver, Reply(status=429, headers=headers, body=body))
    assert delivery == Delivery(outcome=Outcome.RETRY, detail="status 429", after_seconds=seconds)


@pytest.mark.integration
@pytest.mark.parametrize("case", CASES)
async def test_channel_follows_no_redirect(case: str, new_receiver: NewReceiver) -> None:
    """The secret goes nowhere else, and where it would have gone is not told."""
    trap = await new_receiver()
    delivery = await tried(case, new_receiver, Reply(status=302, headers={"Location": trap.url("/hunter2")}))
    assert delivery.outcome is Outcome.REFUSED
    assert "is not followed" in delivery.detail


@pytest.mark.integration
@pytest.mark.parametrize("case", CASES)
async def test_channel_believes_no_page_of_an_error(case: str, new_receiver: NewReceiver) -> None:
    """200 with an error page is no yes, but where any 2xx is one."""
    page = Reply(body=b"<html>Service hunter2 unavailable</html>")
    replies = [page] * (CASES[case].requests if CASES[case].any_success else 1)
    delivery = await tried(case, new_receiver, *replies)
    assert delivery.outcome is (Outcome.SENT if CASES[case].any_success else Outcome.RETRY)


@pytest.mark.integration
@pytest.mark.parametrize("how", [HUGE, HANGS_IN_BODY], ids=lambda how: how.name)
@pytest.mark.parametrize("case", CASES)
async def test_channel_reads_little_of_an_answer(
    case: str, how: Misbehaviour, new_receiver: NewReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10 MB, or nothing more: it is hung up on."""
    monkeypatch.setattr("alerting.client.BODY_SECONDS", 0.1)
    receiver = await new_receiver(CASES[case].check)
    receiver.always(how)
    delivery = await opened_on(case, receiver).send(a_letter(thread=CASES[case].thread))
    says_ok = how is HANGS_IN_BODY and case == "slack"  # the two letters that it wants are there
    assert delivery.outcome is (Outcome.SENT if CASES[case].any_success or says_ok else Outcome.RETRY)
    await receiver.stop()
    assert receiver.written_bytes < HUGE_BYTES


@pytest.mark.integration
@pytest.mark.parametrize("case", CASES)
async def test_channel_trusts_only_whom_it_was_told_to(
    case: str, new_receiver: NewReceiver, web_authority: Authority
) -> None:
    """A certificate of an unknown authority is refused, and taken once `ca` names the authority."""
    pair = web_authority.pair(f"for-{case.replace(' ', '-')}", begins_at=LONG_AGO, ends_at=FOREVER)
    receiver = await new_receiver(CASES[case].check, pair=pair)
    distrusting = opened_on(case, receiver)
    delivery = await distrusting.send(a_letter(thread=CASES[case].thread))
    assert delivery.outcome is Outcome.RETRY
    assert "certificate not trusted" in delivery.detail
    assert not delivery.unsure  # nothing was said to whoever that is
    _assert_no_secret(distrusting, delivery)
    receiver.script(*[CASES[case].good] * CASES[case].requests)
    trusting = opened_on(case, receiver, ca=str(web_authority.cert))
    assert (await trusting.send(a_letter(thread=CASES[case].thread))).outcome is Outcome.SENT


@pytest.mark.integration
@pytest.mark.parametrize("case", CASES)
async def test_channel_parts_without_a_word(case: str, new_receiver: NewReceiver) -> None:
    """Nothing is kept open between two messages; what wants no refresh is content with one."""
    receiver = await new_receiver()
    channel = opened_on(case, receiver)
    assert (await channel.refresh([])).outcome is Outcome.SENT
    await channel.close()
