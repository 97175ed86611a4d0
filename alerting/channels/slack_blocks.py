"""A message as Slack's blocks: within Slack's sizes, and nothing in it that calls people or formats by itself."""

import re
from typing import Any, Final

from alerting.channels.fitting import fitted, is_link, wide_size
from alerting.messages import Letter, Message
from toban.alerts import Severity, State
from toban.catalogue import say

HEADER_CHARACTERS: Final = 150
SUMMARY_CHARACTERS: Final = 1000
MOST_FIELDS: Final = 10
FIELD_CHARACTERS: Final = 220
EVIDENCE_CHARACTERS: Final = 400
MOST_EVIDENCE: Final = 2
COMMAND_CHARACTERS: Final = 250
MOST_COMMANDS: Final = 3
FOOTER_CHARACTERS: Final = 300
LINK_CHARACTERS: Final = 500  # one with a signed token is long
PATH_CHARACTERS: Final = 200
TEXT_CHARACTERS: Final = 300
NOTHING: Final = "–"  # noqa: RUF001 - a dash: Slack takes no empty text
_INVISIBLE = "\u200b"
_CALL = re.compile(r"(?<!\w)@(?=\w)")
_FORMAT = re.compile(r"(?<!\w)[*_~`]|[*_~`](?!\w)")
_MARKS = {Severity.INFO: "🔵", Severity.WARNING: "🟠", Severity.CRITICAL: "🔴"}


def escaped(text: str) -> str:
    """Nothing acts any more: no `<!channel>`, no `@here` (which look-alikes of Slack obey), no formatting."""
    plainer = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    quiet = _CALL.sub(f"@{_INVISIBLE}", plainer)
    return _FORMAT.sub(lambda match: _INVISIBLE + match[0] + _INVISIBLE, quiet)


def code(text: str) -> str:
    """For between backticks, where it is copied from: only what would end them, or act inside, is changed."""
    plainer = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _CALL.sub(f"@{_INVISIBLE}", plainer.replace("`", "'"))


def plain(message: Message) -> str:
    """For the notification on a telephone, and for servers that know no blocks."""
    title, summary = (fitted(text, TEXT_CHARACTERS, escape=escaped) for text in (message.title, message.summary))
    return f"{title}\n{summary}".strip() or NOTHING


def blocks(letter: Letter) -> list[dict[str, Any]]:
    """Title, summary, facts, evidence, what to type, links, and at the foot the node and the episode."""
    message = letter.message
    mark = "🟢" if message.state is State.RESOLVED else _MARKS[message.severity]
    title = fitted(f"{mark} {message.title}", HEADER_CHARACTERS, escape=escaped, size=wide_size)
    found = [
        {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}},
        _section(fitted(message.summary, SUMMARY_CHARACTERS, escape=escaped)),
    ]
    if message.facts:
        found.append({"type": "section", "fields": [_field(*fact) for fact in message.facts[:MOST_FIELDS]]})
    if message.evidence:
        found.append(_section(_code_block(message.evidence[:MOST_EVIDENCE], EVIDENCE_CHARACTERS)))
    if message.commands:
        found.append(_section(_code_block(message.commands[:MOST_COMMANDS], COMMAND_CHARACTERS)))
    links = _links(letter)
    if links:
        found.append(_context(links))
    if message.footer:
        found.append(_context(fitted(message.footer, FOOTER_CHARACTERS, escape=escaped)))
    return found


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _words(text or NOTHING)}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [_words(text)]}


def _words(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _field(name: str, value: str) -> dict[str, Any]:
    label = fitted(name, FIELD_CHARACTERS // 4, escape=escaped)
    return _words(f"*{label}*\n{fitted(value, FIELD_CHARACTERS, escape=escaped)}")


def _code_block(lines: tuple[str, ...], most: int) -> str:
    return "```" + "\n".join(fitted(line, most, escape=code) for line in lines) + "```"


def _links(letter: Letter) -> str:
    """By their names. A runbook that is a path is written out; an address that is too long would be none when cut."""
    message = letter.message
    links = (
        (say("channel.runbook", message.language), message.runbook),
        (say("channel.acknowledge", message.language), message.acknowledge_url),
        (say("channel.details", message.language), letter.url),
    )
    return " · ".join(filter(None, (_link(name, link) for name, link in links)))


def _link(name: str, link: str) -> str:
    if not is_link(link):
        return fitted(link, PATH_CHARACTERS, escape=escaped)
    written = link.replace("&", "&amp;")
    fits = len(written) <= LINK_CHARACTERS and not re.search(r"[<>|]", link)
    return f"<{written}|{name}>" if fits else ""
