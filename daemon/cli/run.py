"""`toban run` and `toban demo`."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer


def run(ctx: typer.Context) -> None:
    """The daemon, in the foreground. SIGHUP reloads, SIGTERM stops."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the loop listens: there is nothing to lose yet
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # likewise: the files are about to be read anyway
    from daemon.configuration import load
    from daemon.running import run as run_daemon

    raise typer.Exit(run_daemon(lambda: load(ctx.obj.config, os.environ), os.environ))


def demo(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Go once around, print what was seen, and end.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="For /metrics; a free one by default.")] = 0,
    keep: Annotated[Path | None, typer.Option(help="Keep everything in this folder instead of removing it.")] = None,
) -> None:
    """A throw-away PostgreSQL with some load, and the daemon on it."""
    from daemon.demo import run_demo

    raise typer.Exit(run_demo(once=once, port=port, keep=keep, language=ctx.obj.language))
