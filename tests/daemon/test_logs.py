"""Claims about the log: what a line holds, where it goes, and what never gets into it."""

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from daemon.logs import LIBRARIES, Format, Level, Repeats, configure, log_strays
from daemon.logs.lines import describe, level_name
from daemon.logs.values import LONGEST_TEXT, Blotter
from tests.daemon.logged import JAPAN, SECRET, Log, Terminal, fail, silent_afterwards
from tests.waiting import eventually_sync
from toban.secrets import MASK, Dsn, Secret

__all__ = ["silent_afterwards"]  # autouse: what a test configures ends with it

# What a line holds


def test_json_line_has_time_with_offset_level_event_and_values() -> None:
    """A program finds the same names on each line, and the time is not to be mistaken."""
    log = Log(zone=JAPAN)
    log.say.warning("target down", target="main", attempt=3, ratio=0.5, up=False, nothing=None)
    (entry,) = log.entries
    written = datetime.fromisoformat(entry.pop("time"))
    assert written.utcoffset() == timedelta(hours=9)
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=5)
    assert entry == {
        "level": "warning",
        "event": "target down",
        "logger": "daemon.test",
        "target": "main",
        "attempt": 3,
        "ratio": 0.5,
        "up": False,
        "nothing": None,
    }


def test_json_line_keeps_a_value_from_taking_a_field_of_its_own() -> None:
    """A caller's `level` or `time` is kept under another name."""
    log = Log()
    log.say.info("told", level="deep", time="noon")
    assert (log.entries[0]["level"], log.entries[0]["level_"], log.entries[0]["time_"]) == ("info", "deep", "noon")


def test_json_line_takes_any_value() -> None:
    """Containers stay containers, what JSON does not have becomes text, and none of it grows without bound."""
    log = Log()
    deep: list[Any] = [1]
    for _ in range(50):
        deep = [deep]
    log.say.info(
        "told", a=[1, {2: Path("/x")}], b=float("nan"), c=b"\xff!", d=datetime(2026, 11, 21, tzinfo=UTC), e=deep
    )
    log.say.info("told", many=list(range(1000)), long="x" * 10_000, longish="x" * (LONGEST_TEXT + 1))
    first, second = log.entries
    assert (first["a"], first["b"], first["c"], first["d"]) == (
        [1, {"2": "/x"}],
        "nan",
        r"\xff!",
        "2026-11-21T00:00:00+00:00",
    )
    assert json.dumps(first["e"]).startswith('[[[["[[')
    assert len(second["many"]) == 50
    assert second["long"] == second["longish"] == "x" * LONGEST_TEXT + "…"


def test_context_and_positional_arguments_are_told() -> None:
    """What was bound for a task is on its lines, and `%s` is filled in."""
    log = Log()
    structlog.contextvars.bind_contextvars(command="run")
    log.say.info("%s of %d", "three", 4)
    assert (log.entries[0]["event"], log.entries[0]["command"]) == ("three of 4", "run")


def test_level_silences_what_is_below_it() -> None:
    """`level: warning` leaves out info."""
    log = Log(level="warning")
    log.say.info("quiet")
    log.say.error("loud")
    assert [entry["event"] for entry in log.entries] == ["loud"]


def test_level_holds_for_libraries_too() -> None:
    """`level: error` leaves out their warnings."""
    log = Log(level="error")
    logging.getLogger("asyncpg").warning("quiet")
    assert log.entries == []


def test_level_of_any_number_has_one_of_our_words() -> None:
    """Libraries invent levels of their own."""
    assert [level_name(n) for n in (0, 5, 10, 15, 20, 25, 30, 40, 50, 60)] == [
        *["debug"] * 4, *["info"] * 2, "warning", "error", *["critical"] * 2
    ]  # fmt: skip


# Exceptions


