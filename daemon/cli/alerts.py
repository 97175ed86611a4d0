"""`toban alerts`: its options alone. What the commands do is imported when they are called."""

from typing import Annotated

import typer

from daemon.cli.reading import Json, TargetName
from toban.errors import UsageError

Id = Annotated[str, typer.Argument(metavar="ID", help="Of the alert; its beginning will do.")]
Who = Annotated[str | None, typer.Option(help="Who it was; else your login, also behind sudo.")]
Since = Annotated[str, typer.Option(help="How far back: 6h, 7d; or a time in ISO 8601.")]

alerts_commands = typer.Typer(
    help="What is wrong now, who was told, and what to do about it.", invoke_without_command=True
)


@alerts_commands.callback()
def alerts(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    since: Annotated[str | None, typer.Option(help="Also those that are over, since then: 6h, 7d, a time.")] = None,
    target: TargetName = None,
    severity: Annotated[str | None, typer.Option(help="critical, warning or info.")] = None,
    state: Annotated[str | None, typer.Option(help="pending, firing, acknowledged or resolved.")] = None,
    as_json: Json = False,
) -> None:
    """What is wrong now, the worst first; symptoms below their cause. Works without the daemon."""
    if ctx.invoked_subcommand is not None:
        if every or as_json or any((since, target, severity, state)):  # it would be lost without a word
            why = f"{ctx.invoked_subcommand!r} takes its options behind it"
            raise UsageError("usage", why, f"toban alerts {ctx.invoked_subcommand} --help")
        return
    from daemon.answers.alerts import answer
    from daemon.answers.asking import asked

    options = asked(ctx.obj.config, ctx.obj.language)
    raise typer.Exit(
        answer(options, every=every, since=since, target=target, severity=severity, state=state, as_json=as_json)
    )


@alerts_commands.command()
def show(ctx: typer.Context, alert: Id, as_json: Json = False) -> None:
    """One alert: its life with every reason, who was told, and what was the matter when it fired."""
    from daemon.answers.alerts_story import answer
    from daemon.answers.asking import asked

    raise typer.Exit(answer(asked(ctx.obj.config, ctx.obj.language), alert=alert, as_json=as_json))


@alerts_commands.command()
def ack(
    ctx: typer.Context,
    alert: Id,
    note: Annotated[str, typer.Option(help="What you are about to do.")] = "",
    length: Annotated[str | None, typer.Option("--for", help="For how long at most: 4h; else as configured.")] = None,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """You are at it: the ladder rests until it is over, the time is up, or it grows markedly worse."""
    from daemon.answers.alerts_changing import acknowledge
    from daemon.answers.asking import asked

    options = asked(ctx.obj.config, ctx.obj.language)
    raise typer.Exit(acknowledge(options, alert=alert, note=note, length=length, who=who, as_json=as_json))


@alerts_commands.command()
def resolve(
    ctx: typer.Context,
    alert: Id,
    note: Annotated[str, typer.Option(help="Why it is over.")],
    who: Who = None,
    as_json: Json = False,
) -> None:
    """It is over, whatever the last value was. If it is not, it fires again."""
    from daemon.answers.alerts_changing import resolve as end
    from daemon.answers.asking import asked

    options = asked(ctx.obj.config, ctx.obj.language)
    raise typer.Exit(end(options, alert=alert, note=note, who=who, as_json=as_json))


@alerts_commands.command()
def silence(  # noqa: PLR0913, PLR0917 - an option each
    ctx: typer.Context,
    why: Annotated[str, typer.Option(help="For whoever wonders.")],
    match: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATTERN", help="rule, target, severity or a label; none: everything."),
    ] = None,
    length: Annotated[str | None, typer.Option("--for", help="2h; with --cron, each time.")] = None,
    begins: Annotated[str | None, typer.Option("--from", help="A time in ISO 8601; else now.")] = None,
    until: Annotated[str | None, typer.Option(help="A time in ISO 8601.")] = None,
    cron: Annotated[str | None, typer.Option(help="Again and again: '0 1 * * *', in the configured zone.")] = None,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Tell nobody of what matches; it is watched all the same."""
    from daemon.answers.alerts_changing import silence as begin
    from daemon.answers.asking import asked

    options, patterns = asked(ctx.obj.config, ctx.obj.language), match or ()
    raise typer.Exit(
        begin(
            options,
            match=patterns,
            length=length,
            begins=begins,
            until=until,
            cron=cron,
            why=why,
            who=who,
            as_json=as_json,
        )
    )


@alerts_commands.command()
def silences(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    as_json: Json = False,
) -> None:
    """The silences, each with why and who."""
    from daemon.answers.alerts_past import silences as answer
    from daemon.answers.asking import asked

    raise typer.Exit(answer(asked(ctx.obj.config, ctx.obj.language), every=every, as_json=as_json))


@alerts_commands.command()
def unsilence(
    ctx: typer.Context,
    silence: Annotated[str, typer.Argument(metavar="ID", help="Of the silence.")],
    who: Who = None,
    as_json: Json = False,
) -> None:
    """End a silence."""
    from daemon.answers.alerts_changing import end_silence
    from daemon.answers.asking import asked

    raise typer.Exit(end_silence(asked(ctx.obj.config, ctx.obj.language), silence=silence, who=who, as_json=as_json))


@alerts_commands.command()
def mark(
    ctx: typer.Context,
    alert: Id,
    verdict: Annotated[str, typer.Argument(metavar="real|false", help="Whether it told of something real.")],
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Say whether an alert told of something real; `toban alerts review` counts it."""
    from daemon.answers.alerts_changing import mark as marked
    from daemon.answers.asking import asked

    options = asked(ctx.obj.config, ctx.obj.language)
    raise typer.Exit(marked(options, alert=alert, verdict=verdict, who=who, as_json=as_json))


@alerts_commands.command()
def stats(ctx: typer.Context, since: Since = "30d", as_json: Json = False) -> None:
    """How many there were by severity, and how long until somebody answered and until they were over."""
    from daemon.answers.alerts_past import stats as answer
    from daemon.answers.asking import asked

    raise typer.Exit(answer(asked(ctx.obj.config, ctx.obj.language), since=since, as_json=as_json))


@alerts_commands.command()
def review(
    ctx: typer.Context,
    since: Since = "30d",
    goal: Annotated[str, typer.Option(help="How long of the time each target is to be up.")] = "99.9%",
    as_json: Json = False,
) -> None:
    """Rule by rule: how often it fired, was answered, was marked false. What wants another threshold is named."""
    from daemon.answers.alerts_past import review as answer
    from daemon.answers.asking import asked

    raise typer.Exit(answer(asked(ctx.obj.config, ctx.obj.language), since=since, goal=goal, as_json=as_json))


@alerts_commands.command(name="test")
def try_channel(
    ctx: typer.Context,
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="As it is called under channels.")],
    as_json: Json = False,
) -> None:
    """Send a test message, and show the receipt. Exit status 1 when it did not go out."""
    from daemon.answers.alerts_sending import try_channel as answer
    from daemon.answers.asking import asked

    raise typer.Exit(answer(asked(ctx.obj.config, ctx.obj.language), channel=channel, as_json=as_json))


