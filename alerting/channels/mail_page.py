"""The HTML of a mail: readable on a telephone at night, dark or light, without a picture or anything fetched.

Styles stand inline, since many readers keep no others; the style sheet only turns colours for a dark screen.
"""

from collections.abc import Iterator
from html import escape
from typing import Final

from alerting.channels.fitting import fitted, is_link
from alerting.messages import Letter, Message
from toban.alerts import Severity, State, What
from toban.catalogue import say

MOST_FACTS: Final = 24
MOST_LINES: Final = 12
MOST_LETTERS: Final = 2000
_COLOURS = {Severity.CRITICAL: "#b3261e", Severity.WARNING: "#8a5300", Severity.INFO: "#1f5fa8"}
_LISTS = frozenset({What.DIGEST, What.UNDELIVERED})  # their facts are alerts
_OVER = "#1b6e3c"
_HELD = "#4a5568"
_FONT = (
    "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,'Hiragino Sans','Noto Sans JP','Noto Sans CJK JP',"
    "'Yu Gothic UI',Meiryo,Helvetica,Arial,sans-serif"
)
_CODE = "ui-monospace,SFMono-Regular,Menlo,Consolas,'Noto Sans Mono CJK JP',monospace"
_DARK = (
    ":root{color-scheme:light dark;supported-color-schemes:light dark}"
    "@media (prefers-color-scheme:dark){"
    ".page{background:#15181c!important}.card{background:#20252b!important;border-color:#39414a!important}"
    ".ink{color:#f1f3f5!important}.faint{color:#aab4be!important}"
    ".code{background:#15181c!important;color:#dfe5ea!important;border-color:#39414a!important}"
    ".line{border-color:#39414a!important}.link{color:#8ab8f0!important}}"
)
_BREAK = "overflow-wrap:anywhere;word-break:break-word"
_CELL = f"padding:7px 0;border-top:1px solid #e6e9ec;vertical-align:top;{_BREAK}"


def page(letter: Letter) -> str:
    """The whole document."""
    message = letter.message
    parts = (_head(message), _button(message), _facts(message), _evidence(message), *_links(letter), _commands(message))
    blocks = "".join(parts)
    return (
        f'<!doctype html><html lang="{message.language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">'
        f"<title>{_text(message.title)}</title><style>{_DARK}</style></head>"
        f'<body class="page" style="margin:0;padding:0;background:#eef0f2;font-family:{_FONT}">'
        f'<div style="display:none;max-height:0;overflow:hidden">{_text(message.summary)}</div>'
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr>'
        '<td class="page" align="center" style="padding:12px 8px;background:#eef0f2">'
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" class="card" '
        'style="max-width:600px;background:#ffffff;border:1px solid #d8dde2;border-radius:10px;'
        'border-collapse:separate;overflow:hidden;text-align:left">'
        f'{_band(message)}<tr><td style="padding:16px 18px 18px">{blocks}{_foot(message)}</td></tr></table>'
        "</td></tr></table></body></html>"
    )


def colour(message: Message) -> str:
    """Of the band on top: over is green, held is grey, else by severity."""
    if message.state is State.RESOLVED:
        return _OVER
    return _HELD if message.what in (What.ACKNOWLEDGED, What.TEST) else _COLOURS[message.severity]


def _band(message: Message) -> str:
    return (
        f'<tr><td style="background:{colour(message)};padding:16px 18px;color:#ffffff;font-size:20px;line-height:1.3;'
        f'font-weight:700;{_BREAK}" dir="auto">{_text(message.title)}</td></tr>'
    )


def _head(message: Message) -> str:
    style = f"margin:0 0 12px;font-size:17px;line-height:1.5;color:#1b1f23;{_BREAK}"
    return f'<p class="ink" dir="auto" style="{style}">{_text(message.summary)}</p>'


