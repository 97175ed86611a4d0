"""Text as a telephone takes it: segments of seven-bit letters, or of UTF-16 where one letter is none of those."""

from typing import Final

from alerting.messages import Message
from toban.catalogue import say
from toban.printable import printable

MOST_SEGMENTS: Final = 3
_SEVEN_BIT_SINGLE, _SEVEN_BIT = 160, 153
_WIDE_SINGLE, _WIDE = 70, 67
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€")
_PLAINER = str.maketrans({"…": "...", "–": "-", "·": "-", "→": "->", "’": "'", "∞": "inf", "µ": "u"})  # noqa: RUF001 - what is replaced
_CUT = "..."
NOTHING: Final = "-"  # no provider takes an empty text


def sms(message: Message, *, repeat: bool = False) -> str:
    """Title, sentence and what to type, in three segments: of the sentence as much as fits.

    `repeat`: it may have come before, and nothing else would tell.
    """
    ask = next((one for one in message.commands if " ack " in one), message.commands[0] if message.commands else "")
    mark = f"({say('channel.repeat', message.language)}) " if repeat else ""
    parts = (mark + message.title, message.summary, ask)
    title, summary, ask = (printable(part).translate(_PLAINER) for part in parts)
    wide = not _is_seven_bit(title + summary + ask)
    rest = f"\n{_cut(ask, _room(wide) // 3, wide)}" if ask else ""
    title = _cut(title, _room(wide) - _size(rest, wide), wide)
    room = _room(wide) - _size(title + rest, wide) - 1
    told = _cut(summary, room, wide) if room > len(_CUT) else ""
    return ("\n".join(part for part in (title, told) if part) + rest).strip() or NOTHING


def segments(text: str) -> int:
    """How many messages a provider makes of it."""
    wide = not _is_seven_bit(text)
    single, many = (_WIDE_SINGLE, _WIDE) if wide else (_SEVEN_BIT_SINGLE, _SEVEN_BIT)
    size = _size(text, wide)
    return 1 if size <= single else -(-size // many)


def _is_seven_bit(text: str) -> bool:
    return all(letter in _BASIC or letter in _EXTENDED for letter in text)


def _size(text: str, wide: bool) -> int:  # noqa: FBT001 - which alphabet
    if wide:
        return len(text.encode("utf-16-le")) // 2
    return sum(2 if letter in _EXTENDED else 1 for letter in text)


def _room(wide: bool) -> int:  # noqa: FBT001 - which alphabet
    return MOST_SEGMENTS * (_WIDE if wide else _SEVEN_BIT)


def _cut(text: str, room: int, wide: bool) -> str:  # noqa: FBT001 - which alphabet
    if _size(text, wide) <= room:
        return text
    kept = text
    while kept and _size(kept + _CUT, wide) > room:
        kept = kept[: min(len(kept) - 1, max(room, 0))]
    return kept + _CUT
