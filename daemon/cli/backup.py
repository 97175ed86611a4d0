"""`toban backup`: its options alone. What the commands do is imported when they are called."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.reading import Json, TargetName

if TYPE_CHECKING:
    from daemon.answers.backups_opening import Place

Id = Annotated[str, typer.Argument(metavar="ID", help="Of the backup; its beginning will do.")]
RepositoryDir = Annotated[
    Path | None,
    typer.Option("--repository", metavar="DIR", help="The repository itself: then no configuration is needed."),
]
IdentityFile = Annotated[
    Path | None, typer.Option("--identity", metavar="FILE", help="age's identity, for what is encrypted.")
]
WorkspaceDir = Annotated[
    Path | None,
    typer.Option("--workspace", metavar="DIR", help="For what must not stay; else beside the state, or in /tmp."),
]

backup_commands = typer.Typer(help="Make backups, list them, read them through, prove them.", no_args_is_help=True)


def place_of(
    ctx: typer.Context, repository: Path | None = None, identity: Path | None = None, workspace: Path | None = None
) -> "Place":
    """Where to look, as it was typed."""
    from daemon.answers.backups_opening import Place

    return Place(
        config=ctx.obj.config,
        language=ctx.obj.language,
        repository=repository,
        identity=identity,
        workspace=workspace,
    )


@backup_commands.callback()
def backup() -> None:
    """Make backups, list them, read them through, prove them."""


@backup_commands.command()
def run(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the job, as it is called under backups.")],
    tag: Annotated[str | None, typer.Option(help="A word to know it by: emergency.")] = None,
    as_json: Json = False,
) -> None:
    """Make one now: by the running daemon, else here. Exit status 1 when it failed."""
    from daemon.answers.backups_running import answer

    raise typer.Exit(answer(place_of(ctx), name=name, tag=tag, as_json=as_json))


@backup_commands.command(name="list")
def list_all(
    ctx: typer.Context,
    target: TargetName = None,
    name: Annotated[str | None, typer.Option(help="Of one job alone.")] = None,
    method: Annotated[str | None, typer.Option(help="dump, base or files.")] = None,
    status: Annotated[str | None, typer.Option(help="running, ok, failed or damaged.")] = None,
    repository: RepositoryDir = None,
    as_json: Json = False,
) -> None:
    """Every backup, the newest first, and how far it is believed: stored, verified, proven."""
    from daemon.answers.backups import answer, which

    wanted = which(target=target, name=name, method=method, status=status)
    raise typer.Exit(answer(place_of(ctx, repository), wanted=wanted, as_json=as_json))


@backup_commands.command()
def show(ctx: typer.Context, backup: Id, repository: RepositoryDir = None, as_json: Json = False) -> None:
    """One backup: its files, rows and notes, and what was found when somebody looked."""
    from daemon.answers.backups_story import answer

    raise typer.Exit(answer(place_of(ctx, repository), backup=backup, as_json=as_json))


@backup_commands.command()
def verify(
    ctx: typer.Context,
    backup: Annotated[str | None, typer.Argument(metavar="[ID]", help="Of the backup; its beginning will do.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    repository: RepositoryDir = None,
    identity: IdentityFile = None,
    workspace: WorkspaceDir = None,
    as_json: Json = False,
) -> None:
    """Read every byte and compare. Exit status 1 when something is not as it was written."""
    from daemon.answers.backups_verifying import answer

    place = place_of(ctx, repository, identity, workspace)
    raise typer.Exit(answer(place, backup=backup, every=every, as_json=as_json))


@backup_commands.command()
def prove(
    ctx: typer.Context,
    backup: Annotated[str | None, typer.Argument(metavar="[ID]", help="Else the newest of each job.")] = None,
    as_json: Json = False,
) -> None:
    """Restore it into a server to throw away, and look. Exit status 1 unless it is proven."""
    from daemon.answers.backups_proving import prove as answer

    raise typer.Exit(answer(place_of(ctx), backup=backup, as_json=as_json))


@backup_commands.command()
def prune(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go and why, and remove nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what is past its time. Every decision is told with its reason."""
    from daemon.answers.backups_pruning import answer

    raise typer.Exit(answer(place_of(ctx), dry_run=dry_run, as_json=as_json))


@backup_commands.command()
def pin(
    ctx: typer.Context,
    backup: Id,
    why: Annotated[str, typer.Option(help="For whoever wonders.")],
    repository: RepositoryDir = None,
    as_json: Json = False,
) -> None:
    """Never remove this one."""
    from daemon.answers.backups_pinning import answer

    raise typer.Exit(answer(place_of(ctx, repository), backup=backup, why=why, as_json=as_json))


@backup_commands.command()
def unpin(ctx: typer.Context, backup: Id, repository: RepositoryDir = None, as_json: Json = False) -> None:
    """It may go when its time is past."""
    from daemon.answers.backups_pinning import answer

    raise typer.Exit(answer(place_of(ctx, repository), backup=backup, why=None, as_json=as_json))


@backup_commands.command()
def copies(ctx: typer.Context, as_json: Json = False) -> None:
    """What lies in the second places. Exit status 1 when one cannot be reached, or lacks a backup."""
    from daemon.answers.backups_copies import answer

    raise typer.Exit(answer(place_of(ctx), as_json=as_json))


@backup_commands.command()
def pull(
    ctx: typer.Context,
    backup: Id,
    copy: Annotated[str, typer.Option("--copy", metavar="NAME", help="The second place, as it is configured.")],
    as_json: Json = False,
) -> None:
    """Fetch one back from a second place into the repository."""
    from daemon.answers.backups_copies import pull as answer

    raise typer.Exit(answer(place_of(ctx), backup=backup, copy=copy, as_json=as_json))
