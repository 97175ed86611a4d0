"""`python -m bench.storm`: ten thousand alerts within a second, through the book and the dispatcher, to real receivers.

None may be lost: each is in a message or in a digest of each channel. The event loop tells how late it is woken.
"""

import argparse
import asyncio
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import perf_counter

import uvloop

from alerting.client import HttpWeb
from alerting.dispatcher import Dispatcher
from bench.quantiles import percentile
from history.book.book import Book
from history.book.contract import Page
from tests.alerting.fakes import Desk, HttpChannel
from tests.alerting.notices import a_notice, a_transition, an_alert
from tests.alerting.receivers import Receiver, Reply, Request
from toban.clock import SystemClock

CHANNELS = ("mail", "slack", "pager")
PULSE_SECONDS = 0.002
LAG_GOAL_SECONDS = 0.05
MOST_SECONDS = 120.0
MEGABYTE = 1_000_000


@dataclass(slots=True)
class Taken:
    """What one receiver has taken."""

    keys: set[str] = field(default_factory=set)
    requests: int = 0
    digests: int = 0

    def look(self, request: Request) -> None:
        """One request."""
        key, *members = request.body.decode().split()
        self.keys.update(members or [key])
        self.requests += 1
        self.digests += bool(members)


def main() -> int:
    """Raise the storm, print what became of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.storm", description=__doc__)
    parser.add_argument("--alerts", type=int, default=10_000)
    parser.add_argument("--page", type=int, default=500, help="alerts that are written at once")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="toban-bench-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_storm(Path(folder, "state.db.alerts"), options.alerts, options.page))


async def _storm(path: Path, count: int, size: int) -> int:
    takers = {name: Taken() for name in CHANNELS}
    receivers = {name: Receiver(taken.look) for name, taken in takers.items()}
    for receiver in receivers.values():
        receiver.always(Reply())
        await receiver.start()
    clock, desk, web = SystemClock(), Desk(), HttpWeb()
    book = await Book.open(path, clock)
    channels = {name: Paced(name, receivers[name].url(), clock=clock, client=web) for name in CHANNELS}
    random = Random(1)  # noqa: S311 - no secret
    dispatcher = Dispatcher(channels, book, clock, random, letter=desk.letter, recheck=desk.recheck, act=desk.act)
    running = asyncio.create_task(dispatcher.run())
    lags: list[float] = []
    pulse = asyncio.create_task(_pulse(lags))
    await asyncio.sleep(0.2)
    lags.clear()
    before, started = _resident(), perf_counter()
    written = await _raise(book, dispatcher, clock, count, size)
    raised = perf_counter() - started
    async with asyncio.timeout(MOST_SECONDS):
        while dispatcher.standing.pending:  # noqa: ASYNC110 - bounded above
            await asyncio.sleep(0.05)
    told, grown = perf_counter() - started, _resident() - before
    pulse.cancel()
    running.cancel()
    await asyncio.gather(pulse, running, return_exceptions=True)
    await book.close()
    for receiver in receivers.values():
        await receiver.stop()
    lost = {name: len(written[name] - taken.keys) for name, taken in takers.items()}
    p99 = percentile(lags, 0.99)
    print(
        f"- alerts {count}, notices {sum(map(len, written.values()))}: raised in {raised:.2f} s, told in {told:.2f} s"
    )
    print(
        f"- loop lag p99 {p99 * 1000:.1f} ms, most {max(lags) * 1000:.1f} ms; memory grew by {grown / MEGABYTE:.0f} MB"
    )
    print("| channel | lost | requests | digests |")
    print("| --- | --- | --- | --- |")
    for name, taken in takers.items():
        print(f"| {name} | {lost[name]} | {taken.requests} | {taken.digests} |")
    digests = all(taken.digests for taken in takers.values())
    return 0 if not any(lost.values()) and digests and p99 < LAG_GOAL_SECONDS else 1


class Paced(HttpChannel):
    """As fast as Slack likes it."""

    per_second = 1.0
    burst = 5


async def _raise(book: Book, dispatcher: Dispatcher, clock: SystemClock, count: int, size: int) -> dict[str, set[str]]:
    """The desk's part, spread over one second: pages of alerts with their transitions and notices. The keys."""
    keys: dict[str, set[str]] = {name: set() for name in CHANNELS}
    writes: list[asyncio.Task[None]] = []
    began = perf_counter()
    for first in range(0, count, size):
        alerts, notices = [], []
        for number in range(first, min(first + size, count)):
            alert = an_alert(f"{number:08}", started_at=clock.now(), fired_at=clock.now())
            alerts.append(alert)
            notices += [a_notice(channel=name, alert=alert, created_at=clock.now()) for name in CHANNELS]
            if number % 50 == 49:  # noqa: PLR2004 - the desk lets others in between as well
                await asyncio.sleep(0)
        transitions = tuple(a_transition(alert.episode) for alert in alerts)
        page = Page(alerts=tuple(alerts), transitions=transitions, notices=tuple(notices))
        for notice in notices:
            keys[notice.channel].add(notice.key)
        writes.append(asyncio.create_task(_kept(book, dispatcher, page)))
        await asyncio.sleep(max(0.0, began + (first + size) / count - perf_counter()))
    await asyncio.gather(*writes)
    return keys


async def _kept(book: Book, dispatcher: Dispatcher, page: Page) -> None:
    if not await book.write(page):
        raise SystemExit(f"the book could not be written: {book.trouble}")
    dispatcher.offer(page.notices)


async def _pulse(lags: list[float]) -> None:
    while True:
        started = perf_counter()
        await asyncio.sleep(PULSE_SECONDS)
        lags.append(max(0.0, perf_counter() - started - PULSE_SECONDS))


def _resident() -> int:
    """What is resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


if __name__ == "__main__":
    sys.exit(main())
