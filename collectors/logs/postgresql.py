"""PostgreSQL's own log in its three forms: stderr with any log_line_prefix, csvlog and jsonlog."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from collectors.logs.formats import Format
from collectors.logs.matching import LineMatches
from collectors.logs.moments import server_wrote_at
from collectors.logs.settings import LogsSettings
from collectors.logs.tally import NONE, Tally

_LEVELS = ("DEBUG[1-5]", "LOG", "INFO", "NOTICE", "WARNING", "ERROR", "FATAL", "PANIC")
_DETAILS = ("DETAIL", "HINT", "STATEMENT", "CONTEXT", "QUERY", "LOCATION", "BACKTRACE")  # belong to the entry above
# How a message begins that is worth a closer look though its level is LOG.
_TELLING = (
    "(?:duration: (?=[0-9.]+ ms)|temporary file: path|process |server process|terminating any|deadlock|page ver|"
    "invalid page|checksum ver|sorry, too|remaining conn)"
)
# A line's severity, and how its message begins if that is telling. No \b and nothing optional: both cost much speed.
_FIRST = re.compile(
    f"((?:{'|'.join((*_LEVELS, *_DETAILS))}):  (?:{_TELLING}|[0-9A-Z]{{5}}: {_TELLING}|))[^\\n]*".encode()
)
_CONTINUED = re.compile(rb"\n\t[^\n]*")
_TROUBLE = re.compile(rb"(WARNING|ERROR|FATAL|PANIC|LOG):  (.*)")
_HOST_IN_MESSAGE = re.compile(r'no pg_hba\.conf entry for (?:replication connection from )?host "([^"]+)"')
_STATE = re.compile(r"([0-9A-Z]{5}): ")
_NO_LOGIN = "28"  # the class of invalid authorization
# What is counted by its message: the pattern's name, and how the message tells.
_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("deadlock", re.compile(r"deadlock detected")),
    ("checksum_failure", re.compile(r"page verification failed|invalid page in block|checksum verification failure")),
    ("authentication_failure", re.compile(r".*authentication failed|no pg_hba\.conf entry")),
    ("slow_statement", re.compile(r"duration: [\d.]+ ms")),
    ("temporary_file", re.compile(r"temporary file: path")),
    ("connections_exhausted", re.compile(r"sorry, too many clients|remaining connection slots")),
    ("lock_wait", re.compile(r"process \d+ still waiting for ")),
    ("crash", re.compile(r".*was terminated by signal|terminating any other active server processes")),
)
# In whatever language the message is.
_BY_STATE = {
    "40P01": "deadlock",
    "53300": "connections_exhausted",
    "28P01": "authentication_failure",
    "28000": "authentication_failure",
}
KINDS = tuple(name for name, _ in _KINDS)
_CLOSER = (
    r"[WEFPL](?:(?:ARNING|RROR|ATAL|ANIC):  |OG:  (?:[0-9A-Z]{5}: )?"
    r"(?:duration: |temporary file: path|process \d+ still|server process|terminating any))"
)
_TROUBLES = {b"WARNING", b"ERROR", b"FATAL", b"PANIC"}
_SIGNS_MAX = 12
_QUIET = {"LOG", "INFO", "NOTICE"}
_UNTOLD = tuple(f"DEBUG{n}" for n in range(1, 6))


class Entry(NamedTuple):
    """One message of the server."""

    severity: str
    state: str
    message: str
    address: str
    written: str


class PostgresText(Format):
    """stderr: a prefix as the server's settings have it, and what continues begins with a tab."""

    def __init__(self, settings: LogsSettings) -> None:
        super().__init__(settings)
        self._prefix = prefix_regex(settings.log_line_prefix)
        self._closer = LineMatches(_CLOSER)
        self._patterns = [(p, LineMatches(str(p.match), p.contains)) for p in settings.patterns]

    def when(self, line: bytes, now: float) -> float | None:
        """As its prefix begins."""
        return server_wrote_at(line, now)

    def take(self, block: bytes, tally: Tally) -> None:
        """Count severities, and look closer at what is trouble."""
        firsts = _CONTINUED.sub(b"", block) if b"\t" in block and b"\n\t" in block else block
        if block.startswith(b"\t"):  # the rest of an entry whose beginning was in the block before
            firsts = firsts.partition(b"\n")[2]
        found = Counter(_FIRST.findall(firsts))
        levels: Counter[str] = Counter()
        for first, count in found.items():
            levels[first.partition(b":")[0].decode()] += count
        count_severities(levels, tally)
        strange = firsts.count(b"\n") - found.total()
        tally.lines(NONE, strange)
        tally.unparsed += strange
        self._look_closer(firsts, found, tally)
        for pattern, lines in self._patterns:
            for groups, _ in lines.each(firsts):
                tally.match(pattern.name, tuple(groups.values()))

    def _look_closer(self, firsts: bytes, found: Counter[bytes], tally: Tally) -> None:
        """Slow statements are the bulk, and are counted as they are; the other lines of interest one by one."""
        crash = b"was terminated by signal" in firsts  # may stand anywhere in a message
        quick = set()
        if not crash and b"authentication failed" not in firsts:
            quick = {first for first in found if first.startswith(b"LOG") and first.endswith(b"duration: ")}
        slow = sum(found[first] for first in quick)
        if slow:
            tally.match("slow_statement", count=slow)
        signs = _signs(first for first in found if first not in quick)
        apart = crash or len(signs) > _SIGNS_MAX
        for line in (line for _, line in self._closer.each(firsts)) if apart else _lines_with(signs, firsts):
            entry = self._entry(line, quick)
            if entry is not None:
                count_kind(entry, tally, line)

    def _entry(self, line: bytes, counted: set[bytes]) -> Entry | None:
        first = _FIRST.search(line)
        found = _TROUBLE.match(line, first.start()) if first and first[1] not in counted else None
        if found is None:
            return None
        severity, message = found[1].decode(), found[2].decode("utf-8", "replace")
        if severity == "LOG":  # nobody asks for its state or address
            return Entry(severity, "", message, "", "") if self._closer.one(line) is not None else None
        told = self._prefix.match(line[: found.start()].decode("utf-8", "replace"))
        groups = told.groupdict() if told else {}
        return Entry(severity, groups.get("state") or "", message, groups.get("address") or "", "")


