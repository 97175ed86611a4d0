"""`toban history`: its options alone. What it does is imported when it is called."""

from typing import Annotated

import typer


def history(
    ctx: typer.Context,
    metric: Annotated[str, typer.Argument(metavar="METRIC", help="Which metric; a shell pattern means several.")],
    since: Annotated[str, typer.Option(help="How far back: 30m, 6h, 7d; or a time in ISO 8601.")] = "24h",
    target: Annotated[str | None, typer.Option("--target", help="One target alone.")] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Every series, not just the first 20.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Values over time, with a sparkline; a counter as its rate per second. Works without the daemon."""
    from daemon.answers.asking import asked
    from daemon.answers.history import answer

    options = asked(ctx.obj.config, ctx.obj.language)
    raise typer.Exit(answer(options, metric=metric, since=since, target=target, show_all=show_all, as_json=as_json))
