"""The mail channel towards a server of a test."""

from typing import Any

from alerting.channels.email import Email
from tests.alerting.channels.opening import opened
from tests.alerting.mail_servers import Server
from tests.builders import START, ManualClock

TO = ("dba@example.org", "Hanako <hanako@example.org>")


def a_channel(server: Server, **more: Any) -> Email:  # noqa: ANN401 - as YAML has them
    """The channel towards a server, in the clear where nothing else is said."""
    written: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "tls": "none", "timeout": "5s"}
    written |= {"from": "toban@example.org", "to": list(TO)}
    channel = opened(ManualClock(now=START + 90), kind="email", **written | more)
    assert isinstance(channel, Email)
    return channel
