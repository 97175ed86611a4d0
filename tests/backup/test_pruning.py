from datetime import UTC

from backup.errors import BackupError
from backup.pruning import prune
from backup.settings import Keep
from tests.backup.records import NOW, WEEK, a_base
from toban.backups import (
    BackupRecord,
    Trouble,
)

# --- doing it ---------------------------------------------------------------------------------------------------------


class Shelf:
    """A place that notes what is removed, and refuses some."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.removed: list[tuple[str, str]] = []

    async def remove(self, record: BackupRecord, why: str) -> None:
        """Take one away."""
        if record.id in self.refused:
            raise BackupError(record.id, "Input/output error", trouble=Trouble.REPOSITORY)
        self.removed.append((record.id, why))


KEEPS = {"base": Keep(for_=WEEK, at_least=1), "daily": Keep(for_=WEEK, at_least=1)}


async def test_pruning_removes_what_was_decided_with_its_reason() -> None:
    """A dry run removes nothing and says the same."""
    records = [a_base(1), a_base(20), a_base(30)]
    shelf = Shelf()
    dry = await prune(shelf, records, keeps=KEEPS, now=NOW, zone=UTC, window_seconds=WEEK, archived=(), dry_run=True)
    assert (shelf.removed, dry.removed, dry.freed_bytes) == ([], (), 0)
    done = await prune(shelf, records, keeps=KEEPS, now=NOW, zone=UTC, window_seconds=WEEK, archived=())
    assert done.decisions == dry.decisions
    assert [one.id for one in done.removed] == [records[2].id, records[1].id]
    assert shelf.removed[1][1] == "20.0 days old, kept for 7d, and enough newer good ones are there"
    assert done.kept == {records[0].id}
    assert done.failed == {}


async def test_pruning_keeps_the_parents_of_what_could_not_be_removed() -> None:
    """A disk that refuses one removal costs no backup its parent; the others go."""
    full = a_base(40)
    first = a_base(39, "daily", parent=full)
    second = a_base(38, "daily", parent=first)
    lone = a_base(50)
    records = [a_base(1), a_base(1.5, "daily", parent=a_base(1)), full, first, second, lone]
    shelf = Shelf(second.id)
    done = await prune(shelf, records, keeps=KEEPS, now=NOW, zone=UTC, window_seconds=WEEK, archived=())
    assert [one.id for one in done.removed] == [lone.id]
    assert done.failed[second.id] == f"{second.id}: Input/output error"
    assert done.failed[first.id] == f"{first.id}: another one builds on it, and is there still"
    assert set(done.failed) == {second.id, first.id, full.id}
