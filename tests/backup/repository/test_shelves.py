from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.repository import repository as module
from backup.repository.layout import backup_id
from backup.repository.repository import Repository
from tests.backup.repository.builders import a_draft
from tests.builders import START
from toban.backups import (
    DrillRecord,
    Trouble,
)

MOST = 5


async def test_attempts_are_bounded_and_the_oldest_leave(
    tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that fails every minute for months fills no disk."""
    monkeypatch.setattr(module, "MOST_ATTEMPTS", MOST)
    repository = Repository(tmp_path / "r", around=around)
    await repository.open()
    folder = repository.root / ".toban" / "attempts" / "main"
    error = BackupError("pg_dump", "no answer", trouble=Trouble.UNREACHABLE)
    for number in range(MOST + 3):
        await repository.keep_attempt(a_draft(at=START + number), error)
    assert len(list(folder.iterdir())) == MOST
    assert repository.records()[-1].id == backup_id("nightly", START + 3)
    assert repository.records()[0].reason == "pg_dump: no answer"


async def test_attempt_that_cannot_be_read_is_left_out(repository: Repository) -> None:
    """The memory of a failure that somebody spoilt is not worth an exception."""
    await repository.keep_attempt(a_draft(), TimeoutError())
    (path,) = (repository.root / ".toban" / "attempts" / "main").iterdir()
    path.write_text("{")
    (path.parent / ".tmp-1-x.json").write_text("{")
    assert repository.records() == ()


async def test_drills_are_kept_newest_first(repository: Repository) -> None:
    """What drills took is written down, by target or all of them."""

    def a_drill(name: str, target: str, at: float) -> DrillRecord:
        return DrillRecord(
            id=backup_id(name, at), name=name, target=target, backup="x", at=at, wanted="latest", ok=True, rto_seconds=3
        )

    drills = [a_drill("a", "main", START), a_drill("b", "shop", START + 10), a_drill("c", "main", START + 20)]
    for drill in drills:
        await repository.keep_drill(drill)
    assert repository.drills() == tuple(reversed(drills))
    assert repository.drills("main") == (drills[2], drills[0])
    assert repository.drills("nobody") == ()
