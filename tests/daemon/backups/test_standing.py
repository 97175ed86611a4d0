"""How backups stand, in one sentence."""

from pathlib import Path

import pytest

from backup.plan import Plan, planned
from backup.settings import Backups
from daemon.backups.standing import component_of
from tests.backup.keeper.records import MAIN, a_job, a_record
from tests.builders import START
from toban.backups import BackupRecord, Method, Status, Trouble
from toban.status import Health

PLAN: Plan = planned(
    Backups(repository=Path("/r"), jobs=(a_job(), a_job("weekly"), a_job("wal", method=Method.WAL))), (MAIN,)
)
FAILED = a_record(status=Status.FAILED, trouble=Trouble.SPACE, reason="no space left", at=START + 60)
STOPPED = a_record(status=Status.FAILED, trouble=Trouble.CANCELLED, reason="stopped", at=START + 60)
RUNNING = a_record(status=Status.RUNNING, at=START + 120)
DAMAGED = a_record("weekly", status=Status.DAMAGED, reason="its verification failed: sha256")


@pytest.mark.parametrize(
    ("records", "trouble", "streams", "state", "reason"),
    [
        ([a_record()], "", {}, Health.OK, ""),
        ([], "", {}, Health.OK, ""),
        (None, "", {}, Health.UNKNOWN, "not looked at yet"),
        (None, "/r: is gone", {}, Health.CRITICAL, "/r: is gone"),
        ([a_record(), DAMAGED, DAMAGED], "", {}, Health.CRITICAL, f"{DAMAGED.id} {DAMAGED.reason}, and 1 more"),
        ([RUNNING, FAILED, a_record()], "", {}, Health.WARNING, "nightly failed: no space left"),
        ([STOPPED, a_record()], "", {}, Health.OK, ""),
        ([a_record()], "", {"main": "no slot"}, Health.WARNING, "WAL of main: no slot"),
    ],
)
def test_worst_is_said_with_its_reason(
    records: list[BackupRecord] | None, trouble: str, streams: dict[str, str], state: Health, reason: str
) -> None:
    """What we ended ourselves is no failure."""
    found = component_of(PLAN, records, trouble, streams)
    assert (found.name, found.state, found.reason) == ("backups", state, reason)
