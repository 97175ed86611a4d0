"""The commands that read: their options alone. What they do is imported when they are called."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="For programs.")]
TargetName = Annotated[str | None, typer.Option("--target", help="One target alone.")]


def status(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also what is not offered here, or only wants time.")] = False,
    as_json: Json = False,
) -> None:
    """Overall health, each target, active alerts. Exit status 1 when it is not fine."""
    from daemon.answers.asking import asked
    from daemon.answers.status import answer

    raise typer.Exit(answer(asked(ctx.obj.config, ctx.obj.language), every=every, as_json=as_json))


def metrics(
    ctx: typer.Context,
    pattern: Annotated[str, typer.Argument(metavar="[GLOB]", help="Which metrics, as a shell pattern.")] = "*",
    target: TargetName = None,
    describe: Annotated[
        str | None, typer.Option("--describe", metavar="NAME", help="What this metric is, and why it is empty.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Values now. Exit status 1 when nothing matches."""
    from daemon.answers.asking import asked
    from daemon.answers.metrics import answer

    if describe is not None:
        from daemon.answers import describe as describing

        raise typer.Exit(describing.answer(asked(ctx.obj.config, ctx.obj.language), name=describe, as_json=as_json))
    raise typer.Exit(answer(asked(ctx.obj.config, ctx.obj.language), pattern=pattern, target=target, as_json=as_json))


def statements(
    ctx: typer.Context,
    by: Annotated[str, typer.Option(help="total, mean or calls.")] = "total",
    since: Annotated[str, typer.Option(help="How far back: 30m, 1h, 7d.")] = "1h",
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 10,
    target: TargetName = None,
    as_json: Json = False,
) -> None:
    """The slow ones: what the statements of a span cost, by total time, mean time or calls."""
    from daemon.answers.asking import asked
    from daemon.answers.statements import answer

    options = asked(ctx.obj.config, ctx.obj.language)
    raise typer.Exit(answer(options, by=by, since=since, top=top, target=target, as_json=as_json))


def events(
    ctx: typer.Context,
    since: Annotated[str, typer.Option(help="How far back: 30m, 6h, 7d; or a time in ISO 8601.")] = "7d",
    kind: Annotated[str | None, typer.Option(help="setting_changed, restart_pending, …")] = None,
    top: Annotated[int, typer.Option(min=1, max=10000, help="How many at most.")] = 100,
    target: TargetName = None,
    as_json: Json = False,
) -> None:
    """What happened: settings that changed or wait for a restart, restarts, promotions. The latest first."""
    from daemon.answers.asking import asked
    from daemon.answers.events import answer

    options = asked(ctx.obj.config, ctx.obj.language)
    raise typer.Exit(answer(options, since=since, target=target, kind=kind, top=top, as_json=as_json))


def locks(ctx: typer.Context, target: TargetName = None, as_json: Json = False) -> None:
    """Who blocks whom, as trees, with what would end it. Exit status 1 when a target could not be asked."""
    from daemon.answers.asking import asked
    from daemon.answers.locks import answer

    raise typer.Exit(answer(asked(ctx.obj.config, ctx.obj.language), target=target, as_json=as_json))
