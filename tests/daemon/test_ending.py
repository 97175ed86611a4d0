"""The end comes in time, whatever hangs."""

import asyncio
import errno
import fcntl
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from daemon import running
from daemon.running import Signals, event_loop, leave_if_held, secrets_of, state_lock, stop
from tests.daemon.fakes import be_deaf, hang
from tests.daemon.serving import Serving, Told, configured
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.errors import UnavailableError


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The exit statuses with which it left at once."""
    statuses: list[int] = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    return statuses


def test_loop_that_nothing_holds_ends_by_itself(left: list[int]) -> None:
    """The usual way out; an idle resolver is let go."""

    async def work() -> int:
        return await asyncio.get_running_loop().run_in_executor(None, lambda: 7)

    with event_loop() as runner:
        assert runner.run(work()) == 7
    assert left == []


def test_loop_does_not_wait_for_a_resolver_that_hangs(left: list[int]) -> None:
    """A name server that is gone holds a thread for half a minute; Python would wait for it."""
    release, resolvers = threading.Event(), ThreadPoolExecutor()
    resolvers.submit(release.wait)
    with asyncio.Runner() as runner:
        leave_if_held(runner.get_loop(), resolvers)
    release.set()
    assert left == [0]


def test_loop_does_not_wait_for_a_task_that_is_deaf(left: list[int]) -> None:
    """It would be cancelled, and asked again, for ever."""

    async def leave_behind(release: asyncio.Event) -> asyncio.Task[None]:
        task = asyncio.create_task(be_deaf(release))
        await asyncio.sleep(0)
        return task

    with asyncio.Runner() as runner:
        release = asyncio.Event()
        task = runner.run(leave_behind(release))
        leave_if_held(runner.get_loop(), ThreadPoolExecutor())
        assert left == [0]
        release.set()
        runner.run(asyncio.wait_for(task, 60))


async def test_stop_ends_every_task_and_says_when_something_did_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both bounded: the service's own end, and what is left of it."""
    monkeypatch.setattr(running, "STOP_WITHIN_SECONDS", 0.01)
    told, started = Told(), Serving(configured(tmp_path), SystemClock(), None)
    with monkeypatch.context() as patched:
        patched.setattr(started.service, "stop", hang)
        straying = asyncio.create_task(hang())
        await asyncio.sleep(0)
        await stop(started.service, told.log)
        assert straying.cancelled()
    assert told.of("stopped, but not everything ended in time")
    await started.service.stop()


async def test_work_is_cancelled_when_the_daemon_is_to_stop() -> None:
    """A reload, a start: whatever is under way."""
    signals, begun = Signals(asyncio.get_running_loop()), asyncio.Event()

    async def work() -> None:
        begun.set()
        await hang()

    waiting = asyncio.create_task(signals.first(work()))
    await eventually(begun.is_set)
    signals.stop.set()
    assert await waiting is False


async def test_work_that_fails_says_so() -> None:
    """A port in use ends the start with its reason."""

    async def fail() -> None:
        raise UnavailableError("http.listen", "in use")

    with pytest.raises(UnavailableError):
        await Signals(asyncio.get_running_loop()).first(fail())


def test_every_secret_of_the_configuration_is_known_to_the_log(tmp_path: Path) -> None:
    """Tokens and DSNs; what a probe brings along."""
    target = {"name": "main", "kind": "postgresql", "dsn": "postgresql://x:s3cret@127.0.0.1/x"}
    probe = {"name": "api", "url": "https://127.0.0.1/?k=1", "headers": {"authorization": "Bearer s1"}}
    told: dict[str, Any] = {"http": {"listen": None, "metrics_token": "t0ken"}, "collect": {"probes": [probe]}}
    found = {secret.reveal() for secret in secrets_of(configured(tmp_path, target, **told))}
    assert found == {"t0ken", "postgresql://x:s3cret@127.0.0.1/x", "https://127.0.0.1/?k=1", "Bearer s1"}


def test_state_is_locked_by_one_daemon_and_free_afterwards(tmp_path: Path) -> None:
    """The second one is told whose it is."""
    path = tmp_path / "new" / "state.db"
    with state_lock(path), pytest.raises(UnavailableError, match="another Toban is running"), state_lock(path):
        pass
    with state_lock(path):
        assert path.parent.stat().st_mode & 0o077 == 0


def test_state_on_a_disk_that_knows_no_locks_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems of the network: nobody is told of another Toban that there is not."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with state_lock(tmp_path / "state.db"):
        pass


def test_state_that_cannot_be_locked_stops_nothing(tmp_path: Path) -> None:
    """There is nothing to share where nothing can be written."""
    (tmp_path / "blocked").write_text("")
    with state_lock(tmp_path / "blocked" / "state.db"):
        assert not (tmp_path / "blocked").is_dir()
