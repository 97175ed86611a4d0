"""The words for many alerts at once, and for a channel that cannot be reached."""

from collections import Counter
from collections.abc import Iterable

from alerting.escalation import ACTION
from alerting.lines import one_line
from alerting.messages import Message
from alerting.wording.telling import Telling, named
from toban.alerts import Alert, Notice, Severity, State
from toban.catalogue import say
from toban.units import value_text

WORST = 10
MOST_WHY_LETTERS = 300


def digest(telling: Telling, notices: Iterable[Notice]) -> Message:
    """How many of each severity, and the worst of them; each episode counts once, as it was told last."""
    alerts = _latest(notices) or [telling.alert]
    language, node = telling.language, one_line(telling.node)
    standing = Counter(alert.severity for alert in alerts if alert.open)
    worst = sorted(alerts, key=lambda alert: (not alert.open, -alert.severity.rank, alert.started_at))
    counts = {severity.value: standing[severity] for severity in Severity}
    over = len(alerts) - standing.total()
    heading = telling.severity(worst[0].severity)
    title = (
        say("alert.title.digest", language, worst=heading, node=node, count=len(alerts))
        if standing
        else say("alert.title.digest.over", language, node=node, count=len(alerts))
    )
    more = len(worst) - WORST
    return Message(
        what=telling.notice.what,
        severity=worst[0].severity,
        state=worst[0].state,
        language=language,
        title=telling.titled(title),
        summary=say("alert.summary.digest", language, **counts, resolved=over),
        facts=tuple(_line(telling, alert) for alert in worst[:WORST]),
        evidence=(say("alert.more", language, count=more),) if more > 0 else (),
        commands=("toban alerts",),
        footer=telling.footer(say("alert.footer.node", language, node=node)),
    )


def _latest(notices: Iterable[Notice]) -> list[Alert]:
    found: dict[str, Alert] = {}
    for notice in notices:
        before = found.get(notice.alert.episode)
        if before is None or before.sequence <= notice.alert.sequence:
            found[notice.alert.episode] = notice.alert
    return list(found.values())


def _line(telling: Telling, alert: Alert) -> tuple[str, str]:
    """`CRITICAL main` and `connections 97.0 %, since …`; of one that is over, only that it is."""
    language, target = telling.language, one_line(alert.key.target)
    value = value_text(alert.value, alert.unit, language)
    since = telling.at(alert.started_at)
    if not alert.open:
        return say("alert.named.over", language, target=target), named(alert)
    heading = say("alert.named", language, severity=telling.severity(alert.severity), target=target)
    return heading, say("alert.line", language, what=f"{named(alert)} {value}", since=since)


def undelivered(telling: Telling, notices: tuple[Notice, ...]) -> Message:
    """Which channel, why, how many wait, and the worst of what did not arrive."""
    language, node = telling.language, one_line(telling.node)
    channel, why = _trouble(telling, notices)
    if channel.startswith(ACTION):
        return _undone(telling, notices, channel.removeprefix(ACTION).replace(":", " ", 1), why)
    waiting = max(len(notices), 1)
    shown = sorted(_latest(notices) or [telling.alert], key=lambda alert: (-alert.severity.rank, alert.started_at))
    summary = say("alert.summary.undelivered", language, channel=channel, why=why, count=waiting)
    return Message(
        what=telling.notice.what,
        severity=shown[0].severity,
        state=State.FIRING,
        language=language,
        title=telling.titled(say("alert.title.undelivered", language, node=node, channel=channel)),
        summary=summary,
        facts=tuple(_line(telling, alert) for alert in shown[:WORST]),
        commands=(f"toban alerts test {channel}", "toban alerts"),
        footer=telling.footer(say("alert.footer.node", language, node=node)),
    )


def _undone(telling: Telling, notices: tuple[Notice, ...], action: str, why: str) -> Message:
    """It was to be done, not told: there is no channel to try, and somebody has to look what came of it."""
    language, node = telling.language, one_line(telling.node)
    alert, why = notices[0].alert if notices else telling.alert, why.removeprefix(f"{action}: ")
    return Message(
        what=telling.notice.what,
        severity=alert.severity,
        state=State.FIRING,
        language=language,
        title=telling.titled(say("alert.title.undone", language, node=node, action=action)),
        summary=say("alert.summary.undone", language, action=action, why=why),
        facts=(_line(telling, alert),),
        commands=(f"toban alerts show {alert.episode}",),
        footer=telling.footer(say("alert.footer.node", language, node=node)),
    )


def _trouble(telling: Telling, notices: tuple[Notice, ...]) -> tuple[str, str]:
    """The channel and the reason, as the notice names them, else as what waits does."""
    own = telling.notice
    channel = own.receipt.get("channel") or (notices[0].channel if notices else "?")
    why = own.detail or next((notice.detail for notice in notices if notice.detail), "")
    said = one_line(why, MOST_WHY_LETTERS).rstrip(".") or say("alert.undelivered.unknown", telling.language)
    return one_line(channel), said
