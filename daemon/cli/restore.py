"""`toban restore` and `toban drill`: their options alone. What they do is imported when they are called."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.backup import Id, IdentityFile, RepositoryDir, WorkspaceDir, place_of
from daemon.cli.reading import Json

Into = Annotated[
    str | None, typer.Option(metavar="DSN", help="A server that takes the dump; its database must not exist.")
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="For a base backup, a folder; for SQLite a file.")
]
Database = Annotated[str | None, typer.Option(help="One database of the dump alone.")]
Tables = Annotated[
    list[str] | None, typer.Option("--table", metavar="SCHEMA.TABLE", help="One table alone; may be repeated.")
]
NewName = Annotated[str | None, typer.Option("--as", metavar="NAME", help="The database's new name.")]
ToTime = Annotated[str | None, typer.Option(metavar="T", help="ISO 8601, with an offset or in the configured zone.")]
ToXid = Annotated[str | None, typer.Option(metavar="X", help="A transaction.")]
ToName = Annotated[str | None, typer.Option(metavar="N", help="A restore point.")]
ToLsn = Annotated[str | None, typer.Option(metavar="L", help="A place in the WAL: 0/16B3748.")]
ToLatest = Annotated[bool, typer.Option("--to-latest", help="All that there is.")]
Timeline = Annotated[int | None, typer.Option(help="Else the newest that leads on without a gap.")]
Exclusive = Annotated[bool, typer.Option("--exclusive", help="Stop right before the moment.")]
AcceptGap = Annotated[bool, typer.Option("--accept-gap", help="WAL is missing, and what is before the gap will do.")]
Replace = Annotated[bool, typer.Option("--replace", help="Over what exists.")]
WithRoles = Annotated[
    bool, typer.Option("--roles/--no-roles", help="Make the roles of a dump that the server lacks, or leave them be.")
]
Jobs = Annotated[int, typer.Option(min=1, max=64, help="How many at once.")]
Owner = Annotated[str | None, typer.Option(help="Whose the files shall be, when you are root.")]
Verify = Annotated[
    bool | None, typer.Option("--verify/--no-verify", help="Read every byte first; else if nobody has yet.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Look whether it will work, and change nothing.")]


def restore(  # noqa: PLR0913, PLR0917 - an option each
    ctx: typer.Context,
    backup: Id,
    into: Into = None,
    data_dir: DataDir = None,
    database: Database = None,
    table: Tables = None,
    rename: NewName = None,
    to_time: ToTime = None,
    to_xid: ToXid = None,
    to_name: ToName = None,
    to_lsn: ToLsn = None,
    to_latest: ToLatest = False,
    timeline: Timeline = None,
    exclusive: Exclusive = False,
    accept_gap: AcceptGap = False,
    replace: Replace = False,
    roles: WithRoles = True,
    jobs: Jobs = 1,
    owner: Owner = None,
    verify: Verify = None,
    dry_run: DryRun = False,
    repository: RepositoryDir = None,
    identity: IdentityFile = None,
    workspace: WorkspaceDir = None,
    as_json: Json = False,
) -> None:
    """Give a backup back, in a new place. Needs the repository alone. Exit status 1 when it cannot be."""
    from backup.restore.ordering import Order
    from daemon.answers.backups_opening import known
    from daemon.answers.backups_restore import answer
    from daemon.asked_backups import dsn_asked, moment_asked

    place = place_of(ctx, repository, identity, workspace)
    named = {"time": to_time, "xid": to_xid, "name": to_name, "lsn": to_lsn}
    zone = known(place).zone
    moment = moment_asked(**named, latest=to_latest, timeline=timeline, exclusive=exclusive, zone=zone)
    order = Order(
        backup=backup,
        moment=moment,
        database=database,
        tables=tuple(table or ()),
        into=dsn_asked("--into", into),
        data_dir=data_dir.absolute() if data_dir is not None else None,
        rename=rename,
        replace=replace,
        with_roles=roles,
        jobs=jobs,
        accept_gap=accept_gap,
        owner=owner,
        identity=identity.absolute() if identity is not None else None,
        verify=verify,
    )
    raise typer.Exit(answer(place, order=order, dry_run=dry_run, as_json=as_json))


def drill(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of the drill; else all of them.")] = None,
    past: Annotated[bool, typer.Option("--past", help="Those that were, instead.")] = False,
    as_json: Json = False,
) -> None:
    """Restore for its own sake, with the clock running: RPO and RTO, measured. Exit status 1 when a goal is missed."""
    from daemon.answers.backups_drills import drill as answer
    from daemon.answers.backups_drills import past as answer_past

    if past:
        raise typer.Exit(answer_past(place_of(ctx), name=name, as_json=as_json))
    raise typer.Exit(answer(place_of(ctx), name=name, as_json=as_json))
