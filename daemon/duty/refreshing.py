"""What fires is told to Alertmanagers again and again: what they do not hear of, they take for over."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from alerting.channels.contract import Channel
from alerting.messages import Letter
from toban.alerts import Outcome

REFRESH_SECONDS: Final = 60.0
"""Between two looks whether a channel wants it."""
logger = structlog.get_logger(__name__)


async def refreshing(
    channels: Callable[[], Sequence[Channel[Any]]], standing: Callable[[Channel[Any]], Sequence[Letter]]
) -> None:
    """For ever; the channels are those of the moment, which a reload may have changed."""
    while True:
        beats = [channel.refresh_seconds for channel in channels() if channel.refresh_seconds > 0]
        await asyncio.sleep(min(beats, default=REFRESH_SECONDS))
        for channel in channels():
            if channel.refresh_seconds > 0:
                await _refresh(channel, standing)


async def _refresh(channel: Channel[Any], standing: Callable[[Channel[Any]], Sequence[Letter]]) -> None:
    try:
        async with asyncio.timeout(channel.settings.timeout):
            delivery = await channel.refresh(standing(channel))
        if delivery.outcome is not Outcome.SENT:
            logger.warning("not_refreshed", channel=channel.name, why=delivery.detail)
    except TimeoutError:
        logger.warning("not_refreshed", channel=channel.name, why="no answer in time")
    except Exception:  # one channel's fault keeps no other from being refreshed
        logger.exception("duty_fault")
