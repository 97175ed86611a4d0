"""Claims about the channel that is always there: the last alerts, once each, and news as soon as there is any."""

import asyncio
from typing import cast

import pytest

from alerting.channels.dashboard import MOST_SHOWN, Dashboard
from tests.alerting.channels.opening import opened
from tests.alerting.letters import a_letter, a_notice
from tests.builders import START, ManualClock
from toban.alerts import Outcome


def a_dashboard() -> Dashboard:
    """With nothing on it."""
    return cast("Dashboard", opened(ManualClock(now=START), kind="dashboard"))


async def test_dashboard_shows_the_latest_first() -> None:
    """Each letter is shown, with its moment and its number."""
    dashboard = a_dashboard()
    for key in ("a", "b"):
        assert (await dashboard.send(a_letter(a_notice(key=key)))).outcome is Outcome.SENT
    assert [(one.number, one.at, one.letter.key) for one in dashboard.shown] == [(2, START, "b"), (1, START, "a")]


async def test_dashboard_shows_a_letter_once() -> None:
    """A retry, or a restart of the outbox, doubles nothing."""
    dashboard = a_dashboard()
    for _ in range(3):
        await dashboard.send(a_letter())
    assert len(dashboard.shown) == 1


async def test_dashboard_is_bounded() -> None:
    """A storm leaves the last five hundred."""
    dashboard = a_dashboard()
    for at in range(MOST_SHOWN + 100):
        await dashboard.send(a_letter(a_notice(key=str(at))))
    assert (len(dashboard.shown), dashboard.shown[0].letter.key) == (500, "599")


async def test_dashboard_tells_its_followers() -> None:
    """Whoever follows is woken by news, gets what came after what it knows, and waits where there is none."""
    dashboard = a_dashboard()
    follower = asyncio.create_task(dashboard.later())
    await asyncio.sleep(0)
    await dashboard.send(a_letter())
    assert [one.number for one in await follower] == [1]
    await dashboard.send(a_letter(a_notice(key="b")))
    assert [one.number for one in await dashboard.later(1)] == [2]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(dashboard.later(2), 0.01)
