"""How far long work has come: a bar on a terminal, a plain line now and then elsewhere. On standard error."""

import sys
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from daemon.answers.printing import plain
from toban.backups import Progress
from toban.catalogue import CATALOGUE, say
from toban.clock import Clock, SystemClock
from toban.language import Language
from toban.printable import printable
from toban.units import size_text

LINE_SECONDS: Final = 10.0
WHAT_LETTERS: Final = 60


class Telling:
    """Hears `Progress`, and shows it. Nothing is shown where programs read and nobody watches."""

    def __init__(
        self, language: Language, *, quiet: bool = False, out: Console | None = None, clock: Clock | None = None
    ) -> None:
        self._language = language
        self._out = out or Console(file=sys.stderr, highlight=False)
        self._clock = clock or SystemClock()
        self._shown = self._out.is_terminal
        self._quiet = quiet and not self._shown
        self._phase, self._told_at = "", 0.0
        self._bars: Bars | None = None
        self._bar: TaskID | None = None

    def __enter__(self) -> Self:
        if self._shown:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[far]}"))
            self._bars = Bars(*columns, TimeElapsedColumn(), console=self._out, transient=True)
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, progress: Progress) -> None:
        """It has come so far."""
        if self._bars is not None:
            self._draw(self._bars, progress)
        elif not self._quiet:
            self._write(progress)

    def _draw(self, bars: Bars, progress: Progress) -> None:
        said = plain(sentence(progress, self._language))
        if self._bar is None or progress.phase != self._phase:
            if self._bar is not None:
                bars.remove_task(self._bar)
            self._phase, self._bar = progress.phase, bars.add_task(said, total=progress.total_bytes, far="")
        completed, far = progress.done_bytes, how_far(progress)
        bars.update(self._bar, description=said, completed=completed, total=progress.total_bytes, far=far, refresh=True)

    def _write(self, progress: Progress) -> None:
        """A line for each phase, and for a long one every ten seconds."""
        now = self._clock.monotonic()
        if progress.phase == self._phase and now - self._told_at < LINE_SECONDS:
            return
        self._phase, self._told_at = progress.phase, now
        far = how_far(progress)
        self._out.print(plain(sentence(progress, self._language)) + (f": {far}" if far else ""), soft_wrap=True)


def how_far(progress: Progress) -> str:
    """`512 kB / 1 MB`; nothing where nothing is done yet."""
    if not progress.done_bytes:
        return ""
    done = size_text(progress.done_bytes)
    return f"{done} / {size_text(progress.total_bytes)}" if progress.total_bytes else done


def sentence(progress: Progress, language: Language) -> str:
    """`dumping shop`."""
    what = printable(progress.what)[:WHAT_LETTERS]
    return f"{phase_text(progress.phase, language)} {what}".strip()


def phase_text(phase: str, language: Language) -> str:
    """A phase in words; one that the catalogue does not know by its own name."""
    key = f"backups.phase.{phase}"
    return say(key, language) if key in CATALOGUE else printable(phase)
