"""What the demonstration shows: the live view, a line for those without a terminal, and the table at the end."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from daemon.answers.printing import STYLES, console, plain, table
from daemon.demo.acts import Act
from daemon.demo.receiver import Receiver
from daemon.watch import Ledger
from daemon.world import World
from toban.catalogue import say
from toban.language import Language
from toban.outcomes import Reason
from toban.samples import Unit
from toban.statements import RunningQuery, StatementText, StatementUse
from toban.units import NOTHING, count_text, seconds_text, value_text

STATEMENTS_SHOWN = 5
MESSAGES_SHOWN = 4
TEXT_LETTERS = 60


class Scene:
    """The running demonstration, as somebody sees it."""

    def __init__(
        self, world: World, language: Language, receiver: Receiver | None = None, acts: Sequence[Act] = ()
    ) -> None:
        self.world = world
        self._receiver = receiver
        self._acts = acts
        self.language = language
        self._commits: tuple[float, float] | None = None
        self._rate: float | None = None
        self._texts: dict[str, str] = {}
        self._uses: dict[str, StatementUse] = {}

    async def live(self, stop: asyncio.Event, *, every_seconds: float) -> None:
        """Renew the view until it is to stop."""
        with Live(self.view(), console=console(), auto_refresh=False) as shown:
            while not stop.is_set():
                shown.update(self.view(), refresh=True)
                with suppress(TimeoutError):
                    async with asyncio.timeout(every_seconds):
                        await stop.wait()

    def view(self) -> RenderableType:
        """The whole view."""
        self._learn()
        return Group(
            Columns([self._figures(), self._host()]), self._statements(), self._running(), self._heard(), self._kept()
        )

    def line(self) -> str:
        """The same in one line."""
        self._learn()
        return "  ".join(f"{name}: {value}" for name, value in [*self._shop(), *self._machine()])

    def _shop(self) -> list[tuple[str, str]]:
        say_of = self.language
        return [
            (say("demo.connections", say_of), self._value("toban_pg_connections")),
            (say("demo.transactions", say_of), NOTHING if self._rate is None else count_text(round(self._rate, 1))),
            (say("demo.cache_hit", say_of), self._value("pg_cache_hit_ratio", "shop")),
            (say("demo.size", say_of), self._value("pg_database_size_bytes", "shop")),
        ]

    def _machine(self) -> list[tuple[str, str]]:
        return [
            (say("demo.cpu", self.language), self._value("toban_host_cpu_ratio")),
            (say("demo.memory", self.language), self._value("toban_host_memory_used_ratio")),
            (say("demo.load", self.language), self._value("toban_host_load1")),
        ]

    def _figures(self) -> RenderableType:
        return Panel(_grid(self._shop()), title="PostgreSQL")

    def _host(self) -> RenderableType:
        return Panel(_grid(self._machine()), title=say("kind.host", self.language))

    def _statements(self) -> RenderableType:
        columns = ("calls", "total_time", "mean_time", "statement")
        calls, total, mean, text = (say(f"column.{column}", self.language) for column in columns)
        made = table(say("demo.slow", self.language), f">{calls}", f">{total}", f">{mean}", text)
        slowest = sorted(self._uses.values(), key=lambda use: use.seconds / use.calls, reverse=True)
        for use in slowest[:STATEMENTS_SHOWN]:
            made.add_row(
                count_text(use.calls),
                seconds_text(use.seconds, self.language),
                seconds_text(use.seconds / use.calls, self.language),
                plain(" ".join(self._texts.get(use.queryid, use.queryid).split())[:TEXT_LETTERS]),
            )
        return made

    def _running(self) -> RenderableType:
        columns = ("pid", "application", "query_age", "wait")
        made = table(
            say("table.running", self.language), *(say(f"column.{column}", self.language) for column in columns)
        )
        for _, query in self.world.current.rows(self.world.clock.monotonic(), RunningQuery):
            age = NOTHING if query.query_seconds is None else seconds_text(query.query_seconds, self.language)
            made.add_row(str(query.pid), plain(query.application_name), age, plain(query.wait_event))
        return made

    def _heard(self) -> RenderableType:
        """What the receiver was told last, and what to type."""
        heard = self._receiver.heard[-MESSAGES_SHOWN:] if self._receiver else []
        lines = [f"[{STYLES.get(one.severity, '')}]{plain(one.title)}[/]" for one in heard]
        return Panel(
            "\n".join(lines) or say("demo.heard.nothing", self.language), title=say("demo.told", self.language)
        )

    def _kept(self) -> RenderableType:
        """How far the backup has come."""
        lines = [act_line(act, self.language) for act in self._acts]
        return Panel(
            "\n".join(lines) or say("demo.backup.coming", self.language), title=say("demo.backup", self.language)
        )

    def _learn(self) -> None:
        """Keep what the last collections brought: rates between two of them, texts and uses of statements."""
        now = self.world.clock.monotonic()
        for _, text in self.world.current.rows(now, StatementText):
            self._texts[text.queryid] = text.text
        for _, use in self.world.current.rows(now, StatementUse):
            if use.calls and use.queryid != "other":
                self._uses[use.queryid] = use
        found = list(self.world.current.samples(now, pattern="pg_stat_database_xact_commit"))
        if not found:
            return
        at, total = found[0][1].taken_at, sum(sample.value for _, sample in found)
        if self._commits is not None and at > self._commits[0]:
            self._rate = (total - self._commits[1]) / (at - self._commits[0])
        if self._commits is None or at > self._commits[0]:
            self._commits = (at, total)

    def _value(self, name: str, label: str | None = None) -> str:
        found = [
            sample
            for _, sample in self.world.current.samples(self.world.clock.monotonic(), pattern=name)
            if label is None or label in sample.labels
        ]
        if not found:
            return NOTHING
        unit = found[0].unit
        total = sum(sample.value for sample in found) if unit is Unit.NONE else found[0].value
        return value_text(total, unit, self.language)


def act_line(act: Act, language: Language) -> str:
    """One thing that was to happen, with a sign for whether it did."""
    sign, style = ("✓", "green") if act.done else ("✗", "bold red")
    return f"[{style}]{sign} {say(act.key, language)}  {plain(act.detail)}[/]"


def seen(world: World, language: Language) -> tuple[Table, list[str]]:
    """What each collector brought, and the names of those that brought nothing."""
    columns = ("target", "collector", "values", "duration", "reason")
    heads = [say(f"column.{column}", language) for column in columns]
    made = table(say("demo.measured", language), heads[0], heads[1], f">{heads[2]}", f">{heads[3]}", heads[4])
    missing = []
    for watch in world.watches.values():
        for name, ledger in watch.ledgers.items():
            last = ledger.last
            if not _shown(ledger):
                missing.append(f"{watch.name}/{name}")
            reason = f"{last.failure.reason}: {last.failure.detail}" if last and last.failure else ""
            gaps = ", ".join(f"{gap.what} ({gap.reason})" for gap in last.gaps) if last else ""
            took = NOTHING if last is None else seconds_text(last.duration_seconds, language)
            made.add_row(watch.name, name, count_text(len(last.samples) if last else 0), took, plain(reason or gaps))
    return made, missing


def _shown(ledger: Ledger) -> bool:
    """Whether a collector has shown something; one that this host offers nothing to has nothing to show."""
    failure = ledger.failure
    if failure is not None:
        return failure.reason is Reason.UNSUPPORTED
    return ledger.last_success_at is not None


def _grid(rows: list[tuple[str, str]]) -> Table:
    made = Table.grid(padding=(0, 2))
    for name, value in rows:
        made.add_row(name, f"[bold]{plain(value)}[/]")
    return made
