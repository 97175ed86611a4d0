"""The ways to reach people: one module a channel, its settings in the same file."""

from typing import Annotated, Any

from pydantic import Field

from alerting.channels.alertmanager import Alertmanager, AlertmanagerSettings
from alerting.channels.contract import Channel, ChannelSettings
from alerting.channels.dashboard import Dashboard, DashboardSettings
from alerting.channels.email import Email, EmailSettings
from alerting.channels.executing import Exec, ExecSettings
from alerting.channels.http import HttpSettings
from alerting.channels.pagerduty import PagerDuty, PagerDutySettings
from alerting.channels.slack import Slack, SlackSettings
from alerting.channels.teams import Teams, TeamsSettings
from alerting.channels.twilio import Twilio, TwilioSettings
from alerting.channels.webhook import Webhook, WebhookSettings
from alerting.web import TrustingWeb
from toban.clock import Clock
from toban.secrets import Secret

CHANNELS: tuple[type[Channel[Any]], ...] = (
    Email,
    Slack,
    Teams,
    PagerDuty,
    Twilio,
    Alertmanager,
    Webhook,
    Exec,
    Dashboard,
)
"""Every channel there is. A module that is not listed here does not exist."""

ChannelConfiguration = Annotated[
    EmailSettings
    | SlackSettings
    | TeamsSettings
    | PagerDutySettings
    | TwilioSettings
    | AlertmanagerSettings
    | WebhookSettings
    | ExecSettings
    | DashboardSettings,
    Field(discriminator="kind"),
]
"""One entry under `channels:`, told apart by its `kind`."""


def open_channel(name: str, settings: ChannelSettings, web: TrustingWeb, clock: Clock) -> Channel[Any]:
    """The channel that these settings are of, by the name that the operator gave it."""
    own = settings.ca if isinstance(settings, HttpSettings) else None
    channel = next(channel for channel in CHANNELS if channel.kind == settings.kind)
    return channel(name, settings, web=web if own is None else web.trusting(own), clock=clock)


def secrets_in(settings: ChannelSettings) -> tuple[Secret, ...]:
    """Every secret of a channel's settings, to be blotted out of whatever is logged."""
    return next(channel for channel in CHANNELS if channel.kind == settings.kind).secrets(settings)
