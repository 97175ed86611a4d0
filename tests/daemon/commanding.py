"""A command in the test's own process, up to and with its exit status: what a person types, without a start-up each."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from daemon.cli import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How it ended and what it said."""

    status: int
    out: str
    err: str


def toban(*words: object, **environment: str) -> Ended:
    """`toban WORDS`, on wide plain lines."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["toban", *map(str, words)])
        for name, value in {"COLUMNS": "200", "NO_COLOR": "1", "LC_ALL": "C.UTF-8", **environment}.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            main()
    return Ended(status=int(end.value.code or 0), out=out.getvalue(), err=err.getvalue())
