"""A channel that a test scripts, a book in memory, and a dispatcher that a test turns by hand."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, ClassVar

from alerting.channels.contract import Channel, ChannelSettings
from alerting.client import HttpWeb
from alerting.dispatch.letters import plain
from alerting.dispatcher import Dispatcher
from alerting.messages import Letter
from alerting.web import WebError
from history.book.contract import Page
from tests.alerting.notices import a_notice
from tests.builders import ManualClock
from toban.alerts import Delivery, Notice, Outcome, Standing
from toban.clock import Clock

SENT = Delivery(outcome=Outcome.SENT, receipt={"ts": "1"})
RETRY = Delivery(outcome=Outcome.RETRY, detail="status 500")
REFUSED = Delivery(outcome=Outcome.REFUSED, detail="status 400")
GONE = Delivery(outcome=Outcome.GONE, detail="status 410")
Answer = Delivery | Exception | Callable[[Letter], Awaitable[Delivery]]


class NoWeb:
    """For channels that speak to nobody."""

    async def post(self, url: str, **_: Any) -> Any:  # noqa: ANN401 - never answers
        """Nobody is there."""
        raise WebError("no web")

    get = post


class FakeChannel(Channel[ChannelSettings]):
    """Answers as scripted, and else that it has sent; it forgets nothing."""

    kind = "fake"
    settings_model = ChannelSettings
    per_second = 0.0

    def __init__(self, name: str, *, clock: Clock, **settings: Any) -> None:  # noqa: ANN401 - of any setting
        super().__init__(name, ChannelSettings(kind="fake", **settings), web=NoWeb(), clock=clock)
        self.letters: list[Letter] = []
        self.script: deque[Answer] = deque()
        self.closed = False

    async def send(self, letter: Letter) -> Delivery:
        """What the script says."""
        self.letters.append(letter)
        answer = self.script.popleft() if self.script else SENT
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Delivery) else await answer(letter)

    async def close(self) -> None:
        """Part."""
        self.closed = True

    @property
    def told(self) -> list[tuple[str, str]]:
        """(episode, what) of each letter."""
        return [(letter.notice.alert.episode, letter.notice.what.value) for letter in self.letters]


class HttpChannel(Channel[ChannelSettings]):
    """A real one, as small as can be: posts the key; 429 and 5xx are for later, the rest is a refusal."""

    kind = "http"
    settings_model = ChannelSettings
    per_second: ClassVar[float] = 0.0

    def __init__(self, name: str, url: str, *, clock: Clock, client: HttpWeb, **settings: Any) -> None:  # noqa: ANN401 - of any setting
        super().__init__(name, ChannelSettings(kind="http", **settings), web=client, clock=clock)
        self.url = url

    async def send(self, letter: Letter) -> Delivery:
        """POST the key, and those of the members of a digest."""
        keys = [letter.key, *(member.key for member in letter.digest)]
        try:
            answer = await self.web.post(self.url, body=" ".join(keys).encode(), timeout_seconds=self.settings.timeout)
        except WebError as error:
            return Delivery(outcome=Outcome.RETRY, detail=error.detail, unsure=error.unsure)
        if answer.status < 300:
            return Delivery(outcome=Outcome.SENT, receipt={"status": str(answer.status)})
        again = answer.status == 429 or answer.status >= 500
        return Delivery(outcome=Outcome.RETRY if again else Outcome.REFUSED, detail=f"status {answer.status}")


class FakeBook:
    """Keeps pages in memory, and refuses them when told to."""

    def __init__(self) -> None:
        self.pages: list[Page] = []
        self.notices: dict[str, Notice] = {}
        self.refuses = False
        self.renewed = 0
        self.gate: asyncio.Event | None = None

    async def write(self, page: Page) -> bool:
        """Keep it."""
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        if self.refuses:
            return False
        self.pages.append(page)
        self.notices.update((notice.key, notice) for notice in page.notices)
        return True

    async def pending(self, known: frozenset[str], most: int) -> tuple[Notice, ...]:
        """What waits."""
        standings = (Standing.PENDING, Standing.INFLIGHT)
        waiting = (one for one in self.notices.values() if one.standing in standings and one.key not in known)
        return tuple(waiting)[:most]

    async def members(self, digest: str) -> tuple[Notice, ...]:
        """What says so."""
        return tuple(notice for notice in self.notices.values() if notice.detail == f"in digest {digest}")

    def states(self, notice: Notice) -> list[str]:
        """The standings of a notice, as they were written."""
        return [one.standing.value for page in self.pages for one in page.notices if one.key == notice.key]


class Half(Random):
    """Not random: half of everything."""

    def random(self) -> float:
        """Always the middle."""
        return 0.5


class Desk:
    """What the dispatcher asks others for: words, what is overtaken, and deeds."""

    def __init__(self) -> None:
        self.overtaken: dict[str, str] = {}
        self.deeds: list[Notice] = []
        self.answer: Delivery | Exception = SENT
        self.fault: Exception | None = None

    def letter(self, notice: Notice, _channel: Channel[Any], members: Sequence[Notice]) -> Letter:
        """Plain words."""
        if self.fault is not None:
            raise self.fault
        return replace(plain(notice, members), node="db1")

    def recheck(self, notice: Notice) -> str:
        """By episode."""
        return self.overtaken.get(notice.alert.episode, "") if notice.what != "resolved" else ""

    async def act(self, notice: Notice) -> Delivery:
        """As told."""
        self.deeds.append(notice)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Stage:
    """A dispatcher with fake channels on a clock that the test turns."""

    def __init__(self, clock: ManualClock, channels: Mapping[str, Channel[Any]], book: Any = None) -> None:  # noqa: ANN401 - a fake or the real one
        self.clock = clock
        self.book = FakeBook() if book is None else book
        self.desk = Desk()
        self.dispatcher = Dispatcher(
            channels, self.book, clock, Half(), letter=self.desk.letter, recheck=self.desk.recheck, act=self.desk.act
        )

    async def offer(self, *notices: Notice) -> None:
        """Keep them, as the desk does, and offer them."""
        kept = await self.book.write(Page(notices=notices))
        self.dispatcher.offer([replace(notice, kept=kept) for notice in notices])

    async def settle(self) -> None:
        """Let every post do all that it can do now."""
        for _ in range(10_000):
            await self.dispatcher.mind()
            waits = [await post.turn() for post in list(self.dispatcher._posts.values())]
            if all(wait > 0 for wait in waits):
                return
        raise AssertionError("it never comes to rest")

    async def pass_time(self, seconds: float) -> None:
        """Time passes, and then they do what they can."""
        self.clock.advance(seconds)
        await self.settle()


def kept(stage: Stage, notice: Notice) -> Notice:
    """As the book has it now."""
    found: Notice = stage.book.notices[notice.key]
    return found


def many(count: int, channel: str = "slack", **of: Any) -> list[Notice]:  # noqa: ANN401 - any field of an alert
    """Notices of so many episodes."""
    return [a_notice(f"{n:08}", channel, of=of) for n in range(count)]
