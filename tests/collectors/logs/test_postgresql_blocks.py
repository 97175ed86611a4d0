"""What is told of a whole block of PostgreSQL's log is what its lines say one by one."""

from collections.abc import Callable

import pytest

from collectors.logs.attempts import Attempts
from collectors.logs.formats import Format
from collectors.logs.postgresql import PostgresCsv, PostgresText
from collectors.logs.settings import LogsSettings
from collectors.logs.tally import Tally
from tests.builders import START

WRITTEN = "2026-11-21 10:00:00.1 UTC"
SLOW = "duration: 3.5 ms  statement: select 1"
CONNECTED = "connection authorized: user=app"
TEMPORARY = 'temporary file: path "base/1", size 3'
REFUSED = 'password authentication failed for user "app"'
CRASH = "server process (PID 7) was terminated by signal 9"
DIVISION = "division by zero"


def text(entries: list[tuple[str, str]]) -> bytes:
    """As stderr has it, behind `%m [%p] %h `."""
    return "".join(f"{WRITTEN} [7] 192.0.2.1 {level}:  {message}\n" for level, message in entries).encode()


def table(entries: list[tuple[str, str]]) -> bytes:
    """As csvlog has it."""
    quoted = ((level, message.replace('"', '""')) for level, message in entries)
    row = '{at},"app","shop",1,"192.0.2.1:5",s,1,"SELECT",t,1/1,0,{level},00000,"{message}",,,,,,,,,"",,,0\n'
    return "".join(row.format(at=WRITTEN, level=level, message=message) for level, message in quoted).encode()


def counted(form: type[Format], block: bytes) -> Tally:
    """What a block says."""
    settings = LogsSettings.model_validate(
        {"name": "pg", "path": "/log", "format": "postgresql", "log_line_prefix": "%m [%p] %h "}
    )
    tally = Tally(Attempts(10, 300), 20)
    form(settings).share_out(block, tally, START)
    return tally


@pytest.mark.parametrize(("form", "written"), [(PostgresText, text), (PostgresCsv, table)], ids=["stderr", "csvlog"])
@pytest.mark.parametrize(
    ("entries", "matches"),
    [
        ([("LOG", SLOW), ("LOG", CONNECTED), ("LOG", SLOW)], {"slow_statement": 2}),
        ([("LOG", SLOW), ("LOG", TEMPORARY), ("ERROR", DIVISION)], {"slow_statement": 1, "temporary_file": 1}),
        ([("LOG", SLOW), ("FATAL", REFUSED)], {"slow_statement": 1, "authentication_failure": 1}),
        ([("LOG", SLOW), ("LOG", CRASH)], {"slow_statement": 1, "crash": 1}),
        ([("LOG", f"{SLOW}; select 'ERROR:  '"), ("ERROR", DIVISION)], {"slow_statement": 1}),
        ([("LOG", "duration: unknown"), ("LOG", CONNECTED)], {}),
        ([("LOG", f"{CONNECTED} {SLOW}"), ("ERROR", f"no {TEMPORARY}")], {}),
    ],
    ids=["slow", "trouble", "refused", "crash", "quoted", "no number", "elsewhere"],
)  # fmt: skip
def test_each_entry_counts_once(
    form: type[Format],
    written: Callable[[list[tuple[str, str]]], bytes],
    entries: list[tuple[str, str]],
    matches: dict[str, int],
) -> None:
    """Whether it is told by its beginning or looked at by itself."""
    tally = counted(form, written(entries))
    assert tally.matches == matches
    assert tally.levels.total() == len(entries)
    assert list(tally.attempts.callers) == ["192.0.2.1"] * matches.get("authentication_failure", 0)


def test_any_number_of_states_costs_no_search_each() -> None:
    """Whoever may write messages of level LOG can invent states; each slow statement counts nevertheless."""
    block = text([("LOG", f"{number:05}: {TEMPORARY}") for number in range(40)])
    assert counted(PostgresText, block).matches == {"temporary_file": 40}


def test_a_broken_record_is_no_other_record() -> None:
    """Behind it the records count as they did."""
    tally = counted(PostgresCsv, table([("LOG", SLOW)]) + b"no record\n" + table([("LOG", SLOW), ("LOG", CONNECTED)]))
    assert tally.matches == {"slow_statement": 2}
    assert tally.levels == {"log": 3, "none": 1}
    assert tally.unparsed == 1


def test_state_tells_in_any_language() -> None:
    """A server whose `lc_messages` is Japanese: what has a SQLSTATE of its own is known by it."""
    told = [("ERROR", "40P01", "デッドロックを検出しました"), ("FATAL", "53300", "接続数が多すぎます")]
    told += [("FATAL", "28P01", 'ユーザー"app"のパスワード認証に失敗しました')] * 2
    block = b"".join(table([(level, words)]).replace(b",00000,", f",{state},".encode()) for level, state, words in told)
    tally = counted(PostgresCsv, block)
    assert tally.matches == {"deadlock": 1, "connections_exhausted": 1, "authentication_failure": 2}
    assert tally.day().failures == {"192.0.2.1": 2}


def test_record_torn_off_swallows_no_other() -> None:
    """The disk was full in the midst of a message: its quote is never closed, and what follows is what matters."""
    torn = table([("ERROR", DIVISION)]).partition(b"zero")[0] + b"\n"
    assert torn.count(b'"') % 2
    many = table([("LOG", SLOW)] * 1000 + [("PANIC", "could not write")])
    form = PostgresCsv(LogsSettings.model_validate({"name": "pg", "path": "/log", "format": "postgresql"}))
    data = table([("LOG", CONNECTED)]) + torn + many
    assert form.cut(data + b"2026") == len(data)
    tally = Tally(Attempts(10, 300), 20)
    form.share_out(data, tally, START)
    assert tally.levels == {"log": 1001, "panic": 1, "none": 1}
    assert tally.unparsed == 1
    assert form.cut(table([("LOG", CONNECTED)]) + torn) == len(table([("LOG", CONNECTED)]))
    long = table([("LOG", "select '\n" + "x" * 100_000 + "'")])
    assert form.cut(long) == len(long)
    assert form.cut(long[:-2000]) == 0


def test_rest_of_an_entry_in_the_next_block_is_no_line_of_its_own() -> None:
    """A turn ended in the midst of an entry of several lines."""
    tally = counted(PostgresText, b"\tand 1 = 2\n\tand 2 = 3\n" + text([("ERROR", DIVISION)]) + b"\tmore\n")
    assert tally.levels == {"error": 1}
    assert tally.unparsed == 0
    assert counted(PostgresText, b"\tall of it\n").levels == {}
