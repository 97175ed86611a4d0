"""`toban alerts ack|resolve|silence|unsilence|mark|retry`: asked of the running daemon, which alone changes them."""

from collections.abc import Sequence
from urllib.parse import quote

from daemon.answers.alerts_past import match_text
from daemon.answers.alerts_telling import myself, tell
from daemon.answers.asking import Asked
from daemon.answers.printing import console, plain, print_json
from daemon.asked_alerts import matches_asked, silence_asked, span_asked, verdict_asked, who_asked, words_asked
from daemon.documents import Document
from daemon.documents_alerts import matched
from toban.catalogue import say
from toban.clock import Clock, SystemClock
from toban.errors import UsageError


def acknowledge(
    asked: Asked, *, alert: str, note: str, length: str | None, who: str | None, as_json: bool = False
) -> int:
    """Somebody is at it."""
    span_asked("--for", length)
    body = {"note": words_asked("--note", note), "for": length, "who": who_asked(myself(who))}
    done = tell(asked, f"/api/v1/alerts/{quote(alert, safe='')}/ack", body)
    key = "alerts.acknowledged_until" if done["acknowledged_until"] else "alerts.acknowledged"
    words = {"id": done["id"], "what": done["summary"], "who": done["acknowledged_by"]}
    return _said(done, say(key, asked.language, **words, at=done["acknowledged_until"] or ""), as_json=as_json)


def resolve(asked: Asked, *, alert: str, note: str, who: str | None, as_json: bool = False) -> int:
    """Over, says a person, and why."""
    body = {"note": words_asked("--note", note, needed=True), "who": who_asked(myself(who))}
    done = tell(asked, f"/api/v1/alerts/{quote(alert, safe='')}/resolve", body)
    said = say("alerts.resolved", asked.language, id=done["id"], what=done["summary"])
    return _said(done, said, as_json=as_json)


def mark(asked: Asked, *, alert: str, verdict: str, who: str | None, as_json: bool = False) -> int:
    """Real or false, for the review."""
    body = {"verdict": verdict_asked(verdict), "who": who_asked(myself(who))}
    done = tell(asked, f"/api/v1/alerts/{quote(alert, safe='')}/mark", body)
    return _said(done, say(f"alerts.marked.{verdict}", asked.language, id=done["id"]), as_json=as_json)


def silence(  # noqa: PLR0913 - an option each
    asked: Asked,
    *,
    match: Sequence[str],
    length: str | None,
    begins: str | None,
    until: str | None,
    cron: str | None,
    why: str,
    who: str | None,
    as_json: bool = False,
    clock: Clock | None = None,
) -> int:
    """Tell nobody of what matches. Whatever is wrong with it is said before anybody is asked."""
    pairs = matches_asked(match)
    zone, now = asked.configuration.zone, (clock or SystemClock()).now()
    silence_asked(match=pairs, length=length, begins=begins, until=until, cron=cron, why=why, now=now, zone=zone)
    body = {"match": matched(pairs), "for": length, "from": begins, "until": until, "cron": cron, "why": why}
    done = tell(asked, "/api/v1/silences", body | {"who": who_asked(myself(who))})
    what = match_text(done["match"], asked.language)
    said = say("silence.made", asked.language, id=done["id"], what=what, until=done["ends_at"])
    return _said(done, said, as_json=as_json)


def end_silence(asked: Asked, *, silence: str, who: str | None, as_json: bool = False) -> int:
    """Tell of it again."""
    path = f"/api/v1/silences/{quote(silence, safe='')}"
    done = tell(asked, path, {"who": who_asked(myself(who))}, method="DELETE")
    return _said(done, say("silence.over", asked.language, id=done["id"]), as_json=as_json)


def retry(asked: Asked, *, key: str | None, every: bool, as_json: bool = False) -> int:
    """Dead letters get another life; 1 when there was none."""
    if (key is None) == (not every):
        raise UsageError("retry", "name a KEY, or say --all", "toban alerts dead lists them")
    done = tell(asked, "/api/v1/alerts/retry", {"key": key})
    _said(done, say("dead.retried", asked.language, count=done["retried"]), as_json=as_json)
    return 0 if done["retried"] else 1


def _said(document: Document, sentence: str, *, as_json: bool) -> int:
    if as_json:
        print_json(document)
    else:
        console().print(plain(sentence), soft_wrap=True)
    return 0
