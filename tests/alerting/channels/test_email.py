"""Claims about mail, against a real server: encrypted, in threads, harmless, and told apart when it is not taken."""

import asyncio
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from pydantic import ValidationError

from alerting.channels import CHANNELS
from alerting.channels.email import Email, EmailSettings, address_of
from alerting.channels.mail_form import mail
from tests.alerting.channels.mailing import a_channel
from tests.alerting.channels.opening import a_full_message, revealed, settings_of
from tests.alerting.letters import NASTY, a_letter, a_message, a_notice, an_alert
from tests.alerting.mail_servers import LOGIN, Server, mail_server
from tests.authority import Authority, Pair
from tests.builders import START
from tests.ports import free_port
from toban.alerts import Key, Notice, Outcome, Severity, State, What
from toban.language import Language

DAY = 86400.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A root of the test's own."""
    return Authority(tmp_path_factory.mktemp("mail authority"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    """The mail server's certificate."""
    return authority.pair("mail", ends_at=time.time() + 30 * DAY)


@pytest.mark.integration
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_mail_goes_encrypted_and_logged_in(tls: str, authority: Authority, pair: Pair) -> None:
    """By STARTTLS as by implicit TLS, with the certificate checked and the password told to nobody else."""
    async with mail_server(pair=pair, implicit=tls == "implicit", login=True) as server:
        login = {"username": "toban", "password": "hunter2", "ca": str(authority.cert), "tls": tls}
        channel = a_channel(server, **login)
        delivery = await channel.send(a_letter())
        assert (delivery.outcome, delivery.detail) == (Outcome.SENT, "queued as 4711")
        assert delivery.receipt == {"answer": "queued as 4711"}
        (taken,) = server.taken
        assert (taken.encrypted, taken.login) == (True, LOGIN)
        assert (taken.sender, taken.to) == ("toban@example.org", ["dba@example.org", "hanako@example.org"])


@pytest.mark.integration
async def test_mail_has_the_headers_that_readers_want() -> None:
    """From, to, date and subject; the ids of the row and of the episode; and that nobody answers it by machine."""
    async with mail_server() as server:
        await a_channel(server).send(a_letter())
        found = server.taken[0].mail
        assert {name: str(found[name]) for name in found if name not in {"Date", "MIME-Version", "Content-Type"}} == {
            "From": "toban@example.org",
            "To": "dba@example.org, Hanako <hanako@example.org>",
            "Subject": "CRITICAL main: connections 97.0 %",
            "Message-ID": f"<{'0a1b2c3d' * 8}@example.org>",
            "In-Reply-To": "<4f7k2m1x@example.org>",
            "References": "<4f7k2m1x@example.org>",
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
            "X-Toban-Severity": "critical",
            "X-Toban-State": "firing",
            "Importance": "high",
            "X-Priority": "1",
        }
        assert parsedate_to_datetime(found["Date"]).timestamp() == START + 90
        assert [part.get_content_type() for part in found.walk()] == [
            "multipart/alternative",
            "text/plain",
            "text/html",
        ]
        assert all(len(line) <= 998 for line in server.taken[0].content.splitlines())


@pytest.mark.integration
async def test_episode_is_one_thread() -> None:
    """What follows an alert hangs below the same root; a digest and a test hang below nothing."""
    async with mail_server(expected=4) as server:
        channel = a_channel(server)
        over = an_alert(state=State.RESOLVED, resolved_at=START + 80)
        letters: tuple[Notice, ...] = (
            a_notice(),
            a_notice(over, What.RESOLVED, key="b" * 64),
            a_notice(what=What.DIGEST, key="c" * 64),
            a_notice(what=What.TEST, key="d" * 64),
        )
        for notice in letters:
            await channel.send(a_letter(notice))
        roots = [taken.mail["References"] for taken in server.taken]
        assert roots == ["<4f7k2m1x@example.org>", "<4f7k2m1x@example.org>", None, None]
        assert len({taken.mail["Message-ID"] for taken in server.taken}) == 4
        assert [taken.mail["Importance"] for taken in server.taken] == ["high", None, None, None]


@pytest.mark.integration
async def test_mail_says_the_same_in_text_and_html() -> None:
    """A reader of either sees title, sentence, value, threshold, evidence, runbook and what to type."""
    message = a_message(acknowledge_url="https://toban.example.org/ack/1?t=2&u=3")
    async with mail_server() as server:
        letter = a_letter(message=message, url="https://toban.example.org/alerts/4f7k2m1x")
        await a_channel(server).send(letter)
        text, page = server.taken[0].part("plain"), server.taken[0].part("html")
    for said in (message.title, "97.0 %", "toban alerts show 4f7k2m1x", "runbooks.example.org", "db1", letter.url):
        assert said in text
        assert said in page
    assert 'href="https://toban.example.org/ack/1?t=2&amp;u=3"' in page
    assert message.acknowledge_url in text
    assert "&gt; 95%" in page


@pytest.mark.integration
async def test_mail_in_japanese_arrives_as_it_was_written() -> None:
    """Subject, text and page are in the channel's language, whatever way they were encoded on."""
    async with mail_server() as server:
        await a_channel(server).send(a_letter(message=a_message(language=Language.JA)))
        taken = server.taken[0]
        assert taken.mail["Subject"] == "【重大】main: connections 97.0%"
        assert "閾値: > 95%" in taken.part("plain")
        assert '<html lang="ja">' in taken.part("html")
        assert taken.content.isascii()


@pytest.mark.integration
@pytest.mark.parametrize(
    "text",
    [
        NASTY,
        "a\r\nBcc: eve@example.org\r\n\r\nbody",
        "=?utf-8?q?=0ABcc:_eve@example.org?= =?utf-8?b?CkJjYzogZXZl?=",
        "=" + "=?utf-8?q?=0a?=?utf-8?q?=0aX:_y?=",
        "\U0001f600\u05e9" * 5000,
        "<img src=x onerror=alert(1)>" * 200,
        "\ud800",
        "",
        ".\r\n.\r\nQUIT",
    ],
)
async def test_hostile_text_adds_nothing_to_a_mail(text: str) -> None:
    """No header, no recipient, no markup and no line end comes out of what somebody named a database."""
    async with mail_server() as server:
        letter = a_letter(a_notice(an_alert(key=Key("connections", "main"))), a_full_message(text), url=text)
        delivery = await a_channel(server).send(letter)
        assert delivery.outcome is Outcome.SENT
        (taken,) = server.taken
        assert taken.to == ["dba@example.org", "hanako@example.org"]
        known = {"From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted"}
        known |= {"X-Auto-Response-Suppress", "X-Toban-Severity", "X-Toban-State", "Importance", "X-Priority"}
        assert set(taken.mail.keys()) == known | {"MIME-Version", "Content-Type"}
        assert not any(mark in str(taken.mail["Subject"]) for mark in ("\r", "\n", "=?"))
        assert len(str(taken.mail["Subject"])) <= 250
        assert "<script" not in taken.part("html")
        assert "<img" not in taken.part("html")
        assert len(taken.content) < 800_000


@pytest.mark.integration
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [("554 5.7.1 spam", Outcome.REFUSED), ("451 4.3.0 disk full", Outcome.RETRY), ("421 going down", Outcome.RETRY)],
)
async def test_answer_to_the_mail_itself_decides(answer: str, outcome: Outcome) -> None:
    """5xx is never, 4xx is later; either way the server's words are kept."""
    async with mail_server(expected=0) as server:
        server.data = answer
        delivery = await a_channel(server).send(a_letter())
    assert (delivery.outcome, delivery.detail) == (outcome, answer)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("answer", "outcome"), [("550 5.7.1 not you", Outcome.REFUSED), ("530 5.7.0 log in first", Outcome.RETRY)]
)
async def test_refused_sender_is_told(answer: str, outcome: Outcome) -> None:
    """A sender who may not is refused; one who forgot to log in may be mended."""
    async with mail_server(expected=0) as server:
        server.senders = answer
        delivery = await a_channel(server).send(a_letter())
    assert (delivery.outcome, delivery.detail) == (outcome, answer)