def _signs(firsts: Iterable[bytes]) -> set[bytes]:
    """What lines of interest are found by."""
    signs = set()
    for first in firsts:
        level, _, rest = first.partition(b":  ")
        if level in _TROUBLES:
            signs.add(level + b":  ")
        elif level == b"LOG" and rest:
            signs.add(first)
    return signs


def _lines_with(signs: set[bytes], block: bytes) -> Iterator[bytes]:
    """The lines that hold one of these, in their order."""
    found = {}
    for sign in signs:
        at = block.find(sign)
        while at >= 0:
            start, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
            found[start] = end if end >= 0 else len(block)
            at = block.find(sign, found[start])
    for start in sorted(found):
        yield block[start : found[start]]


class PostgresRecords(Format):
    """What the two structured forms have in common."""

    def __init__(self, settings: LogsSettings) -> None:
        super().__init__(settings)
        self._patterns = [(p, LineMatches(str(p.match), p.contains)) for p in settings.patterns]

    def count(self, entries: list[Entry], tally: Tally) -> None:
        """Count decoded entries."""
        count_severities(Counter(entry.severity for entry in entries), tally)
        for entry in entries:
            if entry.severity not in _QUIET or entry.message.startswith(("duration:", "temporary", "process")):
                count_kind(entry, tally, entry.written.encode())
            elif "terminated by signal" in entry.message or entry.message.startswith("terminating any"):
                count_kind(entry, tally, b"")
        for pattern, lines in self._patterns:
            for entry in entries:
                groups = lines.one(entry.message.encode("utf-8", "replace"))
                if groups is not None:
                    tally.match(pattern.name, tuple(groups.values()))