def _facts(message: Message) -> str:
    """Two columns for short labels; a list of alerts, as a digest has, one below the other."""
    if not message.facts:
        return ""
    row = _stacked if message.what in _LISTS else _row
    rows = "".join(row(*fact) for fact in message.facts[:MOST_FACTS])
    return (
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" '
        f'style="margin:0 0 14px;font-size:15px;line-height:1.45">{rows}</table>'
    )


def _row(name: str, value: str) -> str:
    return (
        f'<tr><td class="faint line" width="30%" style="{_CELL};padding-right:12px;color:#5b6670">{_text(name)}</td>'
        f'<td class="ink line" dir="auto" style="{_CELL};color:#1b1f23">{_text(value)}</td></tr>'
    )


def _stacked(name: str, value: str) -> str:
    return (
        f'<tr><td class="ink line" dir="auto" style="{_CELL};color:#1b1f23"><b>{_text(name)}</b><br>'
        f'<span class="faint" style="color:#5b6670">{_text(value)}</span></td></tr>'
    )


def _evidence(message: Message) -> str:
    if message.what in _LISTS:
        return "".join(_paragraph(line) for line in message.evidence[:MOST_LINES])
    return _box(message.evidence, "13px")


def _paragraph(line: str) -> str:
    style = "margin:0 0 12px;font-size:15px;color:#5b6670"
    return f'<p class="faint" dir="auto" style="{style}">{_text(line)}</p>'


def _commands(message: Message) -> str:
    return _box(message.commands, "14px")


def _box(lines: tuple[str, ...], size: str) -> str:
    """Lines in a face of fixed width; long ones break, since a telephone is narrow."""
    if not lines:
        return ""
    said = "".join(f'<div dir="ltr" style="padding:3px 0;{_BREAK}">{_text(line)}</div>' for line in lines[:MOST_LINES])
    return (
        f'<div class="code" style="margin:0 0 14px;padding:9px 12px;background:#f4f6f8;border:1px solid #e1e5e9;'
        f'border-radius:6px;font-family:{_CODE};font-size:{size};line-height:1.5;color:#24292e">{said}</div>'
    )


def _button(message: Message) -> str:
    """To the page on which to acknowledge: for a thumb, and before anything that must be scrolled to."""
    if not is_link(message.acknowledge_url):
        return ""
    label = _text(say("channel.acknowledge", message.language))
    style = (
        f"display:inline-block;padding:13px 22px;background:{colour(message)};color:#ffffff;border-radius:8px;"
        "font-size:17px;font-weight:700;text-decoration:none"
    )
    return f'<p style="margin:0 0 14px"><a href="{escape(message.acknowledge_url)}" style="{style}">{label}</a></p>'


def _links(letter: Letter) -> Iterator[str]:
    """What is no address stays text."""
    message = letter.message
    for key, url in (("channel.runbook", message.runbook), ("channel.details", letter.url)):
        label = _text(say(key, message.language))
        if is_link(url):
            shown = f'<a class="link" href="{escape(url)}" style="color:#1f5fa8;{_BREAK}">{_text(url)}</a>'
            yield _linked(label, shown)
        elif url:
            yield _linked(label, _text(url))


def _linked(label: str, shown: str) -> str:
    return (
        f'<p class="ink" style="margin:0 0 12px;font-size:15px;line-height:1.45;color:#1b1f23;{_BREAK}">'
        f'<span class="faint" style="color:#5b6670">{label}</span><br>{shown}</p>'
    )


def _foot(message: Message) -> str:
    if not message.footer:
        return ""
    style = f"margin:4px 0 0;font-size:13px;line-height:1.5;color:#5b6670;{_BREAK}"
    return f'<p class="faint" dir="auto" style="{style}">{_text(message.footer)}</p>'


def _text(text: str) -> str:
    return fitted(text, MOST_LETTERS, escape=escape, size=_any_size)


def _any_size(_: str) -> int:
    """An escape may be as long as it likes: only the letters are counted."""
    return 0
