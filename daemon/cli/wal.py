"""`toban wal`: its options alone. `push` and `fetch` have a quicker way in (backup.wal.command) than through here."""

from typing import Annotated

import typer

from daemon.cli.backup import IdentityFile, RepositoryDir, place_of
from daemon.cli.reading import Json, TargetName

wal_commands = typer.Typer(help="The WAL between the backups: kept, given back, looked at.", no_args_is_help=True)


@wal_commands.callback()
def wal() -> None:
    """The WAL between the backups: kept, given back, looked at."""


@wal_commands.command()
def status(
    ctx: typer.Context,
    target: TargetName = None,
    repository: RepositoryDir = None,
    identity: IdentityFile = None,
    as_json: Json = False,
) -> None:
    """Which moments can be reached, which WAL is missing. Exit status 1 when some is lost."""
    from daemon.answers.backups_wal import answer

    raise typer.Exit(answer(place_of(ctx, repository, identity), target=target, as_json=as_json))


@wal_commands.command()
def push(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="As archive_command has it: %p.")],
    target: TargetName = None,
    repository: RepositoryDir = None,
    compress: Annotated[str | None, typer.Option(help="none, gzip, lz4 or zstd, with a level: zstd:1.")] = None,
) -> None:
    """Keep one segment: `archive_command = 'toban wal push %p'`. Exit status 0 once it is safe on disk."""
    from daemon.answers.wal_carrying import Carried, answer

    carried = Carried(
        action="push",
        operands=(path,),
        config=ctx.obj.config,
        target=target,
        repository=repository,
        compress=compress,
    )
    raise typer.Exit(answer(carried))


@wal_commands.command()
def fetch(  # noqa: PLR0913, PLR0917 - an option each
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As restore_command has it: %f.")],
    dest: Annotated[str, typer.Argument(metavar="DEST", help="As restore_command has it: %p.")],
    target: TargetName = None,
    repository: RepositoryDir = None,
    identity: IdentityFile = None,
    partial: Annotated[bool, typer.Option("--partial", help="Also a segment that was never finished.")] = False,
    accept_gap: Annotated[
        bool, typer.Option("--accept-gap", help="Missing is missing, also where later WAL is there.")
    ] = False,
) -> None:
    """Give one back: `restore_command = 'toban wal fetch %f %p'`. Exit status 1: not there; 126: trouble."""
    from daemon.answers.wal_carrying import Carried, answer

    carried = Carried(
        action="fetch",
        operands=(name, dest),
        config=ctx.obj.config,
        target=target,
        repository=repository,
        identity=identity,
        partial=partial,
        accept_gap=accept_gap,
    )
    raise typer.Exit(answer(carried))