# What is taken is not given back (`*+`): that makes it a quarter quicker.
_BARE, _QUOTED = r'[^",\r\n]*+', r'(?:"[^"]*+"|)'
_BEFORE = f"{_BARE},{_QUOTED},{_QUOTED},{_BARE},{_QUOTED},{_BARE},{_BARE},{_QUOTED},{_BARE},{_BARE},{_BARE},"
_REST = r'[^"\r\n]*+(?:"[^"]*+"[^"\r\n]*+)*\n'
_UNTELLING = r"(?!duration:|temporary|process|terminating any)"


def _records(told: str) -> re.Pattern[bytes]:
    """One record after the other: of one that says little its first group is the severity, others are the second."""
    quiet = f'((?:LOG|INFO|NOTICE),[0-9A-Z]{{5}},"(?:{told}))[^"]*+"{_REST}'
    return re.compile(f"{_BEFORE}{quiet}|({_REST}|[\\s\\S]+)".encode())


_RECORDS = _records(f"{_UNTELLING}|duration: (?=[0-9.]+ ms)")
_RECORDS_CAREFULLY = _records(_UNTELLING)


_START = re.compile(rb"^(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [^,\n]{1,10},)", re.MULTILINE)
_TORN_BYTES = 64 * 1024  # so much behind a quote that nothing closes, and other records in it: it was torn off


class PostgresCsv(PostgresRecords):
    """csvlog: a line break may stand within quotes."""

    def __init__(self, settings: LogsSettings) -> None:
        super().__init__(settings)
        self._torn = False  # whether a record ever was: counting quotes twice has its price

    def cut(self, data: bytes) -> int:
        """A record ends at a line break with every quote before it closed."""
        end = data.rfind(b"\n") + 1
        quotes = data.count(b'"', 0, end)
        while end and quotes % 2:
            before = data.rfind(b"\n", 0, end - 1) + 1
            quotes -= data.count(b'"', before, end)
            end = before
        if len(data) - end > _TORN_BYTES:
            self._torn = True
            last = max((found.start() for found in _START.finditer(data, end)), default=end)
            return last + self.cut(data[last:]) if last > end else end
        return end

    def when(self, line: bytes, now: float) -> float | None:
        """As its first column has it."""
        return server_wrote_at(line, now)

    def take(self, block: bytes, tally: Tally) -> None:
        """Count records, and what was torn off, by a full disk or a crash, as none."""
        if self._torn and block.count(b'"') % 2:
            pieces = [piece for piece in _START.split(block) if piece]
            whole = [piece for piece in pieces if piece.count(b'"') % 2 == 0]
            tally.lines(NONE, len(pieces) - len(whole))
            tally.unparsed += len(pieces) - len(whole)
            block = b"".join(whole)
        self._take(block, tally)

    def _take(self, block: bytes, tally: Tally) -> None:
        """Those that say little, which is most, are only told by their severity."""
        rare = b"terminated by signal" in block
        shape = _RECORDS_CAREFULLY if b"authentication failed" in block else _RECORDS
        found = [] if self._patterns or rare else shape.findall(block)
        quiet = Counter(told for told, _ in found if told)
        entries, strange = _read_records(b"".join([record for _, record in found]) if found else block)
        if strange and found:  # what is broken may reach beyond its line
            quiet.clear()
            entries, strange = _read_records(block)
        for told, count in quiet.items():
            tally.lines(told.partition(b",")[0].decode(), count)
            if told.endswith(b"duration: "):
                tally.match("slow_statement", count=count)
        tally.lines(NONE, strange)
        tally.unparsed += strange
        self.count(entries, tally)


def _read_records(block: bytes) -> tuple[list[Entry], int]:
    """Entries, and how many records are none."""
    entries: list[Entry] = []
    strange = 0
    rows = csv.reader(io.StringIO(block.decode("utf-8", "replace"), newline=""))
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return entries, strange
        except csv.Error:  # one field longer than the reader takes
            row = []
        if len(row) > _MESSAGE:
            address = row[4].rpartition(":")[0] or row[4]
            entries.append(Entry(row[11], row[12], row[_MESSAGE], address, row[0]))
        else:
            strange += 1


