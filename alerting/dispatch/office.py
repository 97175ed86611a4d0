"""What a channel's post asks of the dispatcher."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Protocol

from alerting.channels.contract import Channel
from alerting.messages import Letter
from toban.alerts import Notice
from toban.clock import Clock


class Office(Protocol):
    """What the post asks of the dispatcher."""

    clock: Clock
    random: Random

    async def keep(self, *notices: Notice) -> bool:
        """Write these into the book together."""
        ...

    async def members(self, digest: Notice) -> tuple[Notice, ...]:
        """What a digest found in the book stands for."""
        ...

    def settled(self, notice: Notice, result: str) -> None:
        """It needs no memory any more."""
        ...

    def entered(self, notice: Notice) -> None:
        """It is in memory as well: a digest, or what another channel is told."""
        ...

    def count(self, channel: str, result: str) -> None:
        """For the totals."""
        ...

    def overtaken(self, notice: Notice) -> str:
        """Why it need not be sent; empty where it must."""
        ...

    def letter(self, notice: Notice, channel: Channel[Any], members: Sequence[Notice]) -> Letter:
        """Its words. May fail."""
        ...

    def thread(self, episode: str, channel: str) -> Mapping[str, str] | None:
        """The receipt of the first message; None where none was sent."""
        ...

    def told(self, episode: str, channel: str, receipt: Mapping[str, str]) -> None:
        """The channel knows of an episode."""
        ...

    def arrived(self, lost: Sequence[Notice]) -> bool:
        """Whether what an outcry is about has arrived after all."""
        ...

    def handed_over(self, outcry: Notice, lost: Sequence[Notice]) -> bool:
        """Whether a channel that works will make an outcry which another one could not."""
        ...

    async def cry(self, channel: str, lost: Sequence[Notice], why: str, *also: Notice) -> None:
        """Tell of undelivered notices through another channel; `also` is written with it."""
        ...