@pytest.mark.integration
async def test_mail_dropped_after_data_is_sent_again_with_the_same_id() -> None:
    """Whether it was taken is not known: it goes again, and a reader that knows the id shows one."""
    async with mail_server(expected=2) as server:
        server.drops_after_data = True
        first = await a_channel(server).send(a_letter())
        server.drops_after_data = False
        second = await a_channel(server).send(a_letter())
        assert server.taken[0].mail["Message-ID"] == server.taken[1].mail["Message-ID"]
    assert (first.outcome, second.outcome) == (Outcome.RETRY, Outcome.SENT)
    assert (first.detail, first.unsure) == (f"127.0.0.1:{server.port}: the server hung up", True)


@pytest.mark.integration
async def test_mail_cut_off_while_it_is_handed_over_may_have_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks the connection then: the next attempt says that it is perhaps a repeat."""

    async def cut(server: Any, message: bytes, **_: Any) -> None:  # noqa: ANN401 - as aiosmtplib has them
        server.handed = True
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("alerting.channels.email._Server.data", cut)
    async with mail_server(expected=0) as server:
        delivery = await a_channel(server).send(a_letter())
    assert (delivery.outcome, delivery.unsure) == (Outcome.RETRY, True)


@pytest.mark.integration
async def test_wrong_password_is_tried_again_and_never_told(authority: Authority, pair: Pair) -> None:
    """A password may be mended; until then the detail says that it is wrong, without it."""
    async with mail_server(pair=pair, login=True, expected=0) as server:
        login = {"username": "toban", "password": "hunter3", "ca": str(authority.cert), "tls": "starttls"}
        channel = a_channel(server, **login)
        delivery = await channel.send(a_letter())
    assert delivery.outcome is Outcome.RETRY
    assert delivery.detail.startswith("535 ")
    assert "hunter3" not in repr(delivery) + repr(channel) + str(channel.settings) + channel.settings.model_dump_json()
    assert revealed(channel.settings, channel) == ("hunter3",)


@pytest.mark.integration
async def test_unknown_certificate_is_not_trusted(pair: Pair) -> None:
    """Neither at the start nor after STARTTLS is a mail given to somebody who cannot prove who they are."""
    async with mail_server(pair=pair, expected=0) as server:
        delivery = await a_channel(server, tls="starttls").send(a_letter())
    assert delivery.outcome is Outcome.RETRY
    assert "certificate verify failed" in delivery.detail
    async with mail_server(pair=pair, implicit=True, expected=0) as server:
        assert "certificate verify failed" in (await a_channel(server, tls="implicit").send(a_letter())).detail


@pytest.mark.integration
async def test_server_without_starttls_gets_no_mail_in_the_clear() -> None:
    """Encryption is demanded, not hoped for."""
    async with mail_server(expected=0) as server:
        delivery = await a_channel(server, tls="starttls").send(a_letter())
        assert server.asked == 0
    assert (delivery.outcome, "STARTTLS" in delivery.detail) == (Outcome.RETRY, True)


@pytest.mark.integration
async def test_server_that_hangs_is_left() -> None:
    """Nothing waits for it longer than the channel's time; cancelling leaves no connection behind."""
    async with mail_server(expected=0) as server:
        server.hangs = True
        delivery = await a_channel(server, timeout="200ms").send(a_letter())
        assert (delivery.outcome, delivery.detail) == (Outcome.RETRY, f"127.0.0.1:{server.port}: no answer in time")
        assert not delivery.unsure  # nothing was handed over yet
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(a_channel(server, timeout="60s").send(a_letter()), 0.2)


