"""`toban setup`: prepare a server for Toban. Imports wait until a command runs."""

from typing import Annotated

import typer

setup_commands = typer.Typer(help="Prepare a server for Toban.", no_args_is_help=True)


@setup_commands.callback()
def setup() -> None:
    """Prepare a server for Toban."""


@setup_commands.command()
def postgresql(
    context: typer.Context,
    dsn: Annotated[
        str, typer.Argument(metavar="DSN", help="An administrator's way in, to the database for statistics.")
    ],
    apply: Annotated[bool, typer.Option("--apply", help="Run it. Needs a superuser.")] = False,
    role: Annotated[str, typer.Option(help="The role that Toban connects as.")] = "toban",
    backups: Annotated[bool, typer.Option("--backups", help="It makes the backups, too: it reads everything.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Print the SQL for all that Toban lacks on this server: role, extension, settings. --apply runs it."""
    import os

    from daemon.setup import postgresql as setup_postgresql
    from toban.language import choose_language

    language = choose_language(asked=context.obj.language, configured=None, environ=os.environ)
    raise typer.Exit(
        setup_postgresql.setup(dsn, role=role, apply=apply, as_json=as_json, language=language, backups=backups)
    )
