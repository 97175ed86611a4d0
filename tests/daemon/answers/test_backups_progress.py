"""Long work shows how far it has come, and is ended in order."""

import asyncio
import io
import os
import signal

import pytest
from rich.console import Console

from daemon.answers.backups_opening import carried_out
from daemon.answers.backups_progress import Telling
from tests.builders import ManualClock
from toban.backups import Progress
from toban.language import Language

HALF = Progress(phase="dump", done_bytes=512, total_bytes=1024, what="shop")


def a_console(*, terminal: bool) -> Console:
    """One whose words can be read afterwards."""
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, highlight=False, color_system=None)


def said(out: Console) -> str:
    """What it was told to print."""
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_a_terminal_has_a_bar() -> None:
    """With what is done of how much; it is gone afterwards, and another phase has another."""
    out = a_console(terminal=True)
    with Telling(Language.EN, out=out) as tell:
        tell(HALF)
        tell(Progress(phase="digest", what="[red]x\x1b"))
    assert "dumping shop" in said(out)
    assert "512 B / 1 kB" in said(out)
    assert "computing digests [red]x\\e" in said(out)


def test_elsewhere_there_is_a_line_for_each_phase_and_now_and_then() -> None:
    """Not one for each step."""
    out, clock = a_console(terminal=False), ManualClock()
    with Telling(Language.EN, out=out, clock=clock) as tell:
        tell(HALF)
        tell(HALF)
        clock.advance(10)
        tell(Progress(phase="dump", done_bytes=1024, what="shop"))
        tell(Progress(phase="sync"))
    assert said(out).splitlines() == ["dumping shop: 512 B / 1 kB", "dumping shop: 1 kB", "syncing to disk"]


def test_programs_are_told_nothing() -> None:
    """Where nobody watches."""
    out = a_console(terminal=False)
    with Telling(Language.JA, quiet=True, out=out) as tell:
        tell(HALF)
    assert said(out) == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_work_in_order(number: signal.Signals) -> None:
    """What was begun is cleared away; the command then ends as interrupted, with 130."""
    cleared: list[bool] = []

    async def work() -> int:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            cleared.append(True)
        return 0

    with pytest.raises(KeyboardInterrupt):
        carried_out(work)
    assert cleared == [True]
