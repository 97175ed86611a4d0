"""Completion for bash, zsh and fish. typer would look at the parent process for the shell; here one names it."""

import os
from typing import Annotated

import typer

PROGRAM = "toban"
COMPLETE_VARIABLE = "_TOBAN_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


def show(shell: str | None) -> None:
    """Print what the shell is to read, and end."""
    if shell is None:
        return
    if shell not in SHELLS:
        raise typer.BadParameter(f"{shell!r} is none of {', '.join(SHELLS)}", param_hint="--show-completion")
    from typer._completion_shared import get_completion_script

    typer.echo(get_completion_script(prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, shell=shell))
    raise typer.Exit


ShowCompletion = Annotated[
    str | None,
    typer.Option(
        metavar="SHELL", callback=show, is_eager=True, help="Completion for bash, zsh or fish, for its start-up file."
    ),
]


def prepare() -> None:
    """Let a shell that asks for completions have them: typer knows how once it is told to."""
    if COMPLETE_VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
