"""The channel that is always there: the last alerts in memory, for the pages and for whoever follows them live."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from alerting.channels.contract import Channel, ChannelSettings
from alerting.messages import Letter
from toban.alerts import Delivery, Outcome

MOST_SHOWN: Final = 500
NAME: Final = "dashboard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One letter; `number` counts them from 1, and never goes back while the daemon runs."""

    number: int
    at: float
    letter: Letter


class DashboardSettings(ChannelSettings):
    """It needs none."""

    kind: Literal["dashboard"] = "dashboard"


class Dashboard(Channel[DashboardSettings]):
    """What the pages show."""

    kind = "dashboard"
    settings_model = DashboardSettings
    per_second: ClassVar[float] = 1000.0
    burst: ClassVar[int] = 1000
    keyed = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on
        super().__init__(*args, **kwargs)
        self._shown: deque[Shown] = deque(maxlen=MOST_SHOWN)
        self._keys: deque[str] = deque(maxlen=MOST_SHOWN)
        self._number = 0
        self._news = asyncio.Event()

    async def send(self, letter: Letter) -> Delivery:
        """Show it; one that is shown already is not shown again."""
        if letter.key not in self._keys:
            self._number += 1
            self._keys.append(letter.key)
            self._shown.append(Shown(number=self._number, at=self.clock.now(), letter=letter))
            self._news.set()
            self._news = asyncio.Event()
        return Delivery(outcome=Outcome.SENT, detail="shown")

    @property
    def shown(self) -> tuple[Shown, ...]:
        """The latest first."""
        return tuple(reversed(self._shown))

    async def later(self, number: int = 0) -> tuple[Shown, ...]:
        """What came after this number, the oldest first, as soon as there is any; the caller bounds the wait."""
        while self._number <= number:
            await self._news.wait()
        return tuple(one for one in self._shown if one.number > number)
