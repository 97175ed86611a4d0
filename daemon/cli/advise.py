"""`toban advise`: what a person may do, and the statement that does it. Imports wait until a command runs."""

from typing import Annotated

import typer

from daemon.cli.reading import Json, TargetName

advise_commands = typer.Typer(help="Advice, with what to run. Nothing is changed.", no_args_is_help=True)


@advise_commands.callback()
def advise() -> None:
    """Advice, with what to run. Nothing is changed."""


@advise_commands.command()
def indexes(ctx: typer.Context, target: TargetName = None, as_json: Json = False) -> None:
    """Unused, duplicate, redundant, invalid and missing indexes, with the SQL."""
    from daemon.answers.advice_indexes import answer
    from daemon.answers.asking import asked

    raise typer.Exit(answer(asked(ctx.obj.config, ctx.obj.language), target=target, as_json=as_json))


@advise_commands.command()
def bloat(
    ctx: typer.Context,
    target: TargetName = None,
    exact: Annotated[bool, typer.Option("--exact", help="Count with pgstattuple: reads whole tables.")] = False,
    database: Annotated[str | None, typer.Option(help="One database alone.")] = None,
    top: Annotated[int, typer.Option(min=1, max=1000, help="Tables, and indexes, to count in each database.")] = 10,
    as_json: Json = False,
) -> None:
    """Tables and indexes that take more room than they need."""
    from daemon.answers.advice_bloat import answer
    from daemon.answers.asking import asked

    options = asked(ctx.obj.config, ctx.obj.language)
    raise typer.Exit(answer(options, target=target, exact=exact, database=database, top=top, as_json=as_json))


@advise_commands.command()
def pool(
    ctx: typer.Context,
    target: TargetName = None,
    preset: Annotated[str | None, typer.Option(help="high_load or stable; else the usual sizes.")] = None,
    clients: Annotated[int | None, typer.Option(min=1, max=1_000_000, help="Most clients at once.")] = None,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Write both files there; - prints both.")] = None,
    as_json: Json = False,
) -> None:
    """pgbouncer.ini and a SCRAM userlist for a PostgreSQL target, each line with its why."""
    from daemon.answers.advice_pool import answer
    from daemon.answers.asking import asked

    options = asked(ctx.obj.config, ctx.obj.language)
    raise typer.Exit(answer(options, target=target, preset=preset, clients=clients, out=out, as_json=as_json))


@advise_commands.command()
def security(ctx: typer.Context, target: TargetName = None, as_json: Json = False) -> None:
    """What is open, expired, out of date or left lying about, the gravest first: files, certificates, ports, roles."""
    from daemon.answers.advice_security import answer
    from daemon.answers.asking import asked

    raise typer.Exit(answer(asked(ctx.obj.config, ctx.obj.language), target=target, as_json=as_json))


@advise_commands.command()
def settings(  # noqa: PLR0913, PLR0917 - an option each
    ctx: typer.Context,
    target: TargetName = None,
    ram: Annotated[str | None, typer.Option(help="Memory of the server's machine: 8GB; else this machine's.")] = None,
    cores: Annotated[int | None, typer.Option("--cpus", min=1, max=4096, help="Its cores.")] = None,
    disk: Annotated[str | None, typer.Option(help="What the data lies on: ssd or hdd.")] = None,
    connections: Annotated[int | None, typer.Option(min=1, max=262143, help="How many are wanted.")] = None,
    workload: Annotated[str, typer.Option(help="oltp, dw or mixed.")] = "mixed",
    as_json: Json = False,
) -> None:
    """Memory, WAL, planner, parallel, autovacuum and log settings for the machine, each with its why and the SQL."""
    from daemon.answers.advice_settings import answer, given
    from daemon.answers.asking import asked

    told = given(ram=ram, cores=cores, disk=disk, connections=connections, workload=workload)
    raise typer.Exit(answer(asked(ctx.obj.config, ctx.obj.language), told, target=target, as_json=as_json))
