"""A process that may be killed at any moment: the real book and dispatcher, and a desk that is as small as can be.

`python -m tests.alerting.duty_process BOOK URL EPISODES TIMEOUT [POINT NUMBER]`: alerts fire, one an episode, each is
told through two channels; those that the book knows already are not begun again. It ends when nothing is left to tell.
At the NUMBERth time that it comes by POINT it kills itself, as hard as can be.
"""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from alerting import pace
from alerting.client import HttpWeb
from alerting.dispatcher import Dispatcher
from alerting.messages import Letter
from history.book.book import Book
from history.book.contract import Page
from tests.alerting.fakes import Desk, HttpChannel
from tests.alerting.notices import a_notice, a_transition, an_alert
from toban.alerts import Delivery, Notice, Standing
from toban.clock import SystemClock

CHANNELS = ("first", "second")
POINTS = ("before commit", "after commit", "after send", "after receipt")
PAGE = 3  # alerts
TIMEOUT_SECONDS = 0.5  # where some requests hang on purpose
BACKOFF_SECONDS = 0.02


class Fuse:
    """Ends this process at the n-th time that a point is passed."""

    def __init__(self, point: str, number: int) -> None:
        self._point = point
        self._left = number

    def passed(self, point: str) -> None:
        """We are here."""
        self._left -= point == self._point
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


class FusedBook(Book):
    """The real one, with points to die at."""

    fuse: Fuse

    async def write(self, page: Page) -> bool:
        """Before and after the commit of something new, and of a receipt."""
        if page.alerts:
            self.fuse.passed("before commit")
        kept = await super().write(page)
        if page.alerts:
            self.fuse.passed("after commit")
        if any(notice.standing is Standing.SENT for notice in page.notices):
            self.fuse.passed("after receipt")
        return kept


class FusedChannel(HttpChannel):
    """The real one, with a point to die at."""

    fuse: Fuse

    async def send(self, letter: Letter) -> Delivery:
        """After the send, before anybody here knows of it."""
        delivery = await super().send(letter)
        self.fuse.passed("after send")
        return delivery


def notices_of(episode: str, created_at: float) -> tuple[Notice, ...]:
    """One for each channel."""
    alert = an_alert(episode, started_at=created_at, fired_at=created_at, changed_at=created_at)
    return tuple(a_notice(channel=name, alert=alert, created_at=created_at) for name in CHANNELS)


def episodes(count: int) -> list[str]:
    """Their ids."""
    return [f"{number:08}" for number in range(count)]


async def duty(path: Path, url: str, count: int, timeout_seconds: float, fuse: Fuse) -> None:
    """Take up what is there, let the rest fire, and end when all is told."""
    clock, web = SystemClock(), HttpWeb()
    pace.FIRST_BACKOFF_SECONDS = BACKOFF_SECONDS
    FusedBook.fuse = FusedChannel.fuse = fuse
    book = FusedBook(path, clock)
    found = await book.load()
    assert book.trouble is None, book.trouble
    channels = {
        name: FusedChannel(name, f"{url}{name}", clock=clock, client=web, timeout=timeout_seconds) for name in CHANNELS
    }
    desk, random = Desk(), Random()  # noqa: S311 - no secret
    dispatcher = Dispatcher(channels, book, clock, random, letter=desk.letter, recheck=desk.recheck, act=desk.act)
    dispatcher.resume(found.notices, found.threads)
    running = asyncio.create_task(dispatcher.run())
    known = {alert.episode for alert in found.alerts}
    new = [episode for episode in episodes(count) if episode not in known]
    for at in range(0, len(new), PAGE):
        await fire(book, dispatcher, new[at : at + PAGE], clock.now())
    while dispatcher.standing.pending:  # noqa: ASYNC110 - a process of its own, that is waited for with a bound
        await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await book.close()


async def fire(book: Any, dispatcher: Dispatcher, names: list[str], now: float) -> None:  # noqa: ANN401 - any book
    """These begin: kept as one page, then told."""
    notices = tuple(notice for name in names for notice in notices_of(name, now))
    alerts = {notice.alert.episode: notice.alert for notice in notices}
    transitions = tuple(a_transition(name, at=now) for name in names)
    kept = await book.write(Page(alerts=tuple(alerts.values()), transitions=transitions, notices=notices))
    dispatcher.offer([replace(notice, kept=kept) for notice in notices])


def main() -> None:
    """Read what is asked for."""
    path, url, count, timeout, *rest = sys.argv[1:]
    fuse = Fuse(rest[0], int(rest[1])) if rest else Fuse("", 1)
    asyncio.run(duty(Path(path), url, int(count), float(timeout), fuse))


if __name__ == "__main__":
    main()
