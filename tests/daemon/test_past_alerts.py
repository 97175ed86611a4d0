"""What is told of alerts without a running daemon."""

from datetime import UTC
from pathlib import Path

from daemon.past_alerts import open_past
from history.book.book import book_path
from history.book.contract import Page
from tests.alerting.notices import an_alert
from tests.builders import START, ManualClock
from tests.history.books import book_at
from toban.alerts import Severity


async def test_past_alerts_tell_a_storm_as_it_is(tmp_path: Path) -> None:
    """Twelve hundred that are open are so many, and the oldest of them, the critical one, is among them."""
    state, clock = tmp_path / "state.db", ManualClock()
    async with book_at(book_path(state), clock) as book:
        storm = tuple(an_alert(f"{n:08}") for n in range(1200))
        assert await book.write(
            Page(alerts=(an_alert("oldest00", severity=Severity.CRITICAL, started_at=START - 999), *storm))
        )
    with open_past(state, clock, UTC) as past:
        assert len(past.active()) == len(past.alerts()) == 1201
        assert [one["id"] for one in past.alerts(severity=Severity.CRITICAL)] == ["oldest00"]
        assert [one["id"] for one in past.alerts(every=True, severity=Severity.CRITICAL)] == ["oldest00"]
