"""Claims about text messages and calls: short, escaped, and never twice where that can be helped."""

from base64 import b64encode
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree as ET

import pytest
from pydantic import ValidationError

from alerting.address import WebUrl
from alerting.channels.sms import segments, sms
from alerting.channels.twilio import Twilio, twiml
from tests.alerting import shapes
from tests.alerting.channels.opening import a_full_message, opened, settings_of
from tests.alerting.conftest import NewReceiver
from tests.alerting.letters import NASTY, a_letter, a_message, a_notice, an_alert
from tests.alerting.receivers import HANGS, Receiver, Reply
from tests.builders import START, ManualClock
from toban.alerts import Delivery, Key, Outcome, State, What
from toban.language import Language
from toban.printable import ACTING

ACCOUNT = "AC" + "0" * 32
SIDS = ["SM" + f"{number:032x}" for number in range(3)]
BASE: dict[str, Any] = {
    "kind": "twilio",
    "account_sid": ACCOUNT,
    "auth_token": "hunter2",
    "from": "+15005550006",
    "to": ["+819012345678", "+14155550100"],
}
TEXTS = (
    "",
    "x" * 10_000,
    "€" * 400,
    "閾値" * 500,
    "\U0001f600" * 500,
    NASTY,
    "a\r\nb\x00\x1b[31m",
    "\ud800" * 300,
    "é" * 460,
)


def taken(sid: str, status: str = "queued") -> Reply:
    """What Twilio says of a message that it took."""
    return Reply(status=201, body=f'{{"sid":"{sid}","status":"{status}","error_code":null}}'.encode())


async def sent(receiver: Receiver, **more: Any) -> Delivery:  # noqa: ANN401 - as YAML has them
    """Send one letter."""
    return await opened(**BASE | {"api_url": receiver.url(""), "timeout": "2s"} | more).send(a_letter())


def form(receiver: Receiver, number: int = 0) -> dict[str, str]:
    """What was posted."""
    return {name: values[0] for name, values in parse_qs(receiver.requests[number].body.decode()).items()}


@pytest.mark.integration
async def test_text_message_is_as_documented(new_receiver: NewReceiver) -> None:
    """One for each receiver, void after minutes; the SIDs are the receipt."""
    receiver = await new_receiver(shapes.twilio)
    receiver.script(taken(SIDS[0]), taken(SIDS[1]))
    delivery = await sent(receiver)
    assert delivery == Delivery(outcome=Outcome.SENT, detail="taken", receipt={"sid": f"{SIDS[0]},{SIDS[1]}"})
    assert [form(receiver, number)["To"] for number in (0, 1)] == BASE["to"]
    assert receiver.requests[0].target == f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    assert receiver.requests[0].headers["authorization"] == "Basic " + b64encode(f"{ACCOUNT}:hunter2".encode()).decode()
    assert form(receiver)["ValidityPeriod"] == "600"
    assert form(receiver)["Body"] == (
        "CRITICAL main: connections 97.0 %\n"
        "connections at main is 97.0 %; the threshold is > 95%; since 2026-11-18 20:06:40 +09:00.\n"
        'toban alerts ack 4f7k2m1x --note "on it"'
    )


@pytest.mark.integration
async def test_call_says_it_aloud(new_receiver: NewReceiver) -> None:
    """TwiML with nothing in it but words, in the voice of the language, twice."""
    receiver = await new_receiver(shapes.twilio)
    receiver.script(taken("CA" + "0" * 32))
    delivery = await sent(receiver, via="voice", to="+819012345678")
    assert delivery.receipt == {"sid": "CA" + "0" * 32}
    root = ET.fromstring(form(receiver)["Twiml"].encode())  # noqa: S314 - what is under test made it
    (said,) = root
    assert (said.tag, said.attrib) == ("Say", {"language": "en-US", "loop": "2"})
    assert said.text == (
        "CRITICAL main: connections 97.0 %. connections at main is 97.0 % the threshold is 95% "
        "since 2026-11-18 20:06:40 09:00."
    )


@pytest.mark.integration
async def test_call_says_what_the_operator_wrote(new_receiver: NewReceiver) -> None:
    """A document of one's own goes out as it is."""
    receiver = await new_receiver(shapes.twilio)
    receiver.script(taken(SIDS[0]))
    own = "<Response><Play>https://example.org/alarm.mp3</Play></Response>"
    await sent(receiver, via="voice", to="+819012345678", twiml=own)
    assert form(receiver)["Twiml"] == own


