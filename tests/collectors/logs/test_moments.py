"""When a line was written, as it says itself."""

import time
from collections.abc import Callable, Iterator

import pytest

from collectors.logs.moments import served_at, server_wrote_at, told_at, written_at
from tests.builders import START
from toban.clock import moment

TEN = 1_795_255_200.0  # 2026-11-21T10:00:00Z
TEN_HERE = time.mktime((2026, 11, 21, 10, 0, 0, 0, 0, -1))  # by the machine's own time zone


@pytest.mark.parametrize(
    ("line", "at"),
    [
        (b"2026-11-21T10:00:00Z x", TEN),
        (b"[2026-11-21 10:00:00.123 UTC] x", TEN),
        (b"2026-11-21 19:00:00,5+09:00 x", TEN),
        (b"2026-11-21 04:30:00 -0530 x", TEN),
        (b"2026-11-21 19:00:00.123 JST [42] x", TEN),
        (b"2026-11-21 05:00:00 EST x", TEN),
        (b"2026-11-21 10:00:00 ESTIMATE x", TEN_HERE),
        (b"2026-13-21 10:00:00 x", None),
        (b"Foo 21 10:00:00 db1 x", None),
        (b"Nov 31 10:00:00 db1 x", None),
        (b"no time 2026-11-21T10:00:00Z", None),
    ],
)
def test_text_begins_with_its_time(line: bytes, at: float | None) -> None:
    """ISO 8601 with and without a zone's name, and nothing that only looks like it."""
    assert written_at(line, TEN) == at


def test_syslog_is_of_the_last_twelve_months() -> None:
    """It does not say the year: December, read in November, was last year's."""
    december, november = written_at(b"Dec 24 10:00:00 db1 x", START), written_at(b"Nov  1 10:00:00 db1 x", START)
    assert december is not None
    assert november is not None
    assert moment(december).year == moment(START).year - 1
    assert moment(november).year == moment(START).year


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """The system's zone, set for a test."""

    def use(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield use
    monkeypatch.undo()
    time.tzset()


def test_syslog_of_the_new_year_is_of_today(in_zone: Callable[[str], None]) -> None:
    """In Tokyo it is nine hours old when UTC's begins: its lines are not a year old."""
    in_zone("Asia/Tokyo")
    half_past_midnight = 1_798_731_000.0  # 2026-12-31T15:30:00Z
    assert written_at(b"Jan  1 00:30:00 db1 x", half_past_midnight + 5) == half_past_midnight
    assert written_at(b"Dec 31 23:30:00 db1 x", half_past_midnight + 5) == half_past_midnight - 3600


def test_hour_that_comes_twice_is_the_second_once_that_has_begun(in_zone: Callable[[str], None]) -> None:
    """Summer time ends: 02:30 in Berlin is 00:30 and 01:30 in UTC."""
    in_zone("Europe/Berlin")
    first = 1_792_888_200.0  # 2026-10-25T00:30:00Z
    assert written_at(b"2026-10-25 02:30:00 x", first + 5) == first
    assert written_at(b"2026-10-25 02:30:00 x", first + 3605) == first + 3600
    assert written_at(b"Oct 25 02:30:00 db1 x", first + 3605) == first + 3600
    assert told_at("2026-10-25 02:30:00", first + 3605) == first + 3600


def test_zone_that_may_be_several_is_no_time() -> None:
    """CST is Chicago's and China's: rather now than fourteen hours off. A word behind a time is no zone elsewhere."""
    assert server_wrote_at(b"2026-11-21 10:00:00.123 CST [42] x", TEN) is None
    assert server_wrote_at(b"2026-11-21 10:00:00.123 UTC [42] x", TEN) == TEN
    assert server_wrote_at(b"2026-11-21 19:00:00.123 +09 [42] x", TEN) == TEN
    assert written_at(b"2026-11-21 10:00:00 ERROR x", TEN) is not None


@pytest.mark.parametrize(
    ("line", "at"),
    [
        (b'192.0.2.1 - - [21/Nov/2026:19:00:00 +0900] "GET / HTTP/1.1" 200 1', TEN),
        (b'192.0.2.1 - - [21/Foo/2026:19:00:00 +0900] "GET / HTTP/1.1" 200 1', None),
        (b"no request", None),
    ],
)
def test_request_has_its_time(line: bytes, at: float | None) -> None:
    """With the month as a word, and an offset."""
    assert served_at(line) == at


@pytest.mark.parametrize(
    ("value", "at"),
    [("2026-11-21T10:00:00+00:00", TEN), (TEN, TEN), (TEN * 1000, TEN), (True, None), (None, None), (-1, None)],
)
def test_field_tells_its_time(value: object, at: float | None) -> None:
    """As text, as seconds or as milliseconds."""
    assert told_at(value) == at
