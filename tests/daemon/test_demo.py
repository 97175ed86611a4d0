"""`toban demo`: it shows something, says whether all of it worked, and leaves nothing behind."""

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from collectors import COLLECTORS
from collectors.contract import Kind
from daemon.demo import server as server_module
from daemon.demo import staging
from daemon.demo.programs import Programs, find_programs
from daemon.demo.server import DemoServer
from tests.conftest import NewCluster
from tests.ports import free_port
from tests.waiting import eventually_sync
from toban.errors import UnavailableError, UsageError
from toban.language import Language
from toban.secrets import Dsn

pytestmark = pytest.mark.integration
WITHIN_SECONDS = 180.0
KINDS = (Kind.HOST, Kind.POSTGRESQL, Kind.SQLITE)  # of the demo's targets
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def stage() -> Iterator[Path]:
    """Where the demonstration makes its folder: a short path, open to the account that the server runs as."""
    folder = Path(tempfile.mkdtemp(prefix="stage-"))
    folder.chmod(0o755)
    yield folder
    for process in those_who_use(folder):
        process.kill()
    shutil.rmtree(folder)


def those_who_use(folder: Path) -> list[psutil.Process]:
    """The living processes that have this folder in their command line."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            named = str(folder) in " ".join(process.cmdline())
            if named and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def nothing_left(stage: Path) -> bool:
    """Neither a folder nor a process."""
    return not list(stage.iterdir()) and not those_who_use(stage)


def environment(stage: Path) -> dict[str, str]:
    """An English demonstration in this folder."""
    return {**os.environ, "TMPDIR": str(stage), "LC_ALL": "C.UTF-8", "NO_COLOR": "1", "COLUMNS": "160"}


@contextmanager
def playing(stage: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`toban demo`, whose output can be read line by line."""
    with subprocess.Popen(
        [sys.executable, "-m", "daemon", "demo", *words],
        env=environment(stage),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], wanted: str) -> str:
    """The line that has this in it."""
    assert process.stdout is not None
    for line in process.stdout:
        if wanted in line:
            return line
    raise AssertionError(f"it ended without a word of {wanted!r}")


def test_once_measures_with_every_collector_and_leaves_nothing_behind(stage: Path) -> None:
    """Exit status 0 only because all of it worked."""
    ended = subprocess.run(
        [sys.executable, "-m", "daemon", "demo", "--once"],
        env=environment(stage),
        capture_output=True,
        text=True,
        timeout=WITHIN_SECONDS * 2,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    has_statements = find_programs().has_statements
    serving = [c for c in COLLECTORS if not c.listed and any(map(c.serves, KINDS))]
    expected = {c.name for c in serving if has_statements or c.name != "statements"}
    assert expected <= set(ended.stdout.split())
    assert "every collector measured" in ended.stdout
    acts = [line for line in ended.stdout.splitlines() if line.startswith(("✓", "✗"))]
    assert [line.split("  ")[0] for line in acts] == [
        "✓ a blocked queue was told to the receiver",
        "✓ acknowledged from the terminal, and the receiver knows",
        "✓ over, and the receiver knows",
        "✓ a backup was made",
        "✓ it was restored beside the original, and compared",
        "✓ it is proven, by a restore into a server of its own",
    ]
    told = {line.split()[1]: line for line in ended.stdout.splitlines() if line.startswith(" shop ")}
    assert "privilege" not in told["sequences"]
    assert "privilege" not in told["server_security"]  # a role that makes backups reads everything
    assert re.search(r"http://127\.0\.0\.1:\d+/metrics", ended.stdout)
    eventually_sync(lambda: nothing_left(stage))


def test_interrupted_while_it_makes_its_server_it_removes_everything(stage: Path) -> None:
    """Ctrl-C at the very beginning: 130, and no half-made folder."""
    with playing(stage, "--once") as process:
        read_until(process, "starting a throw-away PostgreSQL")
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=WITHIN_SECONDS)[0]
        assert process.returncode == 130, rest
        assert "everything is removed" in rest
    eventually_sync(lambda: nothing_left(stage))


def test_killed_it_still_leaves_no_server_and_no_folder(stage: Path) -> None:
    """The guardian outlives a kill -9 of the demonstration, and only just."""
    with playing(stage) as process:
        read_until(process, "making tables")
        assert len(those_who_use(stage)) >= 2  # the server and its guardian
        process.kill()
        process.wait(WITHIN_SECONDS)
    eventually_sync(lambda: nothing_left(stage))


