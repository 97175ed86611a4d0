"""A daemon that is killed while it makes a backup, at the moment that it is told; or that holds something until then.

Started by tests as a program: `python -m tests.backup.repository.dying REPOSITORY MOMENT`.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from backup.children import Children
from backup.engines.contract import Surroundings
from backup.programs import Programs
from backup.repository import durable, partials
from backup.repository.repository import Repository
from tests.backup.repository.builders import a_draft
from toban.clock import SystemClock


def fatal(*_: object) -> None:
    """A call that we do not survive."""
    os.kill(os.getpid(), signal.SIGKILL)


def manifest_and_no_more(path: Path, content: bytes) -> None:
    """Whatever is written, the manifest is the last."""
    durable.write_durably(path, content)
    if path.name == "manifest.json":
        fatal()


def rename_and_no_more(old: Path, new: Path) -> None:
    """The backup has its name, and that is all."""
    durable.rename_durably(old, new)
    fatal()


def prepare(moment: str) -> None:
    """See that we die then."""
    match moment:
        case "digest":
            vars(partials)["digest"] = fatal
        case "sync":
            vars(durable)["sync_file"] = fatal
        case "manifest":
            vars(partials)["write_durably"] = manifest_and_no_more
        case "rename":
            vars(partials)["rename_durably"] = rename_and_no_more


async def main(root: Path, moment: str) -> None:
    """Make a backup, or hold one, or a turn, and wait for the end."""
    around = Surroundings(clock=SystemClock(), children=Children(), programs=Programs(), workspace=root, node="db1")
    repository = Repository(root, around=around)
    await repository.open()
    prepare(moment)
    if moment == "turn":
        async with repository.turn("main", "backup of another"):
            print("ready", flush=True)  # noqa: T201 - for the test that started us
            await asyncio.sleep(60)
    if moment == "hold":
        async with repository.held(repository.records(), "a restore"):
            print("ready", flush=True)  # noqa: T201 - likewise
            await asyncio.sleep(60)
    async with repository.making(a_draft()) as partial:
        (partial.place / "1-app.dump").write_bytes(b"x" * 100_000)
        if moment == "filling":
            print("ready", flush=True)  # noqa: T201 - likewise
            await asyncio.sleep(60)
        await partial.finish(partial.draft)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
