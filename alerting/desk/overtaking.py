"""What need not be told any more: asked just before each send. Pure."""

from typing import Final

from toban.alerts import Alert, Data, Notice, State, What

_ALWAYS: Final = frozenset({What.RESOLVED, What.DIGEST, What.UNDELIVERED, What.TEST})
_BESIDES: Final = frozenset({What.ACKNOWLEDGED, What.ACTION, What.NO_DATA})  # said or done although somebody is at it


def overtaken(notice: Notice, alert: Alert | None) -> str:
    """Why a notice need not be sent, as its alert is now (None: it is over); empty where it must."""
    if notice.alert.test or notice.what in _ALWAYS:
        return ""
    if alert is None:
        return "resolved meanwhile"
    if alert.state is State.ACKNOWLEDGED and notice.what not in _BESIDES:
        return f"acknowledged by {alert.acknowledged_by} meanwhile"
    if notice.what is What.ACKNOWLEDGED and alert.state is not State.ACKNOWLEDGED:
        return "the acknowledgement has lapsed meanwhile"
    if notice.what is What.NO_DATA and alert.data is Data.OK:
        return "it is heard of again"
    return ""
