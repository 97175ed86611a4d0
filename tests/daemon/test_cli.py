"""How every command ends: exit status, one line on stderr, and no noise."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from daemon import cli
from daemon.answers import asking, status
from daemon.cli import app, completion
from tests.daemon.commanding import Ended, toban
from toban import __version__

TOBAN = (sys.executable, "-m", "daemon")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration that watches this machine alone."""
    monkeypatch.setattr(asking, "INTERVAL_SECONDS", 0.01)
    path = tmp_path / "config.yaml"
    path.write_text(f"state: sqlite://{tmp_path}/state.db\nhttp: {{listen: null}}\n")
    return path


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException, config: Path, *options: str) -> Ended:
    """`toban status`, in the midst of which this happens."""

    def fail(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr(status, "answer", fail)
    return toban(*options, "-c", config, "status")


@pytest.mark.parametrize("words", [(), ("config",), ("setup",)])
def test_no_command_prints_the_help(words: tuple[str, ...]) -> None:
    """Whoever types a name alone asks what there is; that is no mistake."""
    ended = toban(*words)
    assert (ended.status, ended.err) == (0, "")
    assert "Commands:" in ended.out


def test_version_is_printed() -> None:
    """For bug reports."""
    assert toban("--version").out == f"toban {__version__}\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("bogus",), "toban: usage: No such command 'bogus' (see `toban --help`)"),
        (("status", "--bogus"), "toban: usage: No such option: --bogus (see `toban status --help`)"),
        (
            ("--lang", "xx", "status"),
            "toban: usage: Invalid value for --lang: 'xx' is not en or ja (see `toban --help`)",
        ),
        (("history",), "toban: usage: Missing argument 'METRIC' (see `toban history --help`)"),
        (("config", "bogus"), "toban: usage: No such command 'bogus' (see `toban config --help`)"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_status_two(words: tuple[str, ...], line: str) -> None:
    """With where to look."""
    assert toban(*words) == Ended(status=2, out="", err=f"{line}\n")


def test_missing_file_is_one_line_and_exit_status_two(tmp_path: Path) -> None:
    """Named as it was given."""
    assert toban("-c", tmp_path / "no.yaml", "status") == Ended(
        status=2, out="", err=f"toban: {tmp_path}/no.yaml: does not exist\n"
    )


def test_bad_configuration_is_a_line_each_and_as_compilers_print_it_under_check(config: Path) -> None:
    """`FILE:LINE: path: why` for editors; elsewhere said by whom as well."""
    config.write_text("nod: a\nlanguage: fr\n")
    checked = toban("-c", config, "config", "check")
    lines = checked.err.splitlines()
    assert checked.status == 2
    assert [line.split(" ")[0] for line in lines] == [f"{config}:1:", f"{config}:2:"]
    ended = toban("-c", config, "status")
    assert (ended.status, ended.err.splitlines()) == (2, [f"toban: {line}" for line in lines])


def test_fault_of_our_own_is_one_line_and_a_traceback_only_under_debug(
    monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    """Exit status 1, and what to do with it."""
    ended = raising(monkeypatch, ValueError("two\nlines"), config)
    assert ended.err == "toban: internal fault: ValueError: two lines (run again with --debug, and report it)\n"
    assert ended.status == 1
    assert "Traceback" in raising(monkeypatch, ValueError("x"), config, "--debug").err


def test_interrupted_is_130_without_a_word(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    """Ctrl-C."""
    ended = raising(monkeypatch, KeyboardInterrupt(), config)
    assert (ended.status, ended.err.strip()) == (130, "")


def test_interrupted_while_it_starts_is_130_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports take longer than some people wait."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "main", interrupted)
    monkeypatch.setattr(sys, "argv", ["toban", "status"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130


def test_disk_that_fails_is_exit_status_three(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    """The system's own words, and the file."""
    ended = raising(monkeypatch, PermissionError(13, "Permission denied", "/var/x"), config)
    assert (ended.status, ended.err) == (3, "toban: /var/x: Permission denied\n")
    assert raising(monkeypatch, OSError("odd"), config).err == "toban: input and output: odd\n"


def test_exit_in_the_midst_keeps_its_status(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    """Only a broken pipe is forgiven."""
    assert raising(monkeypatch, SystemExit(7), config).status == 7


@pytest.mark.integration
@pytest.mark.parametrize(
    ("words", "status"),
    [(("metrics",), 0), (("--help",), 0), (("metrics", "nothing*", "--json"), 1)],
)
def test_reader_that_goes_away_is_no_error_and_changes_no_verdict(
    config: Path, words: tuple[str, ...], status: int
) -> None:
    """`toban metrics | head -1`, at its worst: nobody reads at all."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    ended = subprocess.run(
        [*TOBAN, "-c", config, *words], stdout=write_end, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(write_end)
    assert (ended.returncode, ended.stderr) == (status, b"")


@pytest.mark.integration
def test_reader_that_goes_away_ends_no_backup(config: Path, tmp_path: Path) -> None:
    """`toban backup run ledger 2>&1 | head -1`: what was begun is done, and 0 is true."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        ledger.execute("CREATE TABLE entry (id integer)")
    config.write_text(f"""{config.read_text()}
targets: [{{name: ledger, kind: sqlite, path: "{tmp_path}/ledger.db"}}]
backups: {{repository: "{tmp_path}/repository", jobs: [{{name: ledger, target: ledger, method: dump}}]}}
""")
    read_end, write_end = os.pipe()
    os.close(read_end)
    ended = subprocess.run(
        [*TOBAN, "-c", config, "backup", "run", "ledger"], stdout=write_end, stderr=write_end, timeout=60, check=False
    )
    os.close(write_end)
    (made,) = json.loads(toban("-c", config, "backup", "list", "--json").out)
    assert (ended.returncode, made["status"]) == (0, "ok")


@pytest.mark.integration
def test_output_on_a_full_disk_is_one_line_and_exit_status_three(config: Path) -> None:
    """What was not written was not done; Python itself would try again, complain, and end with 120."""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*TOBAN, "-c", config, "config", "check"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (3, "toban: input and output: No space left on device\n")


@pytest.mark.integration
def test_output_that_is_closed_is_wanted_by_nobody(config: Path) -> None:
    """`toban config check >&- 2>&-`: the status alone tells."""
    words = ["sh", "-c", '"$@" >&- 2>&-', "sh", *TOBAN, "-c", str(config), "config", "check"]
    assert subprocess.run(words, timeout=60, check=False).returncode == 0


@pytest.mark.integration
def test_a_terminal_that_does_not_know_our_letters_gets_what_it_knows(config: Path) -> None:
    """Not every locale is UTF-8; a question mark is better than no answer."""
    ended = subprocess.run(
        [*TOBAN, "-c", config, "--lang", "ja", "alerts", "rules", "disk"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "disk" in ended.stdout
    assert "?" in ended.stdout


def test_what_was_typed_and_is_no_text_is_wrong_usage(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    """Bytes that are no UTF-8, as a shell hands them down."""
    fault = UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed")
    monkeypatch.setattr(sys, "argv", ["toban", "metrics", "\udcff"])
    assert app._fault(fault, debug=False) == 2
    monkeypatch.setattr(sys, "argv", ["toban", "metrics", "秘"])
    assert app._fault(fault, debug=False) == 1


def test_closed_output_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """`toban status >&-`: whoever wants nothing gets nothing."""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    app._prepare_output()
    with sys.stdout, sys.stderr:
        sys.stdout.write("nobody reads this")


def test_pipe_that_breaks_within_our_own_words_is_no_error(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However far down it is noticed."""
    monkeypatch.setattr(app, "_unread", lambda: 0)
    assert raising(monkeypatch, BrokenPipeError(), config).status == 0
    monkeypatch.setattr(app, "app", _break)
    assert toban("status").status == 0


def _break(**_: object) -> None:
    raise BrokenPipeError


def test_no_color_is_honoured(config: Path) -> None:
    """On a pipe there is none anyway; where colour is forced, NO_COLOR still wins over the colours."""
    forced = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    colours = re.compile(r"\x1b\[[0-9;]*(3[0-7]|9[0-7])m")
    assert not colours.search(toban("-c", config, "status", **forced).out)
    assert colours.search(toban("-c", config, "status", NO_COLOR="", **forced).out)


def test_language_is_the_locales_unless_one_is_written_or_asked_for(config: Path) -> None:
    """As `--help` says."""
    japanese = {"LC_ALL": "ja_JP.UTF-8"}
    assert "警告" not in toban("-c", config, "alerts", "rules", "disk").out
    assert "警告" in toban("-c", config, "alerts", "rules", "disk", **japanese).out
    assert "警告" not in toban("-c", config, "--lang", "en", "alerts", "rules", "disk", **japanese).out
    config.write_text(f"{config.read_text()}language: en\n")
    assert "警告" not in toban("-c", config, "alerts", "rules", "disk", **japanese).out


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_completion_is_printed_for_the_shell_that_is_named(shell: str) -> None:
    """Nothing is detected: it works in a build, in cron, anywhere."""
    ended = toban("--show-completion", shell)
    assert (ended.status, ended.err) == (0, "")
    assert "_TOBAN_COMPLETE" in ended.out


def test_completion_of_an_unknown_shell_names_those_there_are() -> None:
    """Exit status 2."""
    ended = toban("--show-completion", "powershell")
    assert ended.status == 2
    assert "bash, zsh, fish" in ended.err


def test_completion_completes() -> None:
    """What bash asks behind the scenes."""
    asked = {"_TOBAN_COMPLETE": "complete_bash", "COMP_WORDS": "toban st", "COMP_CWORD": "1"}
    assert toban(**asked).out.split() == ["status", "statements"]


@pytest.mark.integration
def test_interrupt_of_a_command_that_measures_ends_with_130(config: Path) -> None:
    """Ctrl-C in earnest, while a target keeps us waiting: nothing is said, nobody is waited for."""
    with closing(socket.socket()) as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        dsn = f"postgresql://x@127.0.0.1:{hole.getsockname()[1]}/x"
        config.write_text(f'{config.read_text()}targets: [{{name: hole, kind: postgresql, dsn: "{dsn}"}}]\n')
        process = subprocess.Popen([*TOBAN, "-c", config, "status"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        hole.settimeout(120)
        with closing(hole.accept()[0]):
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err.strip()) == (130, b"", b"")
