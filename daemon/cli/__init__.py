"""The command line: `main` is the program."""

import os
import sys

__all__ = ["main"]

INTERRUPTED = 130
_ABORT = 126  # what makes PostgreSQL give up a recovery; up to 125 it takes for "not there", and is promoted


def main() -> None:
    """Run one command. What PostgreSQL calls for each segment of WAL is answered before anything large is imported."""
    fetching = "wal" in sys.argv and "fetch" in sys.argv
    try:
        _answered()
    except SystemExit as end:
        if fetching and end.code in (2, 3):
            sys.exit(_ABORT)
        raise
    except KeyboardInterrupt:  # imports take longer than some people wait
        sys.exit(INTERRUPTED)
    except Exception as error:  # an installation that is being replaced lacks what is to be imported, for a moment
        if not fetching:
            raise
        print(f"toban: internal fault: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(_ABORT)


def _answered() -> None:
    """By the quick way in, else by the ordinary one."""
    if "wal" in sys.argv:
        from backup.wal.command import answer

        status = answer(sys.argv[1:], os.environ)
        if status is not None:
            sys.exit(status)
    from daemon.cli.app import main as ordinary

    ordinary()