@pytest.mark.parametrize("level", ["info", "error"])
def test_exception_is_one_line_with_type_message_and_place(level: Level) -> None:
    """An operator needs no traceback; whoever mends the fault needs at least the place."""
    log = Log(level=level)
    try:
        fail("first\nsecond")
    except ValueError:
        log.say.exception("turn failed")
    (entry,) = log.entries
    assert entry["error"] == "ValueError: first second"
    assert entry["where"].startswith("logged.py:")
    assert "traceback" not in entry


def test_exception_has_its_traceback_under_debug() -> None:
    """And only there; still one line of JSON."""
    log = Log(level="debug")
    try:
        fail()
    except ValueError as error:
        log.say.error("turn failed", exc_info=error)
    (entry,) = log.entries
    assert entry["traceback"].startswith("Traceback (most recent call last):\n")
    assert entry["traceback"].endswith("ValueError: no such thing")


def test_exception_without_message_or_raise_is_told_too() -> None:
    """An exception that was never raised has no place; one without words has its type."""
    log = Log()
    log.say.error("failed", exc_info=TimeoutError())
    log.say.error("failed", exc_info=True)
    assert [log.entries[0]["error"], log.entries[0]["where"]] == ["TimeoutError", ""]
    assert "error" not in log.entries[1]


def test_exception_group_names_what_it_holds() -> None:
    """`unhandled errors in a TaskGroup (1 sub-exception)` would help nobody."""
    group = ExceptionGroup("unhandled", [ValueError("a"), ExceptionGroup("inner", [OSError("b")])])
    assert describe(group) == "ValueError: a; OSError: b"
    assert describe(ExceptionGroup("many", [ValueError(str(n)) for n in range(7)])).endswith(
        "ValueError: 4; and 2 more"
    )


# What never gets in


@pytest.mark.parametrize("format_", ["json", "console"])
@pytest.mark.parametrize("level", ["info", "debug"])
def test_secret_is_nowhere_in_the_log(format_: Format, level: Level) -> None:
    """Not in values, events, keys, exceptions, tracebacks, URLs or reprs, and not by a library's doing."""
    dsn = Dsn("postgresql://toban:p%40ss%2Fword@db/postgres?sslpassword=hunter22")
    log = Log(format=format_, level=level, secrets=[Secret(SECRET), dsn, "-----KEY-----\nMIIEvQIBADAN\n-----END-----"])
    spellings = [
        SECRET,
        "corr%C3%A9ct",
        r"corr\u00e9ct",
        "p@ss/word",
        "p%40ss",
        "hunter22",
        "MIIEvQIBADAN",
        "open5esame",
    ]
    log.say.info(f"event {SECRET}", value=SECRET, nested=[{"a": SECRET}], **{SECRET: 1})
    log.say.info("types", secret=Secret(SECRET), dsn=dsn, url="https://x/?k=corr%C3%A9ct%20h0rse%2Fbattery")
    log.say.info("as others write it", text=repr({"p": SECRET}), js=json.dumps(SECRET), key="MIIEvQIBADAN")
    log.say.info("never registered", password="open5esame", dsn="mysql://a:open5esame@h/", s="password=open5esame")
    try:
        fail(f"connection to p@ss/word with {SECRET} and p%40ss%2Fword failed")
    except ValueError:
        log.say.exception("failed")
        logging.getLogger("asyncpg").exception("foreign %s", SECRET)
    assert log.text.count("\n") >= 6
    assert [spelling for spelling in spellings if spelling in log.text] == []
    assert MASK in log.text


def test_secret_of_a_letter_or_two_spoils_no_other_word() -> None:
    """It is looked for as a word of its own only, and an empty one not at all."""
    blotter = Blotter(["ab", "", Secret("")])
    assert blotter.text("about ab, cab") == f"about {MASK}, cab"


@given(st.integers(0, 3 * LONGEST_TEXT), st.integers(0, 40))
def test_secret_is_not_halved_by_the_cut(before: int, others: int) -> None:
    """Wherever the secret lies in a text that is too long, no part of it is left at the end."""
    secret = "XYZ" * 40
    text = Blotter([secret]).text(secret * others + "-" * before + secret + "-" * 9000)
    assert "XYZ" not in text
    assert len(text) <= LONGEST_TEXT + 1


