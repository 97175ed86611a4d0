"""`toban demo`: it shows something, says whether all of it worked, and leaves nothing behind."""

import asyncio
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
from daemon.demo import programs as programs_module
from daemon.demo import server as server_module
from daemon.demo import staging
from daemon.demo.programs import Programs, account, enterable, find_programs
from daemon.demo.scene import Scene, seen
from daemon.demo.server import DemoServer
from tests.builders import a_collection, a_failure, a_gap, a_metric, a_sample
from tests.daemon.running import free_port
from tests.daemon.serving import configured, serving
from tests.waiting import eventually, eventually_sync
from toban.errors import UnavailableError, UsageError
from toban.language import Language
from toban.outcomes import Reason
from toban.samples import Type, Unit
from toban.statements import RunningQuery, StatementText, StatementUse

pytestmark = pytest.mark.integration
WITHIN_SECONDS = 60.0
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COMMITS = a_metric("pg_stat_database_xact_commit", type=Type.COUNTER, labels=("datname",), compatible=True)


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
    expected = {c.name for c in COLLECTORS if has_statements or c.name != "statements"}
    assert expected <= set(ended.stdout.split())
    assert "every collector measured" in ended.stdout
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
    eventually_sync(lambda: nothing_left(stage), within_seconds=20)


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


async def test_once_says_what_did_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, and the collectors by name; interrupted, nothing is judged."""
    monkeypatch.setattr(staging, "ONCE_WITHIN_SECONDS", 0.3)
    down = {"name": "down", "kind": "sqlite", "path": "/nowhere/there.db"}
    async with serving(configured(tmp_path, down)) as started:
        stop = asyncio.Event()
        assert await staging._once(started.service, stop, Language.EN) == 1
        assert "collectors without values: down/sqlite" in capsys.readouterr().out
        stop.set()
        assert await staging._once(started.service, stop, Language.EN) == staging.INTERRUPTED


def use(queryid: str, seconds: float) -> StatementUse:
    """Two calls."""
    return StatementUse(
        queryid=queryid,
        datname="shop",
        usename="toban",
        interval_seconds=5,
        calls=2,
        seconds=seconds,
        rows=1,
        hit_blocks=1,
        read_blocks=0,
        temp_blocks=0,
    )


async def test_scene_shows_rates_slow_statements_and_who_is_at_work(tmp_path: Path) -> None:
    """Put together from two collections; what is not there yet is a dash."""
    async with serving(configured(tmp_path)) as started:
        scene, current = Scene(started.service.world, Language.EN), started.service.world.current
        assert "connections: –" in scene.line()  # noqa: RUF001 - the dash of an empty cell
        for at, total in ((0.0, 100.0), (0.0, 100.0), (10.0, 150.0)):
            samples = [a_sample(COMMITS, total / 2, labels=(name,), taken_at=at) for name in ("shop", "postgres")]
            current.accept(a_collection(*samples, collector="databases", taken_at=at), float("inf"))
            scene.view()
        size = a_metric("pg_database_size_bytes", unit=Unit.BYTES, labels=("datname",))
        sizes = [a_sample(size, value, labels=(name,)) for name, value in (("postgres", 1.0), ("shop", 2048.0))]
        current.accept(a_collection(*sizes, collector="sizes"), float("inf"))
        assert "transactions per second: 5 " in scene.line()
        assert "2 kB" in scene.line()
        query = RunningQuery(
            pid=7,
            datname="shop",
            usename="app",
            application_name="demo batch",
            state="active",
            queryid="1",
            query_seconds=None,
            transaction_seconds=3,
            wait_event="PgSleep",
        )
        rows = (use("1", 4.0), use("2", 8.0), use("other", 99.0), StatementText(queryid="1", text="SELECT\n[1]"), query)
        current.accept(a_collection(collector="statements", rows=rows), float("inf"))
        shown = printed(scene)
        assert shown.index(" 4 s") < shown.index("SELECT [1]")
        assert re.search(r"7\s+demo batch\s+–\s+PgSleep", shown)  # noqa: RUF001 - the same dash
        assert "99" not in shown


def printed(scene: Scene) -> str:
    """The view as text."""
    from rich.console import Console  # noqa: PLC0415 - for this alone

    console = Console(width=160, record=True, quiet=False, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115 - rich's sink
    with console.file:
        console.print(scene.view())
        return console.export_text()


async def test_seen_names_what_brought_nothing_and_what_was_left_out(tmp_path: Path) -> None:
    """The table at the end."""
    async with serving(configured(tmp_path, only=("cpu", "memory", "disks"))) as started:
        watch = started.service.world.watches["host"]
        _, missing = seen(started.service.world, Language.EN)
        assert missing == ["host/cpu", "host/memory", "host/disks"]
        await eventually(lambda: all(ledger.last for ledger in watch.ledgers.values()))
        await watch.stop()
        watch.note(a_collection(target="host", collector="cpu", gaps=(a_gap(),)))
        watch.note(a_collection(target="host", collector="memory", failure=a_failure(Reason.PRIVILEGE)))
        table, missing = seen(started.service.world, Language.EN)
        assert missing == ["host/memory"]
        assert set(table.columns[-1].cells) >= {"relations (locked)", "privilege: connection refused"}


def test_folder_too_deep_for_sockets_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """PostgreSQL would say it later, and in other words."""
    deep = tmp_path / ("x" * 80)
    with pytest.raises(UsageError, match="too long a path for sockets"):
        staging.run_demo(once=True, port=0, keep=deep, language="en")
    assert not deep.exists()


def test_programs_that_are_nowhere_are_a_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """With both ways to come by them."""
    monkeypatch.setattr(programs_module, "_folders", lambda: iter(()))
    with pytest.raises(UnavailableError, match="no PostgreSQL server programs") as refused:
        find_programs()
    assert "apt install postgresql" in refused.value.hint


def test_programs_with_statements_are_chosen_first_and_the_newest_among_equals(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever lies on the PATH as well."""
    for major, contrib in ((15, True), (16, True), (18, False)):
        folder = tmp_path / str(major)
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "postgres").write_text("")
        (folder / "bin" / "postgres").chmod(0o755)
        if contrib:
            (folder / "share" / "extension").mkdir(parents=True)
            (folder / "share" / programs_module.STATEMENTS_CONTROL).write_text("")
    monkeypatch.setattr(programs_module, "SYSTEM_FOLDERS", (f"{tmp_path}/1[56]/bin",))
    monkeypatch.setattr(programs_module, "WHEEL", "no_such_wheel")
    monkeypatch.setenv("PATH", f"{tmp_path}/18/bin")
    assert find_programs() == Programs(folder=tmp_path / "16" / "bin", has_statements=True)
    shutil.rmtree(tmp_path / "15")
    shutil.rmtree(tmp_path / "16")
    assert find_programs() == Programs(folder=tmp_path / "18" / "bin", has_statements=False)


