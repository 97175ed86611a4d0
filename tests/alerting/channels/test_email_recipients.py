"""Claims about who gets a mail: one who is refused, or put off, keeps nobody else from it."""

import pytest
from structlog.testing import capture_logs

from alerting.channels.taken import Taken
from tests.alerting.channels.mailing import a_channel
from tests.alerting.letters import a_letter
from tests.alerting.mail_servers import mail_server
from tests.builders import START, ManualClock
from toban.alerts import Outcome


@pytest.mark.integration
async def test_greylisted_mail_is_tried_again() -> None:
    """A server that says later is heard: the same mail, later."""
    async with mail_server(expected=0) as server:
        server.recipients = dict.fromkeys(("dba@example.org", "hanako@example.org"), "451 4.7.1 greylisted, try later")
        delivery = await a_channel(server).send(a_letter())
    assert delivery.outcome is Outcome.RETRY
    assert delivery.detail == "2 of 2 recipients refused it: 451 4.7.1 greylisted, try later"
    assert not delivery.partly


@pytest.mark.integration
async def test_one_recipient_refused_keeps_nobody_else_from_it() -> None:
    """Who is not known there costs the others nothing, and is told of."""
    async with mail_server() as server:
        server.recipients = {"hanako@example.org": "550 5.1.1 no such user"}
        delivery = await a_channel(server).send(a_letter())
        assert server.taken[0].to == ["dba@example.org"]
    assert delivery.outcome is Outcome.SENT
    assert delivery.detail == "1 of 2 recipients refused it: 550 5.1.1 no such user"


@pytest.mark.integration
async def test_one_recipient_put_off_is_tried_alone() -> None:
    """Who has it already is not sent it again because another server is slow to know us."""
    async with mail_server(expected=2) as server:
        channel = a_channel(server)
        server.recipients = {"hanako@example.org": "450 4.2.0 greylisted"}
        first = await channel.send(a_letter())
        server.recipients = {}
        second = await channel.send(a_letter())
        assert [taken.to for taken in server.taken] == [["dba@example.org"], ["hanako@example.org"]]
        assert server.taken[0].mail["Message-ID"] == server.taken[1].mail["Message-ID"]
    assert (first.outcome, second.outcome) == (Outcome.RETRY, Outcome.SENT)
    assert first.detail == "1 of 2 recipients refused it: 450 4.2.0 greylisted"
    assert (first.unsure, first.partly) == (True, True)  # somebody has it, and is to hear of its end


@pytest.mark.integration
async def test_one_full_mailbox_does_not_hold_up_the_others_for_ever() -> None:
    """After a quarter of an hour, longer than greylisting takes, it counts as sent: the rest goes to who is there."""
    async with mail_server() as server:
        server.recipients = {"hanako@example.org": "452 4.2.2 mailbox full"}
        channel = a_channel(server)
        channel.clock = ManualClock(START + 60 + 900)
        with capture_logs() as logs:
            delivery = await channel.send(a_letter())
        assert server.taken[0].to == ["dba@example.org"]
    assert (delivery.outcome, delivery.detail) == (
        Outcome.SENT,
        "1 of 2 recipients refused it: 452 4.2.2 mailbox full",
    )
    assert [(one["event"], one["log_level"], one["channel"]) for one in logs] == [
        ("recipients_refused", "warning", "work")
    ]


@pytest.mark.integration
async def test_mail_that_nobody_may_get_is_refused() -> None:
    """All refused for good is refused for good; where one may take it later, it is tried later."""
    async with mail_server(expected=0) as server:
        server.recipients = dict.fromkeys(("dba@example.org", "hanako@example.org"), "550 5.1.1 no such user")
        assert (await a_channel(server).send(a_letter())).outcome is Outcome.REFUSED
        server.recipients["hanako@example.org"] = "450 later"
        assert (await a_channel(server).send(a_letter())).outcome is Outcome.RETRY


def test_memory_of_who_has_it_is_bounded() -> None:
    """A thousand mails that are half taken are remembered, not more; the newest of them."""
    taken = Taken()
    for at in range(1500):
        taken.remember(str(at), frozenset({"dba@example.org"}))
    assert taken.by("1499") == {"dba@example.org"}
    assert taken.by("499") == frozenset()
    taken.forget("1499")
    assert taken.by("1499") == frozenset()
