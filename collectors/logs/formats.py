"""How the lines of a file are read: block by block, so that a line which says nothing costs next to nothing."""

import re
from abc import ABC, abstractmethod
from collections import Counter
from fnmatch import fnmatchcase

from collectors.logs.matching import LineMatches, label
from collectors.logs.moments import served_at, written_at
from collectors.logs.settings import Logins, LogsSettings
from collectors.logs.tally import NONE, Tally, bucket_start, level_name

# The first word of a line that is a level. What follows on the line is consumed, so that a line counts once. It begins
# with a set of bytes, behind which nothing optional stands: only so are other bytes passed over quickly.
_LEVEL = re.compile(
    rb"([TDINWECFAP[](?<![A-Za-z0-9_].)(?:RACE|EBUG|NFO|OTICE|ARN(?:ING)?|RR(?:OR)?|RIT(?:ICAL)?|ATAL|LERT|MERG|ANIC"
    rb"|(?:debug|info|notice|warn|warning|error|crit|alert|emerg)\])(?![A-Za-z0-9_]))[^\n]*"
)
_SSHD = r"sshd\S*: (?:message repeated (?P<repeated>\d+) times: \[ )?Failed \S+ for .* from (?P<address>\S+) port \d+"
_REPEATED_MAX = 1000
_REQUEST = re.compile(rb'" ([1-5])\d\d [\d-][^\n]*')
_REQUEST_CAREFULLY = re.compile(rb'(?<!\\)" ([1-5])\d\d (?:\d+|-)(?![^ \n])')
_COMBINED = re.compile(
    rb"(?P<address>\S+) \S+ .*?\[\d\d/[A-Z][a-z]{2}/[^\[\]]{5,30}\] "  # in front of it a user's name: of whatever
    rb'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?:\d+|-)'
)


