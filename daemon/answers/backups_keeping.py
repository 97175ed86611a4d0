"""The keeper, for a command: what the daemon has all the time a command makes for its own work."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from backup.keeper import Keeper
from backup.keeping.happenings import Happening
from daemon.answers.backups_opening import Place, Shelf, opened
from daemon.configuration.backing import plan_of
from toban.errors import ConfigurationError
from toban.printable import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A keeper with its repository, and what it told of besides."""

    keeper: Keeper
    shelf: Shelf
    heard: list[Happening] = field(default_factory=list)

    def tell(self) -> None:
        """What is to be known though the work was done: something unusual, a copy that stayed behind."""
        for one in self.heard:
            print(printable(f"toban: {one.subject}: {one.sentence}"), file=sys.stderr)


@asynccontextmanager
async def keeping(place: Place) -> AsyncIterator[Kept]:
    """A keeper for as long as the block lasts. What it does needs the configuration."""
    async with opened(place, create=True) as shelf:
        if shelf.configuration is None:
            raise ConfigurationError("configuration", "is needed for this", "name it with -c")
        plan, heard = plan_of(shelf.configuration), list[Happening]()
        keeper = Keeper(plan, shelf.repository, shelf.around, zone=shelf.zone, hear=heard.append)
        yield Kept(keeper=keeper, shelf=shelf, heard=heard)