def test_telephone_is_told_that_it_may_have_rung_before() -> None:
    """Twilio knows no key, and neither a text message nor a call has a foot to say it in."""
    assert sms(a_message(), repeat=True).startswith("(possible repeat) CRITICAL main: connections 97.0 %\n")
    assert sms(a_message(language=Language.JA), repeat=True).startswith("(再送の可能性あり) 【重大】main: ")
    assert ">possible repeat. CRITICAL main" in twiml(a_message(), repeat=True)


@pytest.mark.integration
@pytest.mark.parametrize("via", ["sms", "voice"])
async def test_message_that_may_have_gone_out_says_so(new_receiver: NewReceiver, via: str) -> None:
    """It was in flight when the daemon died."""
    receiver = await new_receiver(shapes.twilio)
    receiver.script(taken(SIDS[0]))
    channel = opened(**BASE | {"api_url": receiver.url(""), "to": "+819012345678", "via": via})
    await channel.send(a_letter(a_notice(perhaps_sent=True)))
    assert "possible repeat" in form(receiver)["Body" if via == "sms" else "Twiml"]


def test_call_can_gather_a_key() -> None:
    """Where there is somebody to tell the key to, the call asks for one."""
    gather = WebUrl('https://example.org/key?a=1&b="2"')
    root = ET.fromstring(twiml(a_message(language=Language.JA), gather).encode())  # noqa: S314 - what is under test made it
    assert root[0].attrib == {"numDigits": "1", "timeout": "10", "action": gather.reveal()}
    assert root[0][0].attrib["language"] == "ja-JP"


@pytest.mark.parametrize("text", TEXTS)
def test_call_is_well_formed_whatever_is_said(text: str) -> None:
    """Markup, controls and ten thousand letters make one short element."""
    root = ET.fromstring(twiml(a_full_message(text)).encode())  # noqa: S314 - what is under test made it
    assert len(root) == 1
    assert len(root[0].text or "") <= 700
    assert len(twiml(a_full_message(text))) <= 4000


@pytest.mark.integration
async def test_receiver_who_was_told_is_not_told_again(new_receiver: NewReceiver) -> None:
    """Only those that could not be told are tried again."""
    receiver = await new_receiver(shapes.twilio)
    receiver.script(taken(SIDS[0]), Reply(status=503), taken(SIDS[1]))
    channel = opened(**BASE | {"api_url": receiver.url("")})
    first, second = await channel.send(a_letter()), await channel.send(a_letter())
    assert (first.outcome, first.detail) == (Outcome.RETRY, "1 of 2 receivers: status 503")
    assert (second.outcome, second.receipt) == (Outcome.SENT, {"sid": SIDS[1]})
    assert (first.unsure, first.partly) == (True, True)
    assert [form(receiver, number)["To"] for number in range(3)] == [*BASE["to"], BASE["to"][1]]


@pytest.mark.integration
async def test_receiver_who_is_put_off_for_long_holds_up_nobody(new_receiver: NewReceiver) -> None:
    """What follows waits for a quarter of an hour behind one that could not be told, and no longer."""
    receiver = await new_receiver(shapes.twilio)
    receiver.script(taken(SIDS[0]), Reply(status=503))
    channel = opened(ManualClock(START + 60 + 900), **BASE | {"api_url": receiver.url("")})
    delivery = await channel.send(a_letter())
    assert (delivery.outcome, delivery.detail) == (Outcome.SENT, "1 of 2 receivers: status 503")


@pytest.mark.integration
async def test_one_number_that_is_none_keeps_nobody_else_from_it(new_receiver: NewReceiver) -> None:
    """Somebody was told: sent, and the detail names the rest. Nobody was: refused."""
    receiver = await new_receiver(shapes.twilio)
    wrong = Reply(status=400, body=b'{"code":21211,"message":"The To number is not valid","status":400}')
    receiver.script(wrong, taken(SIDS[1]), wrong, wrong)
    delivery = await sent(receiver)
    assert (delivery.outcome, delivery.receipt) == (Outcome.SENT, {"sid": SIDS[1]})
    assert delivery.detail == "1 of 2 receivers: status 400: error 21211"
    delivery = await sent(receiver)
    assert (delivery.outcome, delivery.detail) == (Outcome.REFUSED, "2 of 2 receivers: status 400: error 21211")


