"""Somebody's own SQL at any target that speaks it: an entry is a query, each of its value columns a metric.

Its cost is its author's decision, within its `every` and `timeout`: it stretches nobody's cadence, and nobody's turn
waits for it but that of a visit to a database. What goes wrong with it says nothing of the target's health.
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from collectors.contract import Collector, Kind, SqlSource
from collectors.custom.answers import Columns
from collectors.custom.settings import PREFIX, CustomSettings, same_metrics
from toban.clock import Clock
from toban.samples import Findings

ANSWER_SHARE = 0.9  # of the timeout: the target ends what is late before the turn does, and so can say what it was
SPEAKS_SQL = frozenset({Kind.POSTGRESQL, Kind.SQLITE, Kind.MARIADB})


class Custom(Collector[SqlSource, CustomSettings]):
    """One entry."""

    name = "custom"
    purpose = "What only your own tables know: orders today, jobs that wait, money that is missing."
    kind = None
    listed = True
    lane = "databases"
    metrics: ClassVar = ()
    prefixes = (PREFIX,)
    settings_model = CustomSettings
    asks = False  # whether the target is up, those say that ask what can be answered

    def __init__(self, source: SqlSource, settings: CustomSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._columns: Columns | None = None

    @classmethod
    def serves(cls, kind: Kind) -> bool:
        """Wherever there are tables."""
        return kind in SPEAKS_SQL

    @classmethod
    def clashes(cls, entries: Sequence[Any]) -> Iterator[tuple[int, str]]:
        """Those that would give one metric twice, as far as their words show it."""
        return same_metrics(entries)

    async def collect(self) -> Findings:
        """Ask once."""
        answer = await self.source.ask(
            self.settings.sql,
            timeout_seconds=self.settings.timeout * ANSWER_SHARE,
            most_rows=self.settings.most_rows,
            database=self.settings.database,
        )
        if self._columns is None or self._columns.names != answer.columns:
            self._columns = Columns(self.settings, answer.columns)
        return self._columns.findings(answer, self.clock.now())
