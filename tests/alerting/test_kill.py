"""Killed at any point between the decision and the receipt, every notice arrives, under the key it always had."""

import signal
from pathlib import Path

import pytest

from history.book.reader import open_book_reader
from tests.alerting.duty_process import POINTS
from tests.alerting.ledger import Ledger, expected, serve
from toban.alerts import Standing

pytestmark = pytest.mark.integration
EPISODES = 9


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("point", POINTS)
async def test_notices_arrive_after_a_kill(tmp_path: Path, point: str, number: int) -> None:
    """A receiver that also refuses, hangs and resets: at least once each, no key changed, none unexpected."""
    ledger, book = Ledger(seed=7 * number + len(point)), tmp_path / "state.db.alerts"
    await ledger.receiver.start()
    try:
        killed = await serve(book, ledger.receiver.url(), EPISODES, point, str(number))
        assert killed == -signal.SIGKILL
        assert await serve(book, ledger.receiver.url(), EPISODES) == 0
    finally:
        await ledger.receiver.stop()
    assert ledger.receiver.faults == []
    assert ledger.asked == expected(EPISODES)
    assert set(ledger.taken) == expected(EPISODES)
    with open_book_reader(book) as reader:
        assert {notice.key for notice in reader.notices(standing=Standing.SENT)} == expected(EPISODES)
        assert len(reader.alerts()) == EPISODES


async def test_notices_arrive_once_where_nobody_is_killed(tmp_path: Path) -> None:
    """The other side of it: with a receiver that takes all, none comes twice."""
    ledger, book = Ledger(seed=1, moods=0), tmp_path / "state.db.alerts"
    await ledger.receiver.start()
    try:
        assert await serve(book, ledger.receiver.url(), EPISODES, timeout_seconds=60.0) == 0
    finally:
        await ledger.receiver.stop()
    assert ledger.taken == dict.fromkeys(expected(EPISODES), 1)
