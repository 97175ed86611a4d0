"""The alert of the demonstration: a real queue for a lock, told to a real receiver, acknowledged, and over again."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from daemon.demo.acts import Act, typed
from daemon.demo.receiver import Heard, Receiver
from toban.language import Language
from toban.units import seconds_text

RULE = "blocked_sessions"
FIRES_WITHIN_SECONDS = 60.0
ACKNOWLEDGE_SECONDS = 20.0
ANSWERED_WITHIN_SECONDS = 20.0
OVER_WITHIN_SECONDS = 60.0


async def alarmed(receiver: Receiver, config: Path, language: Language, clock: Callable[[], float]) -> list[Act]:
    """Wait for the alert, acknowledge it as a person would, from the terminal, and wait until it is over."""
    begun = clock()
    fired = await _heard(receiver, lambda one: one.rule == RULE and one.status == "firing", FIRES_WITHIN_SECONDS)
    if fired is None:
        return [Act(key="demo.alert.fired", done=False)]
    took = seconds_text(clock() - begun, language)
    acts = [Act(key="demo.alert.fired", done=True, detail=f"{fired.title} ({took})")]
    words = ("alerts", "ack", fired.episode, "--note", "demo")
    asked = await typed(config, *words, within_seconds=ACKNOWLEDGE_SECONDS)
    answered = await _heard(
        receiver, lambda one: one.episode == fired.episode and one.status == "acknowledged", ANSWERED_WITHIN_SECONDS
    )
    done = asked.status == 0 and answered is not None
    acts.append(Act(key="demo.alert.acknowledged", done=done, detail=fired.episode if done else asked.complaint))
    over = await _heard(
        receiver, lambda one: one.episode == fired.episode and one.status == "resolved", OVER_WITHIN_SECONDS
    )
    acts.append(Act(key="demo.alert.resolved", done=over is not None, detail=over.title if over else ""))
    return acts


async def _heard(receiver: Receiver, fits: Callable[[Heard], bool], within_seconds: float) -> Heard | None:
    try:
        async with asyncio.timeout(within_seconds):
            while True:
                found = next((one for one in receiver.heard if fits(one)), None)
                if found is not None:
                    return found
                receiver.stirred.clear()
                await receiver.stirred.wait()
    except TimeoutError:
        return None
