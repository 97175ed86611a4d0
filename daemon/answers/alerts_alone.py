"""A test message without the daemon: the channel is opened here, tried once, and closed."""

import asyncio
from random import SystemRandom

from alerting.channels import open_channel
from alerting.channels.dashboard import DashboardSettings
from alerting.client import HttpWeb
from alerting.messages import Letter
from alerting.settings import DASHBOARD
from alerting.wording import words
from daemon.answers.asking import Asked
from daemon.duty.messages import test_notice as marked_notice
from toban.alerts import Delivery, Outcome
from toban.clock import Clock, SystemClock
from toban.errors import NotFoundError
from toban.language import Language


def send_alone(asked: Asked, name: str) -> Delivery:
    """One marked message, now; what comes of it."""
    return asyncio.run(_sent(asked, name, SystemClock()))


async def _sent(asked: Asked, name: str, clock: Clock) -> Delivery:
    configuration = asked.configuration
    written = {DASHBOARD: DashboardSettings(), **configuration.channels}
    if name not in written:
        raise NotFoundError(f"channel {name}", "none is called so", f"there are: {', '.join(written)}")
    settings = written[name]
    notice = marked_notice(name, configuration.node, clock.now(), SystemRandom())
    language = Language(settings.language or configuration.language)
    message = words(notice, language=language, node=configuration.node, zone=configuration.zone)
    channel = open_channel(name, settings, HttpWeb(), clock)
    try:
        async with asyncio.timeout(settings.timeout):
            return await channel.send(Letter(notice=notice, message=message, node=configuration.node))
    except TimeoutError:
        return Delivery(outcome=Outcome.RETRY, detail=f"no answer within {settings.timeout:g} s")
    finally:
        await channel.close()
