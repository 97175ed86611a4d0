"""When a line was written, as the line itself has it: ISO 8601, syslog, and what web servers write."""

import re
from datetime import datetime, timedelta, timezone

from toban.clock import moment

# Hours east of Greenwich, of those names that mean one zone only (CST, IST and BST each mean several).
_HOURS = {
    name: hours
    for hours, names in (
        *(
            (-8, "PST"),
            (-7, "PDT MST"),
            (-6, "MDT"),
            (-5, "CDT EST"),
            (-4, "EDT"),
            (0, "Z UTC GMT WET"),
            (1, "WEST CET"),
        ),
        *((2, "CEST EET"), (3, "EEST MSK"), (8, "HKT"), (9, "JST KST"), (10, "AEST"), (11, "AEDT"), (12, "NZST")),
        (13, "NZDT"),
    )
    for name in names.split()
}
_NAMES = "|".join(sorted(_HOURS, reverse=True))
_ISO = re.compile(
    rb"\D{0,2}?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,]\d+)? ?((?:%s)(?![A-Za-z])|[+-]\d\d(?::?\d\d)?(?!\d))?"
    % _NAMES.encode()
)
_OTHER_ZONE = re.compile(rb" ?[A-Z]{3,5}\b")
_SYSLOG = re.compile(rb"(?:<\d+>)?([A-Z][a-z]{2}) +(\d{1,2}) (\d\d:\d\d:\d\d) ")
# The request's quote belongs to it: a user's name in front of it may hold anything else, also a time.
_COMBINED = re.compile(rb"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})\] \"")
_MONTHS = {name: n for n, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_TOLERATED = timedelta(days=1)
_MILLISECONDS_FROM = 1e11  # as seconds, that is the year 5138


def written_at(line: bytes, now: float) -> float | None:
    """The moment at the beginning of a line of text, if there is one. Without a zone it is the system's."""
    found = _ISO.match(line)
    if found:
        return _stamp(f"{found[1].decode()}T{found[2].decode()}", (found[3] or b"").decode(), now)
    found = _SYSLOG.match(line)
    return _syslog(found, now) if found else None


def server_wrote_at(line: bytes, now: float) -> float | None:
    """The same for PostgreSQL, which always names its zone: where the name may mean several, nobody knows when."""
    found = _ISO.match(line)
    unknown = found is not None and not found[3] and _OTHER_ZONE.match(line, found.end())
    return None if unknown else written_at(line, now)


def served_at(line: bytes) -> float | None:
    """The moment of a request, in a line of a web server's log."""
    found = _COMBINED.search(line)
    if found is None or found[2] not in _MONTHS:
        return None
    day = f"{found[3].decode()}-{_MONTHS[found[2]]:02}-{found[1].decode()}"
    return _stamp(f"{day}T{found[4].decode()}", found[5].decode())


def told_at(value: object, now: float = 0.0) -> float | None:
    """The moment in a field: ISO 8601, or seconds or milliseconds since 1970."""
    if isinstance(value, str):
        return written_at(value.encode("utf-8", "replace"), now)
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value) / 1000 if value > _MILLISECONDS_FROM else float(value)
    return None


def _stamp(text: str, zone: str, now: float = 0.0) -> float | None:
    """Without a zone, the hour that comes twice when summer time ends is the second as soon as that has begun."""
    try:
        at = datetime.fromisoformat(text)
        if zone:
            return at.replace(tzinfo=_zone(zone)).timestamp()
        again = at.replace(fold=1).timestamp()
        return again if again <= now else at.timestamp()
    except (ValueError, OverflowError):
        return None


def _zone(text: str) -> timezone:
    if text in _HOURS:
        return timezone(timedelta(hours=_HOURS[text]))
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text.startswith("-") else offset)


def _syslog(found: re.Match[bytes], now: float) -> float | None:
    """Syslog does not say the year: it is the one that makes it lie in the past."""
    today = moment(now)
    if found[1] not in _MONTHS:
        return None
    for year in (today.year + 1, today.year, today.year - 1):  # in the east the new year has begun before UTC's
        at = _stamp(f"{year}-{_MONTHS[found[1]]:02}-{int(found[2]):02}T{found[3].decode()}", "", now)
        if at is not None and at <= now + _TOLERATED.total_seconds():
            return at
    return None