_MESSAGE = 13


class _Row(msgspec.Struct, gc=False):
    """One line of jsonlog, as far as it is of interest."""

    timestamp: str = ""
    remote_host: str = ""
    error_severity: str = ""
    state_code: str = ""
    message: str = ""


class PostgresJson(PostgresRecords):
    """jsonlog, from PostgreSQL 15 on."""

    decoder = msgspec.json.Decoder(_Row)

    def when(self, line: bytes, now: float) -> float | None:
        """As its field has it."""
        row = self._one(line)
        return server_wrote_at(row.timestamp.encode(), now) if row else None

    def take(self, block: bytes, tally: Tally) -> None:
        """Count objects."""
        try:
            rows = self.decoder.decode_lines(block)
        except (msgspec.DecodeError, UnicodeDecodeError):
            found = [self._one(line) for line in block.split(b"\n") if line.strip()]
            rows = [row for row in found if row is not None]
            strange = found.count(None)
            tally.unparsed += strange
            tally.lines(NONE, strange)
        self.count([Entry(r.error_severity, r.state_code, r.message, r.remote_host, r.timestamp) for r in rows], tally)

    def _one(self, line: bytes) -> _Row | None:
        for text in (line, line.decode("utf-8", "replace")):
            try:
                return self.decoder.decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
        return None


def count_severities(found: dict[str, int], tally: Tally) -> None:
    """An entry counts once, whatever lines it has."""
    for word, count in found.items():
        if word not in _DETAILS:
            tally.lines(word, count)


def count_kind(entry: Entry, tally: Tally, written: bytes) -> None:
    """What a message means, and which class of SQLSTATE it has."""
    state, message = entry.state, entry.message
    verbose = _STATE.match(message)  # log_error_verbosity = verbose
    if verbose:
        state, message = verbose[1], message[verbose.end() :]
    if state and entry.severity not in {*_QUIET, *_UNTOLD} and state != "00000":
        tally.state(state[:2])
    kind = next((name for name, shape in _KINDS if shape.match(message)), "") or _BY_STATE.get(state, "")
    if kind and not (kind == "authentication_failure" and entry.severity != "FATAL"):
        tally.match(kind)
    if entry.severity == "FATAL" and (state.startswith(_NO_LOGIN) or kind == "authentication_failure"):
        host = _HOST_IN_MESSAGE.search(message)
        tally.failed_login(host[1] if host else entry.address, server_wrote_at(written, tally.now))


def prefix_regex(prefix: str) -> re.Pattern[str]:
    """A log_line_prefix as an expression; behind %q, what a background process leaves out may be missing."""
    before, optional, behind = prefix.partition("%q")
    shape = _escapes(before) + (f"(?:{_escapes(behind)})?" if optional else "")
    return re.compile(shape)


_KNOWN = {"e": r"(?P<state>[0-9A-Z]{5})", "h": r"(?P<address>\S*)", "r": r"(?P<address>\S*?)(?:\(\d+\))?", "%": "%"}
_ESCAPE = re.compile(r"%-?\d*([a-zA-Z%])")


def _escapes(prefix: str) -> str:
    shape, at = "", 0
    named: set[str] = set()
    for escape in _ESCAPE.finditer(prefix):
        shape += re.escape(prefix[at : escape.start()])
        known = _KNOWN.get(escape[1], ".*?")
        group = known.partition(">")[0]
        shape += "%" if escape[1] == "%" else f" *{'.*?' if group in named else known} *"  # padded, as in %-10u
        named.add(group)
        at = escape.end()
    return shape + re.escape(prefix[at:])


def form_of(path: str, settings: LogsSettings) -> Format:
    """Which of its forms a file of the server's log is in, by its name."""
    name = path.rpartition("/")[2]
    forms = {".csv": PostgresCsv, ".json": PostgresJson}
    chosen = next((form for ending, form in forms.items() if ending in name), PostgresText)
    return chosen(settings)
