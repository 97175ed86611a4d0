"""Acknowledge links: what a message's link opens. Looking changes nothing, since mail scanners look; the button does.

Who holds a link needs no session: its token is signed, is good for one alert alone, and expires.
"""

import base64
import hashlib
import re
from enum import Enum
from html import escape
from http import HTTPStatus
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from daemon.asked_alerts import who_asked, words_asked
from daemon.documents import stamp
from daemon.http.bodies import body_of
from daemon.world import World
from toban.alerts import Alert, Severity, State
from toban.catalogue import say
from toban.errors import TobanError, UsageError
from toban.language import Language
from toban.printable import printable
from toban.units import seconds_text, value_text

PAGE = Template((Path(__file__).parent / "acknowledge.html").read_text(encoding="utf-8"))
STYLE = (Path(__file__).parent / "acknowledge.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "referrer-policy": "no-referrer",  # the address is the permission
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
}
_PREFERENCE = re.compile(r"([A-Za-z]{1,8})(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?))?")


class Refusal(Enum):
    """Why there is no alert to show, and how the page is answered."""

    UNKNOWN = HTTPStatus.NOT_FOUND
    EXPIRED = HTTPStatus.GONE
    OVER = HTTPStatus.OK
    CLOSED = HTTPStatus.SERVICE_UNAVAILABLE


class Acknowledging:
    """The page behind a link, and its button."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def show(self, request: Request) -> Response:
        """What is wrong, and a button. Nothing is changed."""
        language = language_of(request.headers.get("accept-language", ""))
        found = self._found(request)
        if isinstance(found, Alert):
            return self._page(found, language)
        return _refused(found, language)

    async def take(self, request: Request) -> Response:
        """The button: whoever it was is at it now. Then the page again, so that a reload asks nothing."""
        language = language_of(request.headers.get("accept-language", ""))
        found = self._found(request)
        if not isinstance(found, Alert):
            return _refused(found, language)
        duty = self.world.duty
        assert duty is not None  # noqa: S101 - else nothing would have been found
        try:
            fields = parse_qs((await body_of(request)).decode(errors="replace"), max_num_fields=10)
            who = who_asked(fields.get("who", [""])[0])
            note = words_asked("note", fields.get("note", [""])[0])
        except (UsageError, ValueError):
            return self._page(found, language, wrong=say("link.who_wrong", language), status=HTTPStatus.BAD_REQUEST)
        if found.state in (State.PENDING, State.FIRING):
            try:
                await duty.acknowledge(found.episode, who=who, note=note, for_seconds=None)
            except TobanError as error:
                return self._page(found, language, wrong=error.why, status=HTTPStatus.CONFLICT)
        return RedirectResponse(request.path_params["token"], HTTPStatus.SEE_OTHER, headers=HEADERS)

    def _found(self, request: Request) -> Alert | Refusal:
        """The alert that the link is for, or what keeps us from it."""
        duty = self.world.duty
        if duty is None:
            return Refusal.CLOSED
        link = duty.links.read(request.path_params["token"], self.world.clock.now())
        if link is None:
            return Refusal.UNKNOWN
        if link.expired:
            return Refusal.EXPIRED
        return next((one for one in duty.active() if one.episode == link.episode and one.open), Refusal.OVER)

    def _page(
        self, alert: Alert, language: Language, *, wrong: str = "", status: HTTPStatus = HTTPStatus.OK
    ) -> Response:
        badge = say(f"alerts.severity.{alert.severity}", language)
        labels = ", ".join(f"{name}={value}" for name, value in alert.key.labels)
        threshold = say("link.against", language, threshold=alert.threshold)
        content = [
            f'<span class="badge">{_safe(badge)}</span>',
            f"<h1>{_safe(alert.key.rule)}</h1>",
            f'<p class="where">{_safe(alert.key.target)}{_safe(f" · {labels}" if labels else "")}</p>',
            f'<p class="value">{_safe(value_text(alert.value, alert.unit, language))}</p>',
            f'<p class="against">{_safe(threshold)}</p>' if alert.threshold else "",
            "<dl>",
            *(f"<dt>{_safe(name)}</dt><dd>{_linked(text)}</dd>" for name, text in self._facts(alert, language)),
            "</dl>",
            f'<p class="wrong" role="alert">{_safe(wrong)}</p>' if wrong else "",
            *self._ending(alert, language),
        ]
        return _answer(f"{badge}: {alert.key.rule}", content, alert.severity, language, status)

    def _facts(self, alert: Alert, language: Language) -> list[tuple[str, str]]:
        zone, now = self.world.zone, self.world.clock.now()
        age = seconds_text(max(0.0, now - alert.started_at), language)
        facts = [
            (say("link.since", language), f"{stamp(alert.started_at, zone)} ({age})"),
            (say("link.state", language), say(f"alerts.state.{alert.state}", language)),
            (say("link.level", language), str(alert.level) if alert.level else ""),
            (say("link.muted", language), alert.muted),
            (say("link.test", language), say("link.test_why", language) if alert.test else ""),
            (say("link.runbook", language), alert.runbook),
            (say("link.episode", language), alert.episode),
        ]
        return [(name, text) for name, text in facts if text]

    def _ending(self, alert: Alert, language: Language) -> list[str]:
        """The form; or who was quicker."""
        if alert.state is State.ACKNOWLEDGED:
            at = stamp(alert.acknowledged_at, self.world.zone) or ""
            done = say("link.done", language, who=alert.acknowledged_by, at=at)
            return [f'<p class="done">{_safe(done)}</p>', f"<p>{_safe(alert.note)}</p>" if alert.note else ""]
        return [
            '<form method="post" accept-charset="utf-8">',
            f"<label><span>{_safe(say('link.who', language))}</span>",
            '<input name="who" required maxlength="80" autocomplete="name" autocapitalize="words"></label>',
            f"<label><span>{_safe(say('link.note', language))}</span>",
            '<input name="note" maxlength="500" autocomplete="off"></label>',
            f"<button>{_safe(say('link.button', language))}</button>",
            "</form>",
        ]


def language_of(accepted: str) -> Language:
    """What the reader's browser likes best of our two languages."""
    wishes = [(float(found[2] or 1), found[1].lower()) for found in _PREFERENCE.finditer(accepted[:200])]
    liked = [(weight, name) for weight, name in wishes if name in set(Language) and weight > 0]
    return Language(max(liked, key=lambda wish: wish[0])[1]) if liked else Language.EN


def _refused(why: Refusal, language: Language) -> Response:
    content = [
        f"<h1>{_safe(say(f'link.{why.name.lower()}', language))}</h1>",
        f"<p>{_safe(say(f'link.{why.name.lower()}_why', language))}</p>",
    ]
    return _answer("Toban", content, None, language, why.value)


def _answer(
    title: str, content: list[str], severity: Severity | None, language: Language, status: HTTPStatus
) -> Response:
    page = PAGE.substitute(
        language=language,
        title=_safe(title),
        style=STYLE,
        severity=severity or "none",
        content="\n".join(filter(None, content)),
    )
    return Response(page, status, HEADERS, "text/html")


def _linked(text: str) -> str:
    """A runbook on the web can be touched; anything else is text."""
    safe = _safe(text)
    return f'<a href="{safe}" rel="noreferrer">{safe}</a>' if text.startswith("https://") else safe


def _safe(text: str) -> str:
    """Foreign text as text: no markup, and nothing that turns the reading direction."""
    return escape(printable(text))