def test_terminal_shows_live_values_and_ctrl_c_ends_it_with_zero(stage: Path) -> None:
    """As a person sees it."""
    terminal, theirs = pty.openpty()
    words = [sys.executable, "-m", "daemon", "demo", "--port", str(free_port())]
    told = {**environment(stage), "TERM": "xterm", "LINES": "50"}
    process = subprocess.Popen(words, env=told, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    seen_so_far = ""

    def shows(wanted: str) -> bool:
        nonlocal seen_so_far
        with suppress(OSError):  # it has ended
            seen_so_far += os.read(terminal, 65536).decode(errors="replace")
        return re.search(wanted, ESCAPES.sub("", seen_so_far)) is not None

    try:
        eventually_sync(lambda: shows(r"connections\s+\d"), within_seconds=WITHIN_SECONDS)
        eventually_sync(lambda: shows(r"transactions per second\s+\d"), within_seconds=WITHIN_SECONDS)
        os.kill(process.pid, signal.SIGINT)
        eventually_sync(lambda: shows("everything is removed"), within_seconds=WITHIN_SECONDS)
        assert process.wait(WITHIN_SECONDS) == 0
    finally:
        process.kill()
        os.close(terminal)
    eventually_sync(lambda: nothing_left(stage))


def test_kept_it_stays_and_its_lines_go_to_a_pipe(stage: Path) -> None:
    """Without a terminal a line now and then; SIGTERM ends it as well; the folder stays, the server does not."""
    kept = stage / "kept"
    with playing(stage, "--keep", str(kept)) as process:
        assert "http://127.0.0.1:" in read_until(process, "watching")
        assert "cache hit" in read_until(process, "connections: ")
        process.terminate()
        assert "kept in" in process.communicate(timeout=WITHIN_SECONDS)[0]
        assert process.returncode == 0
    assert (kept / "state" / "state.db").exists()
    eventually_sync(lambda: not those_who_use(stage))


def test_folder_too_deep_for_sockets_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """PostgreSQL would say it later, and in other words."""
    deep = tmp_path / ("x" * 80)
    with pytest.raises(UsageError, match="too long a path for sockets"):
        staging.run_demo(once=True, port=0, keep=deep, language="en")
    assert not deep.exists()


def test_configuration_leaves_statements_out_where_they_cannot_be_had(stage: Path) -> None:
    """A wheel without contrib still makes a demonstration in which all works."""
    programs = Programs(folder=find_programs().folder, has_statements=False)
    server = DemoServer(programs, stage / "home", free_port(), keep=False)
    try:
        configuration = staging.configured(staging.written(server, 0, Language.EN))
        assert not configuration.settings_of("statements").enabled
        assert [target.name for target in configuration.targets] == ["host", "shop", "memory"]
        assert "shared_preload_libraries" not in server._settings()
    finally:
        server.stop()


async def test_role_that_cannot_be_made_ends_the_demonstration(new_cluster: NewCluster) -> None:
    """With the statement that was refused."""
    cluster = new_cluster()
    cluster.psql("CREATE ROLE somebody LOGIN")
    with pytest.raises(UnavailableError, match=r'demo: CREATE ROLE "toban".*permission denied'):
        await staging.admit(Dsn(cluster.dsn(user="somebody")))


def test_server_that_does_not_start_says_its_last_word(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting it does not know; and nothing of it stays."""
    server = DemoServer(find_programs(), stage / "home", free_port(), keep=False)
    settings = server._settings()
    monkeypatch.setattr(server, "_settings", lambda: {**settings, "no_such_setting": "1"})
    try:
        with pytest.raises(UnavailableError, match=r"PostgreSQL did not start: .*FATAL"):
            server.start()
        with pytest.raises(UnavailableError, match="demo: psql ended with"):
            server._psql("postgres", "SELECT 1")
    finally:
        server.stop()
    eventually_sync(lambda: nothing_left(stage))


def test_server_that_does_not_stop_is_made_to(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not hear the polite signal, in a server's place: it is ended, and its folder goes."""
    monkeypatch.setattr(server_module, "STOP_SECONDS", 0.1)
    server = DemoServer(find_programs(), stage / "home", free_port(), keep=False)
    deaf = subprocess.Popen(
        ["/bin/sh", "-c", "trap '' INT; echo; read never"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with deaf:
        assert deaf.stdout is not None
        deaf.stdout.readline()
        server._server = deaf
        server.stop()
        assert deaf.returncode == -signal.SIGQUIT
    eventually_sync(lambda: nothing_left(stage))
