"""A daemon that keeps no backups, and one that begins to at a reload."""

import subprocess
import sys
from pathlib import Path

import pytest

from backup.errors import BackupError
from daemon.backups.door import Door
from tests.daemon.serving import configured
from toban.clock import SystemClock

ROOT = Path(__file__).parents[3]
SQLITE = {"name": "ledger", "kind": "sqlite", "path": "/nonexistent/ledger.db"}


def a_door() -> Door:
    """Nothing that it tells is heard."""
    return Door(clock=SystemClock(), accept=lambda *_: None)


def test_daemon_without_backups_does_not_load_what_makes_them() -> None:
    """Engines, schedule and proof are megabytes of a process that may only watch."""
    makers = ("backup.keeper", "backup.engines.dump", "backup.proof", "apscheduler")
    code = f"import sys, daemon.cli.app, daemon.running; sys.exit(any(m.startswith({makers}) for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


async def test_door_without_backups_says_what_is_missing(tmp_path: Path) -> None:
    """To an alert action that asks for one, in a sentence."""
    door = a_door()
    await door.start(configured(tmp_path))
    assert (door.open, door.component()) == (None, None)
    assert await door.obstacle("nightly") == "backups: none are configured (name a repository under backups)"
    with pytest.raises(BackupError, match="none are configured"):
        await door.run("nightly", "an alert")
    await door.stop()


async def test_door_opens_and_closes_with_the_configuration(tmp_path: Path) -> None:
    """A reload that names a repository begins; one that takes it away ends."""
    door, without = a_door(), configured(tmp_path, SQLITE)
    await door.start(without)
    try:
        await door.renew(configured(tmp_path, SQLITE, backups={"repository": str(tmp_path / "kept"), "floor": "1B"}))
        assert door.open is not None
        assert door.component() is not None
        assert await door.obstacle("weekly") != ""
        await door.renew(without)
        assert door.component() is None
        assert door.open is None
    finally:
        await door.stop()
