"""What the commands print with: one console, honest about where it prints to, and JSON."""

import sys
from typing import Any

from rich.console import Console
from rich.markup import escape

from daemon.answers.tables import table
from daemon.documents import json_text
from toban.printable import printable

__all__ = ["STYLES", "console", "plain", "print_json", "table"]

WIDTH_OF_A_FILE = 160
STYLES = {"ok": "green", "warning": "yellow", "critical": "bold red", "unknown": "dim"}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """The reader has gone, which is no error: `main` ends quietly. rich would exit with 1."""
        raise  # noqa: PLE0704 - rich calls it where it caught the error


def console() -> Console:
    """A terminal's console, or plain wide lines for a pipe or a file. NO_COLOR is honoured by rich."""
    return _Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)


def plain(text: str) -> str:
    """Foreign text as it is: rich must not read markup in a database's name, nor a terminal its escapes."""
    return escape(printable(text))


def print_json(document: Any) -> None:  # noqa: ANN401 - whatever JSON can carry
    """A document for programs."""
    print(json_text(document, indent=2))
