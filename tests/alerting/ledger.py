"""A receiver that does as it likes, and a ledger of what it has taken: for the tests that kill the sender."""

import asyncio
import sys
from collections import Counter
from pathlib import Path
from random import Random

from tests.alerting.duty_process import CHANNELS, TIMEOUT_SECONDS, episodes, notices_of
from tests.alerting.receivers import HANGS, RESETS, Receiver, Reply, Request

PROCESS_SECONDS = 120.0
MOST_START_SECONDS = 5.0
_MOODS = (Reply(status=429, headers={"retry-after": "0"}), Reply(status=503), HANGS, RESETS)


class Ledger:
    """Which keys have arrived. Of four requests about one meets with a mood; it is over after so many."""

    def __init__(self, seed: int, *, moods: int = 12) -> None:
        self.taken: Counter[str] = Counter()
        self.asked: set[str] = set()
        self.digests: dict[str, set[str]] = {}
        self.changed: set[str] = set()
        self.asked_now = asyncio.Event()
        """Set by each request; whoever waits for the next one clears it."""
        self.receiver = Receiver(self._look)
        self._random = Random(seed)  # noqa: S311 - no secret
        self._moods = moods

    def _look(self, request: Request) -> None:
        key, *members = request.body.decode().split()
        self.asked_now.set()
        if members:
            self._judge_digest(key, set(members))
        keys = members or [key]
        self.asked.update(keys)
        if self._moods and self._random.random() < 0.25:
            self._moods -= 1
            self.receiver.always(self._random.choice(_MOODS))
            return
        self.receiver.always(Reply())
        self.taken.update(keys)

    def _judge_digest(self, key: str, members: set[str]) -> None:
        """A digest that comes again has the same key, and nothing in it that was not there before."""
        if not members <= self.digests.setdefault(key, members):
            self.changed.add(key)


def expected(count: int) -> set[str]:
    """The keys of all notices of so many episodes."""
    return {notice.key for episode in episodes(count) for notice in notices_of(episode, 0.0)}


async def serve(
    book: Path,
    url: str,
    count: int,
    *fuse: str,
    kill_after: float | None = None,
    since: asyncio.Event | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> int | None:
    """Run the process to its end, perhaps a violent one: so long after its start, or after `since`. Its exit status."""
    words = [str(book), url, str(count), str(timeout_seconds), *fuse]
    command = [sys.executable, "-m", "tests.alerting.duty_process", *words]
    process = await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parents[2])
    try:
        if since is not None:
            async with asyncio.timeout(MOST_START_SECONDS):
                await since.wait()
        async with asyncio.timeout(PROCESS_SECONDS if kill_after is None else kill_after):
            return await process.wait()
    except TimeoutError:
        if kill_after is None:
            raise
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


__all__ = ["CHANNELS", "Ledger", "expected", "serve"]
