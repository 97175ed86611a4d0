"""A drill: the ladder walked through the real channels with a marked alert, compressed in time, with its receipts."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from alerting import escalation, lifecycle
from alerting.episodes import minted
from toban.alerts import Alert, Delivery, Key, Notice, Outcome, Policy, Severity, State, What
from toban.clock import Clock

RULE: Final = "drill"
SEND_SECONDS: Final = 60.0  # a channel's own bound is shorter
PAUSE_SECONDS: Final = 1.0  # from rung to rung

Send = Callable[[Notice], Awaitable[Delivery]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One message of a drill, and what became of it. `after_seconds` is when it would have gone out in earnest."""

    step: int
    what: What
    after_seconds: float
    channel: str
    delivery: Delivery


async def drilled(
    policy: Policy,
    *,
    severity: Severity,
    target: str,
    send: Send,
    clock: Clock,
    random: Random,
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> AsyncGenerator[Rung, None]:
    """Fire, climb every rung that this severity climbs, resolve; each message as soon as its receipt is there."""
    alert = _alert(policy, severity, target, clock.now(), random)
    rungs = [(n, step.after_seconds) for n, step in enumerate(policy.steps, 1) if step.climbs(severity)]
    course = [(0, 0.0, What.FIRED), *((n, after, What.ESCALATED) for n, after in rungs), (0, 0.0, What.RESOLVED)]
    for step, after, what in course:
        now = clock.now()
        over = what is What.RESOLVED
        stepped = lifecycle.resolved(alert, now, "the drill is over") if over else lifecycle.step(alert, now, what, "")
        alert, notices = escalation.told(stepped.alert, what, now=now, step=step)
        messages = [notice for notice in notices if notice.what is not What.ACTION]
        deliveries = await asyncio.gather(*(_sent(send, notice) for notice in messages))
        for notice, delivery in zip(messages, deliveries, strict=True):
            yield Rung(step=step, what=what, after_seconds=after, channel=notice.channel, delivery=delivery)
        if not over:
            await pause(PAUSE_SECONDS)


async def _sent(send: Send, notice: Notice) -> Delivery:
    """One receipt; a channel that hangs or fails has one too."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            return await send(notice)
    except TimeoutError:
        return Delivery(outcome=Outcome.RETRY, detail=f"no answer within {SEND_SECONDS:.0f} s")


def _alert(policy: Policy, severity: Severity, target: str, now: float, random: Random) -> Alert:
    return Alert(
        key=Key(RULE, target),
        episode=minted(random, taken=lambda _: False),
        severity=severity,
        state=State.FIRING,
        value=1.0,
        threshold="> 0",
        reason="a drill: nothing is wrong",
        started_at=now,
        fired_at=now,
        changed_at=now,
        seen_at=now,
        policy=policy,
        test=True,
    )
