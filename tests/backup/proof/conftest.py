"""What tests of proofs ask for: a world of real programs, whose children end with the test."""

from collections.abc import AsyncIterator

import pytest

from backup.engines.contract import Surroundings
from tests.backup.proof.scenes import a_world


@pytest.fixture
async def around() -> AsyncIterator[Surroundings]:
    """A workspace of its own; nothing is left in it but the programs that were copied there."""
    with a_world() as world:
        yield world
        await world.children.close()
        assert [path.name for path in world.workspace.iterdir() if path.name != "programs"] == []
