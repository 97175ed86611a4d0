import asyncio
from dataclasses import replace
from random import Random

import pytest

from alerting.desk import Rung, drilled
from tests.alerting.builders import POLICY, with_policy
from tests.builders import ManualClock
from toban.alerts import Action, Delivery, Notice, Outcome, Policy, Severity, State, What

RANDOM = Random(1)  # noqa: S311 - names that are the same in each run


async def walked(policy: Policy, severity: Severity, sent: list[Notice]) -> list[Rung]:
    """A whole drill, without its pauses; sms hangs, and slack refuses."""

    async def send(notice: Notice) -> Delivery:
        sent.append(notice)
        if notice.channel == "sms":
            raise TimeoutError
        refuses = notice.channel == "slack"
        return Delivery(outcome=Outcome.REFUSED if refuses else Outcome.SENT, receipt={"id": notice.key[:4]})

    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    rungs = drilled(
        policy, severity=severity, target="main", send=send, clock=ManualClock(), random=RANDOM, pause=pause
    )
    found = [rung async for rung in rungs]
    assert pauses == [1.0] * len({(rung.what, rung.step) for rung in found if rung.what is not What.RESOLVED})
    return found


async def test_drill_walks_the_ladder_and_shows_the_receipts() -> None:
    """First channels, every rung, the all-clear to all of them; what fails is shown too."""
    sent: list[Notice] = []
    rungs = await walked(POLICY, Severity.CRITICAL, sent)
    assert [(rung.what, rung.step, rung.after_seconds, rung.channel) for rung in rungs] == [
        (What.FIRED, 0, 0, "mail"),
        (What.FIRED, 0, 0, "pager"),
        (What.ESCALATED, 1, 900, "slack"),
        (What.ESCALATED, 2, 1800, "sms"),
        (What.ESCALATED, 3, 3600, "voice"),
        *((What.RESOLVED, 0, 0, channel) for channel in ("mail", "pager", "slack", "sms", "voice")),
    ]
    outcomes = {rung.channel: rung.delivery.outcome for rung in rungs}
    assert (outcomes["slack"], outcomes["sms"], outcomes["voice"]) == (Outcome.REFUSED, Outcome.RETRY, Outcome.SENT)
    assert rungs[3].delivery.detail == "no answer within 60 s"
    assert rungs[0].delivery.receipt == {"id": sent[0].key[:4]}


async def test_drill_is_marked_and_does_nothing_but_tell() -> None:
    """A test alert in every message; no action is carried out for a drill."""
    sent: list[Notice] = []
    policy = with_policy(actions={Severity.WARNING: (Action(kind="command", name="note"),)})
    await walked(policy, Severity.WARNING, sent)
    assert all(notice.alert.test for notice in sent)
    assert all(notice.what is not What.ACTION for notice in sent)
    assert len({notice.key for notice in sent}) == len(sent)
    assert (sent[0].alert.state, sent[-1].alert.state) == (State.FIRING, State.RESOLVED)


async def test_drill_passes_by_rungs_for_other_severities() -> None:
    """A warning's drill wakes nobody who is only for critical alerts."""
    steps = tuple(replace(step, severities=(Severity.CRITICAL,)) for step in POLICY.steps)
    rungs = await walked(with_policy(steps=steps), Severity.WARNING, [])
    assert [(rung.what, rung.channel) for rung in rungs] == [(What.FIRED, "mail"), (What.RESOLVED, "mail")]


async def test_drill_bounds_a_channel_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a channel does, the drill goes on."""
    monkeypatch.setattr("alerting.desk.drill.SEND_SECONDS", 0.01)
    policy = with_policy(steps=(), first={Severity.WARNING: ("mail",)})

    async def hang(notice: Notice) -> Delivery:
        await asyncio.Event().wait()
        raise AssertionError(notice)

    rungs = drilled(policy, severity=Severity.WARNING, target="main", send=hang, clock=ManualClock(), random=RANDOM)
    first = await anext(rungs)
    assert (first.delivery.outcome, first.channel) == (Outcome.RETRY, "mail")
    await rungs.aclose()
