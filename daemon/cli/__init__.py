"""The command line: `main` is the program."""

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run one command. What PostgreSQL calls for each segment of WAL is answered before anything large is imported."""
    fetching = False
    if "wal" in sys.argv:
        from backup.wal.command import answer

        status = answer(sys.argv[1:], os.environ)
        if status is not None:
            sys.exit(status)
        fetching = "fetch" in sys.argv
    from daemon.cli.app import main as ordinary

    try:
        ordinary()
    except SystemExit as end:
        if fetching and end.code in (2, 3):  # PostgreSQL would take that for "not there", and be promoted
            sys.exit(126)
        raise
