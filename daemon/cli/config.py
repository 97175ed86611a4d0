"""`toban config`: check the files, show what is in force, describe the keys. Imports wait until a command runs."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from daemon.configuration.loading import Loaded

config_commands = typer.Typer(help="Check, show and describe the configuration.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@config_commands.command()
def check(context: typer.Context, as_json: AsJson = False) -> None:
    """Say everything that is wrong, as FILE:LINE: path.to.key: why."""
    import json

    from daemon.configuration.problems import Problems

    try:
        loaded = _loaded(context)
    except Problems as found:
        if not as_json:
            raise
        print(json.dumps({"ok": False, "problems": [p.fields for p in found.problems]}, ensure_ascii=False))
        raise typer.Exit(found.exit_status) from None
    count = len(loaded.configuration.targets)
    fine = f"{loaded.path}: fine, {count} {'target' if count == 1 else 'targets'}"
    print(json.dumps({"ok": True, "problems": []}) if as_json else fine)


@config_commands.command()
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """Print the configuration in force, with secrets masked."""
    import json

    from daemon.configuration.showing import as_yaml, shown

    configuration = _loaded(context).configuration
    print(json.dumps(shown(configuration), ensure_ascii=False) if as_json else as_yaml(configuration).rstrip("\n"))


@config_commands.command()
def schema(as_json: AsJson = False) -> None:  # noqa: ARG001 - it is JSON either way
    """Print a JSON Schema of the file, for editors."""
    import json

    from daemon.configuration.showing import schema as described

    print(json.dumps(described(), indent=2, ensure_ascii=False))


def _loaded(context: typer.Context) -> "Loaded":
    import os

    from daemon.configuration.loading import load

    return load(context.obj.config, os.environ)
