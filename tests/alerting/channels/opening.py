"""Channels out of settings as YAML has them, for tests."""

from typing import Any

from pydantic import ConfigDict, TypeAdapter

from alerting.channels import ChannelConfiguration, open_channel
from alerting.channels.contract import Channel, ChannelSettings
from alerting.client import HttpWeb
from alerting.messages import Message
from tests.builders import ManualClock
from toban.alerts import Severity, State, What
from toban.config import WRITTEN
from toban.language import Language

ADAPTER: TypeAdapter[ChannelSettings] = TypeAdapter(ChannelConfiguration, config=ConfigDict(hide_input_in_errors=True))


def settings_of(**written: Any) -> ChannelSettings:  # noqa: ANN401 - as YAML has them
    """The settings of one channel."""
    return ADAPTER.validate_python(written, context=WRITTEN)


def opened(clock: ManualClock | None = None, **written: Any) -> Channel[Any]:  # noqa: ANN401 - as YAML has them
    """The channel of these settings, on the real web."""
    return open_channel("work", settings_of(**written), HttpWeb(), clock or ManualClock())


def revealed(settings: ChannelSettings, channel: Channel[Any]) -> tuple[str, ...]:
    """Every secret of the settings."""
    return tuple(secret.reveal() for secret in channel.secrets(settings))


def a_full_message(text: str, language: Language = Language.EN) -> Message:
    """Everything in it is this text."""
    return Message(
        what=What.FIRED,
        severity=Severity.CRITICAL,
        state=State.FIRING,
        language=language,
        title=text,
        summary=text,
        facts=((text, text),) * 30,
        evidence=(text,) * 30,
        commands=(text,) * 30,
        runbook=text,
        acknowledge_url=text,
        footer=text,
    )
