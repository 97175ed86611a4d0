"""From when on, as people write it."""

from zoneinfo import ZoneInfo

import pytest

from daemon.asked import moment_asked
from daemon.documents import stamp
from tests.builders import START
from toban.errors import UsageError

TOKYO = ZoneInfo("Asia/Tokyo")


def test_since_is_a_span_or_a_time_in_the_configured_zone() -> None:
    """With an offset of its own it means that."""
    assert moment_asked("90s", START, TOKYO) == START - 90
    assert moment_asked("1970-01-02", START, TOKYO) == 86400 - 9 * 3600
    assert moment_asked("1970-01-02T00:00:00+00:00", START, TOKYO) == 86400


def test_since_the_beginning_of_all_years_is_since_there_are_computers() -> None:
    """East of Greenwich the year 1 begins in the year 0, which no calendar of ours can write."""
    assert stamp(moment_asked("0001-01-01", START, TOKYO), TOKYO) == "1970-01-01T09:00:00+09:00"


@pytest.mark.parametrize("text", ["", "soon", "-1h", "2026-13-01", "9999-12-31T23:59:59"])
def test_since_that_is_none_or_in_the_future_is_wrong_usage(text: str) -> None:
    """Said in one line."""
    with pytest.raises(UsageError, match="--since"):
        moment_asked(text, START, TOKYO)
