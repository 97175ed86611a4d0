"""`toban alerts test|drill`: really sends, and shows the receipts."""

from collections.abc import Callable
from urllib.parse import quote

from daemon.answers.alerts_story import receipt_text
from daemon.answers.alerts_telling import tell, tell_line_by_line
from daemon.answers.asking import Asked, listens
from daemon.answers.printing import console, plain, print_json
from daemon.asked_alerts import severity_asked
from daemon.documents import Document
from daemon.documents_alerts import delivery_document
from toban.alerts import Delivery, What
from toban.catalogue import say
from toban.language import Language
from toban.units import seconds_text

SENT = "sent"
TEST_SECONDS = 120.0  # a channel's own timeout ends it sooner
RUNG_SECONDS = 300.0
SendAlone = Callable[[Asked, str], Delivery]


def try_channel(asked: Asked, *, channel: str, as_json: bool, alone: SendAlone | None = None) -> int:
    """One marked message, by the running daemon, else by ourselves; 1 when it did not go out."""
    if listens(asked.configuration.socket_path):
        done = tell(asked, f"/api/v1/alerts/test/{quote(channel, safe='')}", {}, seconds=TEST_SECONDS)
    else:
        done = delivery_document(channel, (alone or _alone)(asked, channel))
    if as_json:
        print_json(done)
    else:
        console().print(plain(_sentence(done, asked.language)), soft_wrap=True)
    return 0 if done["outcome"] == SENT else 1


def _alone(asked: Asked, channel: str) -> Delivery:
    from daemon.answers.alerts_alone import send_alone  # noqa: PLC0415 - every channel with its libraries, for this alone

    return send_alone(asked, channel)


def drill(asked: Asked, *, severity: str, as_json: bool) -> int:
    """Each rung of the ladder through its real channels; 1 when one did not go out."""
    severity_asked(severity)
    language, out = asked.language, console()
    found: list[Document] = []
    if not as_json:
        out.print(say("drill.begins", language, severity=say(f"alerts.severity.{severity}", language)))
    for one in tell_line_by_line(asked, "/api/v1/alerts/drill", {"severity": severity}, seconds=RUNG_SECONDS):
        found.append(one)
        if not as_json:
            out.print(_rung(one, language), soft_wrap=True)
    failed = [one for one in found if not one["ok"]]
    if as_json:
        print_json(found)
    elif not found:
        out.print(say("drill.nobody", language))
    else:
        out.print(say("drill.failed" if failed else "drill.done", language, count=len(failed), sent=len(found)))
    return 0 if found and not failed else 1


def _rung(one: Document, language: Language) -> str:
    """`level 1 (after 15 min)  slack  sent in 210 ms: ts 17…`."""
    after = seconds_text(one["after_seconds"], language) if one["after_seconds"] else ""
    level = say("drill.level", language, level=one["level"], after=after) if after else _without_level(one, language)
    style = "green" if one["ok"] else "bold red"
    took = seconds_text(one["took_seconds"], language)
    said = plain(_sentence(one, language))
    return f"{plain(level)}  [{style}]{said}[/] [dim]({took})[/]"


def _without_level(one: Document, language: Language) -> str:
    return say("drill.first", language) if one["what"] == What.FIRED else say("drill.over", language)


def _sentence(done: Document, language: Language) -> str:
    told = (receipt_text(done["receipt"], done["detail"]) if done["outcome"] == SENT else done["detail"]) or "–"  # noqa: RUF001 - a dash, as tables have it
    key = "test.sent" if done["outcome"] == SENT else "test.failed"
    return say(key, language, channel=done["channel"], told=told)