class Format(ABC):
    """One way to write a log."""

    def __init__(self, settings: LogsSettings) -> None:
        self.settings = settings

    def cut(self, data: bytes) -> int:
        """How many of these bytes are whole lines."""
        return data.rfind(b"\n") + 1

    @abstractmethod
    def when(self, line: bytes, now: float) -> float | None:
        """When a line was written, if it says so."""

    @abstractmethod
    def take(self, block: bytes, tally: Tally) -> None:
        """Count whole lines that fall into the same five minutes."""

    def share_out(self, block: bytes, tally: Tally, now: float) -> None:
        """Count whole lines, each in its five minutes. Lines stand in the order of their time, or nearly."""
        last = block.rfind(b"\n", 0, len(block) - 1) + 1
        first_at, last_at = self.when(block[: block.find(b"\n")], now), self.when(block[last:], now)
        apart = first_at is not None and last_at is not None and bucket_start(first_at) != bucket_start(last_at)
        middle = block.find(b"\n", len(block) // 2) + 1
        middle = middle if 0 < middle < len(block) else last
        if apart and 0 < middle < len(block) and self.cut(block[:middle]) == middle:
            self.share_out(block[:middle], tally, now)
            self.share_out(block[middle:], tally, now)
            return
        tally.at(last_at if first_at is None else first_at, now)
        self.take(block, tally)


class TextFormat(Format):
    """Lines of text: their level is the first word that is one."""

    def __init__(self, settings: LogsSettings) -> None:
        super().__init__(settings)
        self.level = LineMatches(settings.level) if settings.level else None
        self.patterns = [(pattern, LineMatches(str(pattern.match), pattern.contains)) for pattern in settings.patterns]
        self.logins = _login_lines(settings.logins)

    def when(self, line: bytes, now: float) -> float | None:
        """As it begins."""
        return written_at(line, now)

    def take(self, block: bytes, tally: Tally) -> None:
        """Count levels, patterns and failed logins."""
        self.count_levels(block, tally)
        for pattern, lines in self.patterns:
            for groups, line in lines.each(block):
                if pattern.level and level_name(pattern.level) != self.level_of(line):
                    continue
                labels = tuple(label(value) for name, value in groups.items() if name != self.settings.value)
                tally.match(pattern.name, labels)
                if self.settings.value in groups:
                    add_value(tally, groups[self.settings.value])
        if self.logins:
            for groups, line in self.logins.each(block):
                tally.failed_login(groups["address"], self.when(line, tally.now), _times(groups))

    def count_levels(self, block: bytes, tally: Tally) -> None:
        """Each line once."""
        total = block.count(b"\n")
        if self.level is None:
            found = Counter(_LEVEL.findall(block))
        else:
            found = Counter(self._first(groups_line[1]) for groups_line in self.level.each(block))
        for word, count in found.items():
            tally.lines(word.strip(b"[]").decode("utf-8", "replace"), count)
        tally.lines(NONE, total - found.total())

    def level_of(self, line: bytes) -> str:
        """One line's level."""
        if self.level is None:
            found = _LEVEL.search(line)
            return level_name(found[1].strip(b"[]").decode()) if found else NONE
        return level_name(self._first(line).decode("utf-8", "replace"))

    def _first(self, line: bytes) -> bytes:
        return self.level.first(line) if self.level else b""


class CombinedFormat(TextFormat):
    """What nginx and Apache call combined (or common): the level of a request is the class of its status."""

    def __init__(self, settings: LogsSettings) -> None:
        super().__init__(settings)
        self.failures = settings.logins or Logins()
        self.statuses = [(str(status).encode(), b'" %d ' % status) for status in self.failures.status]

    def when(self, line: bytes, now: float) -> float | None:  # noqa: ARG002 - the line says the year
        """As the request has it."""
        return served_at(line)

    def count_levels(self, block: bytes, tally: Tally) -> None:
        """2xx, 4xx and so on. A line that is no request cannot be read."""
        total = block.count(b"\n")
        if b"\\" in block and b'\\" ' in block:  # a quote within the request, which apache escapes
            found = Counter(digit for line in block.split(b"\n") for digit in _careful(line))
        else:
            found = Counter(_REQUEST.findall(block))
        for digit, count in found.items():
            tally.lines(f"{digit.decode()}xx", count)
        tally.lines(NONE, total - found.total())
        tally.unparsed += total - found.total()

    def take(self, block: bytes, tally: Tally) -> None:
        """Beside all that is counted in a text: who was turned away at the door."""
        super().take(block, tally)
        for status, sign in self.statuses:
            at = block.find(sign)
            while at >= 0:
                start, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
                line = block[start : end if end >= 0 else len(block)]
                self._judge(line, status, tally)
                at = block.find(sign, start + len(line))

    def level_of(self, line: bytes) -> str:
        """One line's level."""
        return next((f"{digit.decode()}xx" for digit in _careful(line)), NONE)

    def _judge(self, line: bytes, status: bytes, tally: Tally) -> None:
        found = _COMBINED.match(line)
        if found is None or found["status"] != status:
            return
        words = found["request"].decode("utf-8", "replace").split(" ")
        path = words[1] if len(words) > 1 else words[0]
        if fnmatchcase(path.partition("?")[0], self.failures.path):
            tally.failed_login(found["address"].decode("utf-8", "replace"), served_at(line))


def add_value(tally: Tally, value: object) -> None:
    """A number out of a line; what is none is left out."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        return
    if number is not None and abs(number) < float("inf"):
        tally.value(number)


def _times(groups: dict[str, str]) -> int:
    """How often a line stands for the same; a person's own group of that name may hold anything."""
    repeated = groups.get("repeated") or ""
    return min(int(repeated[:4]), _REPEATED_MAX) if repeated.isdecimal() else 1


def _careful(line: bytes) -> list[bytes]:
    """The class of a request whose text holds quotes: the first that is not escaped ends it."""
    return _REQUEST_CAREFULLY.findall(line)[:1]


def _login_lines(logins: Logins | None) -> LineMatches | None:
    if logins is None or isinstance(logins.match, dict):
        return None
    if logins.preset == "sshd" and logins.match is None:
        return LineMatches(_SSHD, "Failed ")
    return None if logins.match is None else LineMatches(logins.match)
