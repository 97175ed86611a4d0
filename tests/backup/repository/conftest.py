"""Repositories to try things on, backups with something in them, and a real S3 server."""

import asyncio
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from backup.children import Children
from backup.engines.contract import Surroundings
from backup.programs import Programs
from backup.repository.copies.contract import Copy
from backup.repository.copies.opening import copy_of
from backup.repository.leases import RENEW_SECONDS
from backup.repository.repository import Repository
from backup.settings import Copy as Settings
from tests.backup.repository.builders import a_draft
from tests.builders import ManualClock
from tests.ports import free_port
from tests.waiting import eventually_sync
from toban.backups import BackupRecord, Manifest
from toban.secrets import Secret

ROOT = Path(__file__).parents[3]
Make = Callable[..., Awaitable[BackupRecord]]


@pytest.fixture
async def around(tmp_path: Path, manual_clock: ManualClock) -> AsyncIterator[Surroundings]:
    """The world, with a clock that stands still."""
    children = Children()
    (tmp_path / "workspace").mkdir(0o700)
    yield Surroundings(
        clock=manual_clock, children=children, programs=Programs(), workspace=tmp_path / "workspace", node="db1"
    )
    await children.close()


async def brisk(seconds: float) -> None:
    """Short waits are none; what happens every few seconds is left to that."""
    await asyncio.sleep(seconds if seconds >= RENEW_SECONDS else 0.001)


@pytest.fixture
async def repository(tmp_path: Path, around: Surroundings) -> Repository:
    """An empty one, open."""
    made = Repository(tmp_path / "repository", around=around, pause=brisk)
    await made.open()
    return made


@pytest.fixture
def make(repository: Repository) -> Make:
    """Makes a backup in it."""

    async def made(draft: Manifest | None = None, *, into: Repository | None = None, **files: bytes) -> BackupRecord:
        """With a file of its id's bytes when none is named."""
        async with (into or repository).making(draft or a_draft()) as partial:
            for name, content in (files or {"1-app.dump": partial.id.encode()}).items():
                path = partial.place / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            return await partial.finish(partial.draft)

    return made


@pytest.fixture
async def nas(repository: Repository, tmp_path: Path) -> Copy:
    """The repository's copy in another folder, open."""
    copy = copy_of(Settings(name="nas", path=tmp_path / "nas"), repository)
    await copy.open()
    return copy


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3 server on loopback, empty."""
    port = free_port()
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        eventually_sync(lambda: _answers(endpoint))
        yield endpoint
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def bucket(s3_endpoint: str) -> Settings:
    """A place of this test's own there, as a configuration names it."""
    name = f"bucket-{uuid4().hex[:12]}"
    made = urllib.request.Request(f"{s3_endpoint}/{name}", method="PUT")  # noqa: S310 - http, as above
    with urllib.request.urlopen(made, timeout=60):  # noqa: S310 - likewise
        pass
    return Settings(
        name="offsite",
        url=f"s3://{name}/backups",
        options={"endpoint": s3_endpoint, "region": "us-east-1"},
        access_key=Secret("AKIATEST"),
        secret_key=Secret("very/secret+key"),
    )


@pytest.fixture
async def offsite(repository: Repository, bucket: Settings) -> Copy:
    """The repository's copy, open."""
    copy = copy_of(bucket, repository)
    await copy.open()
    return copy


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/", timeout=10) as answer:  # noqa: S310 - http on loopback
            return bool(answer.status)
    except OSError:
        return False


Dying = Callable[[Path, str], "subprocess.Popen[str]"]


@pytest.fixture
def dying() -> Iterator[Dying]:
    """Starts a daemon of its own that is killed at a moment, or waits to be; ready when it has come so far."""
    with ExitStack() as stack:

        def start(root: Path, moment: str) -> "subprocess.Popen[str]":
            words = [sys.executable, "-m", "tests.backup.repository.dying", str(root), moment]
            process = stack.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT))
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()  # empty when it has died by then
            return process

        yield start
