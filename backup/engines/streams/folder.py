"""A private folder for one piece of work: what lies in it, passwords among it, goes with the work."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def own_folder(workspace: Path, what: str) -> AsyncIterator[Path]:
    """Made with mode 0700, and removed whatever happens."""
    await asyncio.to_thread(workspace.mkdir, 0o700, parents=True, exist_ok=True)
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=f"{what}-", dir=workspace))
    try:
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
