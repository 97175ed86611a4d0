"""How far long commands have come: vacuum, analyze, index builds, rewrites, base backups, copies. One cheap query."""

from typing import Any

from pydantic import Field

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.failures import SETUP_HINT
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query
from toban.outcomes import Gap, Reason
from toban.progress import Progress
from toban.samples import Batch, Findings, Metric, Unit

COMMANDS = ("analyze", "basebackup", "cluster", "copy", "create index", "reindex", "vacuum", "vacuum full")
_CONCURRENTLY = " concurrently"

RUNNING = Metric(
    name="toban_pg_progress_commands",
    help="Commands at work that tell how far they have come, autovacuum's among them",
    labels=("command",),
)
RATIO = Metric(
    name="toban_pg_progress_ratio",
    help="Share of its present phase that a command has done; of several in one phase at one table the least advanced",
    unit=Unit.RATIO,
    labels=("command", "datname", "relname", "phase"),
)
SECONDS = Metric(
    name="toban_pg_progress_seconds",
    help="Since when the command has been at work; of several at one table the longest",
    unit=Unit.SECONDS,
    labels=("command", "datname", "relname"),
)


class ProgressSettings(CollectorSettings):
    """How often, and how many commands at most."""

    shown: int = Field(default=30, ge=1, le=1000)


class ProgressCollector(Collector[PostgresServer, ProgressSettings]):
    """The commands at work that report their progress."""

    name = "progress"
    purpose = "How long a vacuum, an index build, a copy or a base backup still takes, without asking who runs it."
    kind = Kind.POSTGRESQL
    metrics = (RUNNING, RATIO, SECONDS)
    settings_model = ProgressSettings
    query = Query("progress")

    async def collect(self) -> Findings:
        """One look; a kind of command that nobody runs counts zero."""
        rows = await self.source.fetch(self.query, self.settings.shown)
        found = tuple(_progress(row) for row in rows if self._in_scope(row["datname"]))
        batch = Batch(self.clock.now())
        for command in COMMANDS:
            batch.add(RUNNING, sum(_kind(one) == command for one in found), command)
        _add(batch, found)
        hidden = sum(row["hidden"] for row in rows if self._in_scope(row["datname"]))
        return Findings(samples=batch.samples, gaps=_unseen(hidden), rows=found)

    def _in_scope(self, datname: str) -> bool:
        return not datname or self.source.databases.chosen(datname)


def _progress(row: Any) -> Progress:  # noqa: ANN401 - asyncpg ships no types
    done, total = row["done"], row["total"]
    known = done is not None and total is not None
    told = ("command", "pid", "datname", "relname", "phase", "unit", "seconds", "usename", "autovacuum")
    return Progress(
        done=done if total is not None or row["unit"] == "bytes" else None,
        total=total,
        ratio=min(done / total, 1.0) if known else None,  # a table may have grown since its blocks were counted
        **{name: row[name] for name in told},
    )


def _kind(progress: Progress) -> str:
    return progress.command.removesuffix(_CONCURRENTLY)


def _add(batch: Batch, found: tuple[Progress, ...]) -> None:
    """Labels without the pid, which would make a series for each run: so the worst of equal ones counts."""
    ratios: dict[tuple[str, ...], float] = {}
    seconds: dict[tuple[str, ...], float] = {}
    for one in found:
        labels = (_kind(one), one.datname, one.relname)
        if one.ratio is not None:
            ratios[*labels, one.phase] = min(one.ratio, ratios.get((*labels, one.phase), 1.0))
        if one.seconds is not None:
            seconds[labels] = max(one.seconds, seconds.get(labels, 0.0))
    for which, ratio in ratios.items():
        batch.add(RATIO, ratio, *which)
    for which, longest in seconds.items():
        batch.add(SECONDS, longest, *which)


def _unseen(hidden: int) -> tuple[Gap, ...]:
    if not hidden:
        return ()
    detail = "that they run is known, not how far they have come"
    return (Gap(what="commands of other roles", reason=Reason.PRIVILEGE, count=hidden, detail=detail, hint=SETUP_HINT),)