@alerts_commands.command()
def drill(
    ctx: typer.Context,
    severity: Annotated[str, typer.Option(help="critical, warning or info.")] = "critical",
    as_json: Json = False,
) -> None:
    """Walk the ladder through the real channels with a marked alert. Exit status 1 when one failed."""
    from daemon.answers.alerts_sending import drill as answer
    from daemon.answers.asking import asked

    raise typer.Exit(answer(asked(ctx.obj.config, ctx.obj.language), severity=severity, as_json=as_json))


@alerts_commands.command()
def dead(ctx: typer.Context, as_json: Json = False) -> None:
    """Messages that were given up. Exit status 1 while there are any."""
    from daemon.answers.alerts_past import dead as answer
    from daemon.answers.asking import asked

    raise typer.Exit(answer(asked(ctx.obj.config, ctx.obj.language), as_json=as_json))


@alerts_commands.command()
def retry(
    ctx: typer.Context,
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="Of the message; its beginning will do.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    as_json: Json = False,
) -> None:
    """Send again what was given up."""
    from daemon.answers.alerts_changing import retry as again
    from daemon.answers.asking import asked

    raise typer.Exit(again(asked(ctx.obj.config, ctx.obj.language), key=key, every=every, as_json=as_json))


@alerts_commands.command()
def rules(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One rule, or a shell pattern.")] = None,
    as_json: Json = False,
) -> None:
    """The rules in force: thresholds, how long, whom they tell."""
    from daemon.answers.alerts_rules import answer
    from daemon.answers.asking import asked

    raise typer.Exit(answer(asked(ctx.obj.config, ctx.obj.language), name=name, as_json=as_json))


@alerts_commands.command()
def runbook(
    ctx: typer.Context,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="As an alert names it.")],
    as_json: Json = False,
) -> None:
    """What an alert means, what to look at, and what to do."""
    from daemon.answers.alerts_runbook import answer
    from daemon.answers.asking import asked

    raise typer.Exit(answer(asked(ctx.obj.config, ctx.obj.language), rule=rule, as_json=as_json))


@alerts_commands.command()
def backtest(  # noqa: PLR0913, PLR0917 - an option each
    ctx: typer.Context,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="As `toban alerts rules` has it.")],
    info: Annotated[str | None, typer.Option(help="Another threshold: '> 70%'.")] = None,
    warning: Annotated[str | None, typer.Option(help="Another threshold: '> 80%'.")] = None,
    critical: Annotated[str | None, typer.Option(help="Another threshold: '> 95%'.")] = None,
    length: Annotated[str | None, typer.Option("--for", help="Another time that it must last: 5m.")] = None,
    clear: Annotated[str | None, typer.Option(help="Another threshold to be over: '< 75%'.")] = None,
    target: TargetName = None,
    since: Since = "30d",
    as_json: Json = False,
) -> None:
    """How often a rule would have fired on the stored history, as it is and with other thresholds."""
    from daemon.answers.alerts_backtest import answer
    from daemon.answers.asking import asked

    other = {"info": info, "warning": warning, "critical": critical, "for": length, "clear": clear}
    options = asked(ctx.obj.config, ctx.obj.language)
    raise typer.Exit(answer(options, rule=rule, other=other, target=target, since=since, as_json=as_json))
