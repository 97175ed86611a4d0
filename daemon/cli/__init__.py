"""The command line: `main` is the program."""

from daemon.cli.app import main

__all__ = ["main"]