@pytest.mark.integration
async def test_limits_and_lies_are_tried_again(new_receiver: NewReceiver) -> None:
    """429 with its wait; 201 that is not Twilio's; no answer at all."""
    receiver = await new_receiver(shapes.twilio)
    limit = Reply(status=429, headers={"Retry-After": "7"}, body=b'{"code":20429}')
    receiver.script(limit, Reply(status=201, body=b'{"sid":"<b>"}'), HANGS)
    delivery = await sent(receiver, to="+819012345678")
    assert (delivery.outcome, delivery.detail, delivery.after_seconds) == (
        Outcome.RETRY,
        "status 429: error 20429",
        7.0,
    )
    assert (await sent(receiver, to="+819012345678")).detail == "status 201, but the answer is not Twilio's"
    assert (await sent(receiver, to="+819012345678", timeout="300ms")).outcome is Outcome.RETRY


@pytest.mark.integration
async def test_service_and_api_key_stand_in(new_receiver: NewReceiver) -> None:
    """A messaging service instead of a number, an API key instead of the account's own token."""
    receiver = await new_receiver()
    receiver.script(taken(SIDS[0]))
    written = {name: value for name, value in BASE.items() if name not in {"from", "auth_token"}}
    written |= {"messaging_service": "MG" + "0" * 32, "api_key": "SK" + "0" * 32, "api_secret": "hunter2"}
    channel = opened(**written | {"api_url": receiver.url(""), "to": "+819012345678"})
    assert (await channel.send(a_letter())).outcome is Outcome.SENT
    assert form(receiver)["MessagingServiceSid"] == "MG" + "0" * 32
    assert "From" not in form(receiver)


def test_text_message_fits_three_segments() -> None:
    """The sentence is cut, the title and what to type are kept; Japanese takes the wide letters."""
    long = an_alert(key=Key("connections", "main", (("mount", "x" * 200),)))
    text = sms(a_message(a_notice(long), rule_summary={Language.EN: "word " * 200}))
    assert text.startswith("CRITICAL main: connections xxx")
    assert text.endswith('...\ntoban alerts ack 4f7k2m1x --note "on it"')
    assert segments(text) == 3
    wide = sms(a_message(language=Language.JA, rule_summary={Language.JA: "閾値を超えました。" * 50}))
    assert wide.startswith("【重大】main: connections 97.0%\n閾値を超えました。")
    assert wide.endswith('...\ntoban alerts ack 4f7k2m1x --note "対応中"')
    assert segments(wide) == 3


@pytest.mark.parametrize("text", TEXTS)
def test_text_message_is_bounded_whatever_is_said(text: str) -> None:
    """Never more than three segments, nothing that acts, no half of a letter."""
    body = sms(a_full_message(text))
    assert segments(body) <= 3
    assert not ACTING.search(body.replace("\n", ""))
    assert body.encode("utf-16-le").decode("utf-16-le") == body


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("当" * 70, 1),
        ("当" * 71, 2),
        ("当" * 202, 4),
    ],
)
def test_segments_are_counted_as_providers_do(text: str, count: int) -> None:
    """Seven bits where every letter has them, two of them for some, else sixteen."""
    assert segments(text) == count


def test_text_message_without_a_command_ends_with_its_sentence() -> None:
    """A test has nothing to type; of what is over, the first command is told."""
    assert sms(a_message(a_notice(what=What.TEST))).endswith("Nothing is wrong.")
    over = a_notice(an_alert(state=State.RESOLVED), What.RESOLVED)
    assert sms(a_message(over)).endswith("\ntoban alerts show 4f7k2m1x")


def test_telephones_hear_of_new_trouble_alone() -> None:
    """That somebody is at it, or that it is over, wakes nobody."""
    assert Twilio.acks is False


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ({"to": "12"}, "should match pattern"),
        ({"to": []}, "at least 1 item"),
        ({"account_sid": "nobody"}, "should match pattern"),
        ({"auth_token": None}, "needs auth_token, or api_key with api_secret"),
        ({"api_key": "SK" + "0" * 32, "api_secret": "x"}, "and not both"),
        ({"api_key": "SK" + "0" * 32}, "api_key and api_secret go together"),
        ({"api_secret": "x"}, "api_key and api_secret go together"),
        ({"from": None}, "needs from or messaging_service"),
        ({"messaging_service": "MG" + "0" * 32}, "and not both"),
        ({"messaging_service": "MG" + "0" * 32, "from": None, "via": "voice"}, "a call needs from"),
        ({"validity": "10h"}, "less than or equal to 14400"),
    ],
)
def test_settings_that_cannot_work_are_refused(written: dict[str, Any], why: str) -> None:
    """Each mistake is found before the first message."""
    with pytest.raises(ValidationError, match=why) as caught:
        settings_of(**{name: value for name, value in (BASE | written).items() if value is not None})
    assert "hunter2" not in str(caught.value)
