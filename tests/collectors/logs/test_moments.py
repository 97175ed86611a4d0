"""When a line was written, as it says itself."""

import pytest

from collectors.logs.moments import served_at, told_at, written_at
from tests.builders import START
from toban.clock import moment

TEN = 1_795_255_200.0  # 2026-11-21T10:00:00Z


@pytest.mark.parametrize(
    ("line", "at"),
    [
        (b"2026-11-21T10:00:00Z x", TEN),
        (b"[2026-11-21 10:00:00.123 UTC] x", TEN),
        (b"2026-11-21 19:00:00,5+09:00 x", TEN),
        (b"2026-11-21 04:30:00 -0530 x", TEN),
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