ATTACK = 'a\nb\r\x1b[2J\x9b31m\u202e\u2028\x00\udc80"=x'


def test_json_line_survives_hostile_text_and_loses_nothing_of_it() -> None:
    """An application name of an attacker's choice is on one line, acts on no terminal, and reads back the same."""
    log = Log()
    log.say.info(ATTACK, **{ATTACK: ATTACK})
    assert len(log.text.splitlines()) == 1
    assert log.text.rstrip("\n").isprintable()
    assert (log.entries[0]["event"], log.entries[0][ATTACK]) == (ATTACK, ATTACK)


def test_console_line_survives_hostile_text() -> None:
    """The same on a terminal: escapes are shown, not obeyed, even in a traceback."""
    log = Log(stream=Terminal(), environ={"NO_COLOR": "1"}, level="debug")
    log.say.info(ATTACK, **{ATTACK: ATTACK}, list=[ATTACK])
    try:
        fail(ATTACK)
    except ValueError:
        log.say.exception("failed")
    assert all(line.isprintable() for line in log.text.split("\n"))
    assert log.text.count("\n") == log.text.count("\n    ") + 2


# Terminal, pipe, journal


def test_console_is_for_terminals_and_json_for_the_rest() -> None:
    """`auto` looks at the stream; a named format is taken at its word."""
    terminal, pipe, told = Log(stream=Terminal()), Log(), Log(format="console")
    for log in (terminal, pipe, told):
        configure(stream=log.stream, environ={}, format="console" if log is told else "auto")
        log.say.info("hello", target="main")
    assert "\x1b[" in terminal.text
    assert pipe.entries[0]["event"] == "hello"
    assert "\x1b[" not in told.text
    assert "hello" in told.text
    assert "target=main" in told.text


def test_console_line_is_for_the_eye() -> None:
    """Time with its zone, level, event, values; quotes only where a value's end would be missed."""
    log = Log(stream=Terminal(), environ={"NO_COLOR": "1"}, zone=JAPAN)
    log.say.warning("target down", target="main", why="no answer", empty="", count=3, up=False)
    head, _, rest = log.text.partition(" warning")
    assert datetime.strptime(head, "%Y-%m-%d %H:%M:%S%z").utcoffset() == timedelta(hours=9)
    assert rest == '  target down logger=daemon.test target=main why="no answer" empty="" count=3 up=false\n'


@pytest.mark.parametrize(("value", "coloured"), [("", True), ("1", False)])
def test_no_color_is_honoured(value: str, coloured: bool) -> None:  # noqa: FBT001 - a table's column
    """NO_COLOR counts when it is not empty."""
    log = Log(stream=Terminal(), environ={"NO_COLOR": value})
    log.say.info("hello")
    assert ("\x1b[" in log.text) is coloured


# Libraries


def test_libraries_take_the_same_way() -> None:
    """Warnings of asyncio and Python itself are entries like ours; their chatter is not, nor who knocks at our port."""
    log = Log()
    logging.getLogger("uvicorn.error").handlers.append(logging.StreamHandler(io.StringIO()))
    configure(stream=log.stream, environ={})
    for name in LIBRARIES:
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("trouble in %s", name)
    warnings.simplefilter("always")
    warnings.warn("old way", DeprecationWarning, stacklevel=1)
    heard = [name for name in LIBRARIES if name != "uvicorn.error"]
    assert [entry["event"] for entry in log.entries[:-1]] == [f"trouble in {name}" for name in heard]
    assert "DeprecationWarning: old way" in log.entries[-1]["event"]


def test_libraries_say_more_under_debug_but_no_urls() -> None:
    """The library httpx tells every URL at info, and a webhook's URL is a secret."""
    log = Log(level="debug")
    for name in LIBRARIES:
        logging.getLogger(name).info("chatter")
    assert {"httpx", "httpcore"} == set(LIBRARIES) - {entry["logger"] for entry in log.entries}


