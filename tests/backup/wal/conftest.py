"""What the tests of WAL may ask for: the surroundings that work with backups is given."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backup.children import Children
from backup.engines.contract import Surroundings
from backup.programs import Programs
from toban.clock import SystemClock


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Surroundings]:
    """This machine, with a workspace of the test's own."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    children = Children()
    yield Surroundings(clock=SystemClock(), children=children, programs=Programs(), workspace=workspace)
    await children.close()
