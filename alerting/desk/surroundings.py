"""What the desk asks of others: the book, the dispatcher, and what the daemon knows of the watched."""

from collections.abc import Sequence
from typing import Protocol

from history.book.contract import Page
from toban.alerts import Alert, Notice


class Book(Protocol):
    """Where pages are kept."""

    @property
    def renewed(self) -> int:
        """Grows when what was kept before may be missing."""
        ...

    async def write(self, page: Page) -> bool:
        """Keep a page whole; False where that cannot be done now."""
        ...


class Dispatcher(Protocol):
    """Who sends what is kept."""

    def offer(self, notices: Sequence[Notice]) -> None:
        """Take notices in. Never waits, never fails."""
        ...


class Surroundings(Protocol):
    """What the daemon knows besides the values. All of it is at hand: nothing here waits."""

    def evidence(self, alert: Alert) -> str | None:
        """What was going on when it fired, as bounded JSON."""
        ...

    def progress(self, target: str) -> tuple[str, ...]:
        """Which maintenance is under way there: vacuum, create_index and the like."""
        ...

    def left_seconds(self, alert: Alert) -> float | None:
        """Until what fills up is full, where that is known."""
        ...

    def host_of(self, target: str) -> str:
        """The host that a target runs on, as an alert would name it; empty where nobody knows."""
        ...
