"""`toban`: the global options, the commands, and how every one of them ends. Imports wait until they are needed."""

import io
import os
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from daemon.cli import completion
from daemon.cli.advise import advise_commands
from daemon.cli.alerts import alerts_commands
from daemon.cli.backup import backup_commands
from daemon.cli.config import config_commands
from daemon.cli.history import history
from daemon.cli.output import go_on_unread, throw_away
from daemon.cli.reading import events, locks, metrics, statements, status
from daemon.cli.restore import drill, restore
from daemon.cli.run import demo, run
from daemon.cli.setup import setup_commands
from daemon.cli.wal import wal_commands
from toban import __version__
from toban.errors import TobanError

INTERRUPTED = 130
# typer carries click within itself and shows but one of its refusals by name; this is what they all are.
_Refusal: type[Exception] = typer.BadParameter.__bases__[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What stands before the command."""

    config: Path | None
    language: str | None
    debug: bool


class _Group(TyperGroup):
    """Commands that explain themselves when none is named: that is no mistake."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override] # typer's own click
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)


app = typer.Typer(
    name=completion.PROGRAM,
    cls=_Group,
    add_completion=False,  # see `completion`
    help="Keeps databases and their hosts healthy: measures, alerts, backs up, proves, maintains.",
    rich_markup_mode=None,  # plain help: rich alone would double the time to the first letter
    pretty_exceptions_enable=False,
)
for command in (run, demo, status, metrics, history, statements, locks, events, restore, drill):
    app.command()(command)
app.add_typer(alerts_commands, name="alerts", no_args_is_help=False)
app.add_typer(backup_commands, name="backup", cls=_Group, no_args_is_help=False)
app.add_typer(wal_commands, name="wal", cls=_Group, no_args_is_help=False)
app.add_typer(config_commands, name="config", cls=_Group, no_args_is_help=False)
app.add_typer(advise_commands, name="advise", cls=_Group, no_args_is_help=False)
app.add_typer(setup_commands, name="setup", cls=_Group, no_args_is_help=False)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"toban {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "-c",
            "--config",
            readable=False,  # that it cannot be read is said where it is read, in the same words for every file
            help="The configuration; else $TOBAN_CONFIG, ./config.yaml, /etc/toban/config.yaml.",
        ),
    ] = None,
    lang: Annotated[str | None, typer.Option(help="en or ja; else the configuration's, else the locale's.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,  # noqa: ARG001 - its callback has answered
    show_completion: completion.ShowCompletion = None,  # noqa: ARG001 - likewise
) -> None:
    """What holds for every command."""
    if lang not in (None, "en", "ja"):
        raise typer.BadParameter(f"{lang!r} is not en or ja", param_hint="--lang")
    ctx.obj = Options(config=config, language=lang, debug=debug)
    if ctx.invoked_subcommand != demo.__name__:  # which goes on for ever, and has nothing to say to nobody
        go_on_unread()


def main() -> None:
    """Run one command, and end as the contract says: a status, and at most one line per error."""
    debug = "--debug" in sys.argv
    _prepare_output()
    completion.prepare()
    try:
        status = app(standalone_mode=False, prog_name=completion.PROGRAM)
        sys.stdout.flush()
    except TobanError as error:
        status = _fail(_lines(error), error.exit_status, debug=debug)
    except _Refusal as error:
        status = _fail((_refused(error),), 2, debug=debug)
    except (typer.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    except BrokenPipeError:
        status = _unread()
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):  # out of which typer makes an exit status of 1
            raise
        status = _unread()
    except OSError as error:
        with suppress(OSError, ValueError):  # in tests it has no descriptor
            throw_away(sys.stdout.fileno())
        line = f"toban: {error.filename or 'input and output'}: {error.strerror or error}"
        status = _fail((line,), 3, debug=debug)
    except Exception as error:  # noqa: BLE001 - the last stop: one line for the operator, the traceback under --debug
        status = _fault(error, debug=debug)
    sys.exit(status)


def _prepare_output() -> None:
    """`toban status >&-`: whoever closes our output wants none. A letter that a terminal lacks becomes a `?`."""
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _unread() -> int:
    """The reader has gone, as in `toban metrics | head -1`: nothing more to say, and no fault."""
    throw_away(sys.stdout.fileno())
    return 0


def _lines(error: TobanError) -> tuple[str, ...]:
    """A configuration's problems are a line each; only `config check` prints them as compilers do."""
    lines: tuple[str, ...] = getattr(error, "lines", ())
    if not lines:
        return (error.line,)
    return lines if {"config", "check"} <= set(sys.argv) else tuple(f"toban: {line}" for line in lines)


def _fault(error: Exception, *, debug: bool) -> int:
    """What nobody expected; or that a word was typed which is no text, and that nothing was found for."""
    if isinstance(error, UnicodeEncodeError) and not all(map(_is_text, sys.argv)):
        return _fail(("toban: usage: what was typed is not UTF-8",), 2, debug=debug)
    from toban.secrets import blot  # late: it would cost every `--help` its start

    what = f"{type(error).__name__}: {blot(str(error))}"
    return _fail((f"toban: internal fault: {what} (run again with --debug, and report it)",), 1, debug=debug)


def _is_text(word: str) -> bool:
    return word.encode(errors="replace").decode() == word


def _refused(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    where = context.command_path if context else completion.PROGRAM
    why = getattr(error, "format_message", lambda: str(error))().rstrip(".")
    return f"toban: usage: {why} (see `{where} --help`)"


def _fail(lines: tuple[str, ...], status: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    for line in lines:
        print(" ".join(line.split()), file=sys.stderr)
    return status