@pytest.mark.integration
async def test_server_that_is_not_there_is_tried_again(unused_port: int) -> None:
    """Nobody listens: later perhaps, and the detail names the place."""
    delivery = await a_channel(Server(port=unused_port)).send(a_letter())
    assert delivery.outcome is Outcome.RETRY
    assert f"127.0.0.1 on port {unused_port}" in delivery.detail


@pytest.fixture
def unused_port() -> int:
    """A port at which nobody listens."""
    return free_port()


BASE = {"kind": "email", "host": "smtp.example.org", "from": "toban@example.org", "to": "dba@example.org"}


@pytest.mark.parametrize(
    ("written", "encryption", "port"),
    [
        ({}, "starttls", 587),
        ({"port": 465}, "implicit", 465),
        ({"port": 2525}, "starttls", 2525),
        ({"tls": "implicit"}, "implicit", 465),
        ({"tls": "none"}, "none", 25),
        ({"tls": "starttls", "port": 465}, "starttls", 465),
    ],
)
def test_encryption_has_a_safe_default(written: dict[str, Any], encryption: str, port: int) -> None:
    """STARTTLS where nothing is said, implicit TLS on its own port, and nothing only where that is asked for."""
    settings = settings_of(**BASE | written)
    assert isinstance(settings, EmailSettings)
    assert (settings.encryption, settings.where) == (encryption, port)
    assert settings.to == ("dba@example.org",)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ({"to": []}, "at least 1 item"),
        ({"to": "nobody"}, "'nobody' is no mail address; write dba@example.org or Name <dba@example.org>"),
        ({"to": "a@example.org\r\nBcc: b@example.org"}, "is no mail address"),
        ({"to": "a@example.org, b@example.org"}, "is no mail address"),
        ({"from": "x <a b@example.org>"}, "is no mail address"),
        ({"username": "toban"}, "username and password go together"),
        ({"password": "hunter2"}, "username and password go together"),
        ({"username": "toban", "password": "hunter2", "tls": "none"}, "would send the password in the clear"),
        ({"host": "a\r\nb"}, "should match pattern"),
        ({"port": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(written: dict[str, Any], why: str) -> None:
    """Each mistake is found before the first mail, and no complaint quotes a password."""
    with pytest.raises(ValidationError, match=why) as caught:
        settings_of(**BASE | written)
    assert "hunter2" not in str(caught.value)


def test_settings_read_back_as_they_were_written() -> None:
    """`from` stays `from` where the configuration is shown."""
    assert settings_of(**BASE).model_dump(mode="json")["from"] == "toban@example.org"
    local = BASE | {"host": "127.0.0.1", "tls": "none", "username": "u", "password": "p"}
    assert settings_of(**local).model_dump(mode="json")["password"] == "********"
    assert Email in CHANNELS


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("what", What)
def test_every_notice_makes_a_mail(what: What, severity: Severity) -> None:
    """Whatever is told, and however bad it is, becomes a mail; a digest lists its alerts."""
    notice = a_notice(an_alert(severity=severity), what)
    waiting = [a_notice(an_alert(episode=str(at), severity=severity)) for at in range(12)]
    letter = a_letter(notice, a_message(notice, digest=waiting))
    sender = address_of("Toban <toban@example.org>")
    made = mail(letter, sender=sender, to=(sender,), now=START)
    assert made["Subject"] == letter.message.title
    body = made.get_body(("html",))
    assert body is not None
    assert ("and 2 more" in body.get_content()) == (what is What.DIGEST)