def test_second_configuration_replaces_the_first() -> None:
    """After a reload a line is told once, at the new level and with the new secrets, by loggers of before too."""
    first = Log(level="error")
    logger = first.say.bind(a=1)
    logger.error("before")
    second = Log(level="info", secrets=["marmalade"])
    logger.info("marmalade")
    assert [entry["event"] for entry in first.entries] == ["before"]
    assert [entry["event"] for entry in second.entries] == [MASK]


def test_task_that_fails_unseen_is_one_line() -> None:
    """What asyncio reports of a lost exception has no traceback past the log."""
    log = Log()
    with asyncio.Runner() as runner:
        runner.get_loop().call_exception_handler({"message": "lost", "exception": ValueError("why")})
    assert (log.entries[0]["event"].splitlines()[0], log.entries[0]["error"]) == ("lost", "ValueError: why")


def test_strays_are_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that dies and a finaliser that fails end up as lines without traceback."""
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    log = Log()
    log_strays()

    class Finalised:
        def __del__(self) -> None:
            fail("in a finaliser")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join(timeout=60)
    Finalised().__class__  # noqa: B018 - made and dropped at once
    entries = eventually_sync(lambda: log.entries if len(log.entries) == 2 else None)
    assert entries is not None
    assert [entry["error"] for entry in entries] == ["ValueError: no such thing", "ValueError: in a finaliser"]


PROGRAM = """
import logging, os, sys
from daemon.logs import configure, log_strays
configure(stream=sys.stderr, environ=os.environ, secrets=["sw0rdfish"])
log_strays()
logging.getLogger("asyncio").error("x", exc_info=ValueError("postgresql://u:sw0rdfish@h/ \\x1b[2J sw0rdfish"))
"""


@pytest.mark.integration
@pytest.mark.parametrize("environ", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_process_keeps_secrets_and_controls_off_its_real_stderr(environ: Mapping[str, str]) -> None:
    """The same from outside: bytes on the standard error of a real process."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        env=os.environ | environ,
    )
    assert ended.stdout == b""
    assert ended.stderr.count(b"\n") == 1
    assert b"sw0rdfish" not in ended.stderr
    assert b"\x1b" not in ended.stderr
    assert json.loads(ended.stderr)["error"].startswith(f"ValueError: postgresql://u:{MASK}@h/")


# Repeats


def test_repeats_are_said_at_first_at_a_change_and_now_and_then() -> None:
    """Down every 15 s for half an hour is three lines, with the count of what was not said."""
    repeats = Repeats(remind_seconds=900)
    said = [(second, repeats.due("main", "down", second)) for second in range(0, 1816, 15)]
    assert [(second, count) for second, count in said if count] == [(0, 1), (900, 60), (1800, 60)]
    assert repeats.due("main", "up", 1816) == 1
    assert repeats.due("main", "up", 1817) == 0
    assert repeats.due("main", "down", 1818) == 1


def test_repeats_keep_things_apart_and_forget_what_is_gone() -> None:
    """Each thing has its own count; a thing that comes back is new."""
    repeats = Repeats()
    assert [repeats.due(key, "down", 0) for key in ("a", "b", "a", "b")] == [1, 1, 0, 0]
    repeats.forget("a")
    repeats.forget("never seen")
    assert [repeats.due(key, "down", 1) for key in ("a", "b")] == [1, 0]


def test_repeats_remember_a_bounded_number_of_things() -> None:
    """The one longest not asked about is forgotten first."""
    repeats = Repeats(most=2)
    for key in ("a", "b", "a", "c"):
        repeats.due(key, "down", 0)
    assert [repeats.due(key, "down", 1) for key in ("a", "c", "b")] == [0, 0, 1]


def test_repeats_take_none_for_a_state() -> None:
    """`None` is a state like any other: the first time is said, the second is not."""
    repeats = Repeats()
    assert [repeats.due("a", None, second) for second in (0, 1)] == [1, 0]