def test_account_is_an_unprivileged_one_for_root_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL refuses root; an ordinary user runs it as himself."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    chosen = account()
    assert chosen is not None
    assert chosen.pw_uid != 0
    assert programs_module.as_account()["user"] == chosen.pw_uid
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert account() is None
    assert programs_module.as_account() == {}


def test_programs_in_a_closed_folder_are_copied_with_their_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout below a private home: the server's account could not enter it."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    site = tmp_path / "private"
    home = site / programs_module.WHEEL / "pginstall"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "postgres").write_text("server")
    (site / f"{programs_module.WHEEL}.libs").mkdir()
    (site / f"{programs_module.WHEEL}.libs" / "libpq.so").write_text("library")
    site.chmod(0o700)
    found = enterable(Programs(folder=home / "bin", has_statements=False), tmp_path / "open")
    assert (found.folder / "postgres").read_text() == "server"
    assert (tmp_path / "open" / f"{programs_module.WHEEL}.libs" / "libpq.so").exists()
    assert (tmp_path / "open").stat().st_mode & 0o001
    shutil.rmtree(site / f"{programs_module.WHEEL}.libs")
    again = enterable(Programs(folder=home / "bin", has_statements=False), tmp_path / "again")
    assert (again.folder / "postgres").exists()


def test_configuration_leaves_statements_out_where_they_cannot_be_had(stage: Path) -> None:
    """A wheel without contrib still makes a demonstration in which all works."""
    programs = Programs(folder=find_programs().folder, has_statements=False)
    server = DemoServer(programs, stage / "home", free_port(), keep=False)
    try:
        configuration = staging.configured(server, 0, Language.EN)
        assert not configuration.settings_of("statements").enabled
        assert [target.name for target in configuration.targets] == ["host", "shop", "memory"]
        assert "shared_preload_libraries" not in server._settings()
    finally:
        server.stop()


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
    assert nothing_left(stage)


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
    assert nothing_left(stage)
