"""The letter that always can be written: plain words, in English, of what the notice itself says."""

from collections.abc import Sequence

from alerting.messages import Letter, Message
from toban.alerts import Notice
from toban.language import Language

MOST_LINES = 20


def plain(notice: Notice, members: Sequence[Notice]) -> Letter:
    """For when the proper one fails: an alert is never dropped for its wording."""
    alert = notice.alert
    named = f"{alert.severity.upper()} {alert.key.text}"
    shown = tuple((one.alert.severity.value, one.alert.key.text) for one in members[:MOST_LINES])
    message = Message(
        what=notice.what,
        severity=alert.severity,
        state=alert.state,
        language=Language.EN,
        title=f"{notice.what}: {len(members)} alerts, the worst {named}" if members else f"{notice.what}: {named}",
        summary=f"{alert.metric or alert.key.rule} = {alert.value:.6g} {alert.unit} ({alert.threshold}) {alert.reason}",
        facts=shown,
        runbook=alert.runbook,
        commands=(f"toban alerts show {alert.episode}",),
        footer=f"{alert.episode}{' possible repeat' if notice.perhaps_sent else ''}",
    )
    return Letter(notice=notice, message=message, node="", digest=tuple(members))
