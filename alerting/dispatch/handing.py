"""Handing a letter to a channel: within its time, and whatever the channel does, the answer is a delivery."""

import asyncio
from typing import Any

import structlog

from alerting.channels.contract import Channel
from alerting.messages import Letter
from toban.alerts import Delivery, Outcome

FAULT = "a fault of the channel's own"

logger = structlog.get_logger(__name__)


async def handed(channel: Channel[Any], letter: Letter) -> Delivery:
    """One attempt. A channel that heeds no cancellation is left behind."""
    within = channel.settings.timeout
    sending = asyncio.create_task(channel.send(letter))
    try:
        done, _ = await asyncio.wait({sending}, timeout=within)
    finally:
        sending.cancel()
    if not done:
        sending.add_done_callback(_heard)
        return Delivery(outcome=Outcome.RETRY, detail=f"no answer within {within:g} s", unsure=True)
    try:
        return sending.result()
    except TimeoutError:
        return Delivery(outcome=Outcome.RETRY, detail="no answer in time", unsure=True)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a channel's fault must not end its post
        logger.error("channel_fault", channel=channel.name, error=type(error).__name__)  # noqa: TRY400 - its text may hold a secret
        return Delivery(outcome=Outcome.RETRY, detail=f"{FAULT}: {type(error).__name__}", unsure=True)


def _heard(task: "asyncio.Task[Delivery]") -> None:
    """An answer that came too late is not an exception that nobody has looked at."""
    if not task.cancelled():
        task.exception()
