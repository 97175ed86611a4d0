"""Alerts, notices and letters with everything filled in, so that a test names only what it is about."""

from typing import Any
from zoneinfo import ZoneInfo

from alerting.messages import Letter, Message
from alerting.wording import words
from tests.builders import START
from toban.alerts import Alert, Key, Notice, Policy, Severity, State, Step, What
from toban.language import Language
from toban.samples import Unit

TOKYO = ZoneInfo("Asia/Tokyo")
NODE = "db1"
SINCE = "2026-11-18 20:06:40 +09:00"  # START, in Tokyo
POLICY = Policy(steps=(Step(after_seconds=900, channels=("slack",)), Step(after_seconds=1800, channels=("sms",))))
NASTY = (
    "<script>alert(1)</script>\r\nBcc: eve@example.org\u202egnp.exe <!channel> *x* =?utf-8?q?=0ABcc:_eve?= "
    "\x1b[31m\x00 \U0001f600 \u05e9\u05dc\u05d5\u05dd"
)


def an_alert(**changes: Any) -> Alert:  # noqa: ANN401 - any field of an alert
    """Connections that have run out for a minute, firing and critical."""
    fields: dict[str, Any] = {
        "key": Key("connections", "main"),
        "episode": "4f7k2m1x",
        "severity": Severity.CRITICAL,
        "state": State.FIRING,
        "value": 0.97,
        "unit": Unit.RATIO,
        "threshold": "> 95%",
        "metric": "pg_connections_used_ratio",
        "reason": "97 % > 95 % for 1 min",
        "started_at": START,
        "fired_at": START + 60,
        "changed_at": START + 60,
        "seen_at": START + 60,
        "sequence": 2,
        "runbook": "https://runbooks.example.org/connections",
        "policy": POLICY,
    }
    return Alert(**fields | changes)


def a_notice(alert: Alert | None = None, what: What = What.FIRED, **changes: Any) -> Notice:  # noqa: ANN401 - any field
    """That it fires, through `mail`, a minute after it began."""
    fields: dict[str, Any] = {
        "key": "0a1b2c3d" * 8,
        "channel": "mail",
        "what": what,
        "alert": alert or an_alert(),
        "created_at": START + 60,
    }
    return Notice(**fields | changes)


def a_message(notice: Notice | None = None, language: Language = Language.EN, **more: Any) -> Message:  # noqa: ANN401 - any argument of words
    """What a notice says, in Tokyo, on db1."""
    return words(notice or a_notice(), language=language, node=NODE, zone=TOKYO, **more)


def a_letter(notice: Notice | None = None, message: Message | None = None, **changes: Any) -> Letter:  # noqa: ANN401 - any field
    """What a channel is given for it."""
    told = notice or a_notice()
    return Letter(notice=told, message=message or a_message(told), node=NODE, **changes)
