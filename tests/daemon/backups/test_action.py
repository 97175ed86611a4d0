"""The alert action `backup`."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from backup.errors import BackupError
from daemon.backups.action import BackupRunner
from tests.backup.keeper.records import a_record
from toban.alerts import Alert, Delivery, Key, Outcome
from toban.backups import BackupRecord, Status, Trouble

ALERT = cast("Alert", SimpleNamespace(key=Key("connections", "main")))


class Kept:
    """A keeper that does what a test says, and notes why it was asked."""

    def __init__(self, answer: BackupRecord | BackupError, obstacle: str = "") -> None:
        self.answer = answer
        self.told = obstacle
        self.asked: list[tuple[str, str]] = []

    async def obstacle(self, _: str) -> str:
        """As the test says."""
        return self.told

    async def run(self, job: str, why: str) -> BackupRecord:
        """Noted."""
        self.asked.append((job, why))
        if isinstance(self.answer, BackupError):
            raise self.answer
        return self.answer


async def test_backup_is_made_for_an_alert_and_named() -> None:
    """Its id is the receipt; why it was made is known."""
    record = a_record(size=2048)
    kept = Kept(record)
    runner = BackupRunner(kept.obstacle, kept.run)
    assert await runner.preflight("nightly", ALERT) == ""
    assert await runner.run("nightly", ALERT) == Delivery(
        outcome=Outcome.SENT, detail=f"{record.id}, 2 kB", receipt={"backup": record.id}
    )
    assert kept.asked == [("nightly", "alert connections main")]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (BackupError("disk", "no space left", "make room", trouble=Trouble.SPACE), "disk: no space left (make room)"),
        (a_record(status=Status.DAMAGED, reason="cut off"), f"{a_record().id} is damaged: cut off"),
    ],
)
async def test_backup_that_is_none_is_told_as_that(answer: Any, detail: str) -> None:  # noqa: ANN401 - either
    """With its reason, and never again."""
    kept = Kept(answer)
    assert await BackupRunner(kept.obstacle, kept.run).run("nightly", ALERT) == Delivery(
        outcome=Outcome.REFUSED, detail=detail
    )


async def test_preflight_says_why_not_now() -> None:
    """And nothing is begun."""
    kept = Kept(a_record(), obstacle="no space left")
    assert await BackupRunner(kept.obstacle, kept.run).preflight("nightly", ALERT) == "no space left"
    assert kept.asked == []
