"""`toban run`: from a configuration file to a daemon that ends when it is told, and ends in time."""

import asyncio
import fcntl
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
import uvloop
from structlog.typing import FilteringBoundLogger

from alerting.channels import secrets_in
from daemon import logs
from daemon.configuration import Loaded
from daemon.configuration.backing import backup_secrets
from daemon.configuration.tree import Configuration
from daemon.service import Service
from daemon.systemd import Notifier
from history.recording import History
from history.retention import Retention
from toban import __version__
from toban.clock import SystemClock
from toban.config import Model
from toban.errors import UnavailableError
from toban.secrets import Secret

STOP_WITHIN_SECONDS = 8.5
COLLECT_THRESHOLDS = (10_000, 20, 50)  # Python's own: 700, 10, 10
CANCEL_WITHIN_SECONDS = 0.5
THREADS = 32


def run(read: Callable[[], Loaded], environment: Mapping[str, str]) -> int:
    """Run until SIGTERM or SIGINT; the exit status."""

    def reading() -> Configuration:
        loaded = read()
        if loaded.configuration.backups.repository is not None:
            from daemon.backups.archiving import leave_digest  # noqa: PLC0415 - see daemon/backups/door.py

            leave_digest(loaded)
        return loaded.configuration

    configuration = reading()
    handler = configure_logs(configuration, environment)
    logs.log_strays()
    with state_lock(configuration.state_path), event_loop() as runner:
        return runner.run(_serve(reading, configuration, environment, handler))


def configure_logs(configuration: Configuration, environment: Mapping[str, str]) -> logs.LineHandler:
    """Set the log up as the configuration has it; every secret it holds is blotted out of every line."""
    log = configuration.log
    return logs.configure(
        format=log.format,
        level=log.level,
        file=log.file,
        stream=sys.stderr,
        environ=environment,
        secrets=tuple(secrets_of(configuration)),
        zone=configuration.zone,
    )


def secrets_of(configuration: Configuration) -> Iterator[Secret]:
    """Every secret of the configuration."""
    if configuration.http.metrics_token is not None:
        yield configuration.http.metrics_token
    for target in configuration.targets:
        dsn = getattr(target, "dsn", None)
        if isinstance(dsn, Secret):
            yield dsn
    for settings in configuration.channels.values():
        yield from secrets_in(settings)
    if configuration.alerts.heartbeat.url is not None:
        yield configuration.alerts.heartbeat.url
    yield from _within(configuration.collect)
    yield from backup_secrets(configuration)


def _within(value: object) -> Iterator[Secret]:
    """The secrets in a part of the tree: a probe's address and its headers."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Model):
        yield from (secret for _, each in value for secret in _within(each))
    elif isinstance(value, Mapping):
        yield from _within(tuple(value.values()))
    elif isinstance(value, tuple):
        yield from (secret for each in value for secret in _within(each))


@contextmanager
def event_loop() -> Iterator[asyncio.Runner]:
    """An event loop whose end nothing holds up."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        # Our own, so that we need not wait for it; and large, so that a dead disk or two leave enough for all others.
        resolvers = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="resolver")
        runner.get_loop().set_default_executor(resolvers)
        yield runner
        leave_if_held(runner.get_loop(), resolvers)


@contextmanager
def state_lock(path: Path) -> Iterator[None]:
    """One daemon to a state. Where the state cannot be written there is nothing to share, and nothing to lock."""
    lock = path.with_suffix(".lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield  # the history says why, and the watch goes on
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise UnavailableError(
            f"state {path}", "another Toban is running on it", "stop it, or give this one its own `state`"
        ) from error
    except OSError:
        pass  # a file system without locks, as some networks' are
    try:
        yield
    finally:
        os.close(handle)


async def _serve(
    read: Callable[[], Configuration],
    configuration: Configuration,
    environment: Mapping[str, str],
    handler: logs.LineHandler,
) -> int:
    signals = Signals(asyncio.get_running_loop())
    log = structlog.get_logger("toban")
    clock = SystemClock()
    # Opened by its own writer: a disk that hangs keeps neither the watch nor a signal waiting.
    history = History(configuration.state_path, clock, Retention())
    service = Service(configuration, history, clock=clock, log=log, notifier=Notifier(environment, clock))
    log.info("starting", version=__version__, node=configuration.node, targets=len(configuration.targets))
    try:
        if await signals.first(service.start()):
            settle_memory()
            await _until_stopped(service, read, signals, environment, handler)
    finally:
        await stop(service, log)
    return 0


def settle_memory() -> None:
    """Take what lives as long as the daemon out of the garbage collector's rounds, and let it make fewer.

    A turn's samples go by reference counting; the collector would look at each of them, and at every module, in vain.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_THRESHOLDS)


class Signals:
    """What the operating system asks for: SIGTERM and SIGINT to stop, SIGHUP to reload."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.stop, self.hang_up = asyncio.Event(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.hang_up.set)

    async def first(self, work: Coroutine[Any, Any, object]) -> bool:
        """Whether the work was done before we are to stop; else it is cancelled."""
        tasks = [asyncio.create_task(work), asyncio.create_task(self.stop.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        done = tasks[0].done()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=CANCEL_WITHIN_SECONDS)
        if done:
            tasks[0].result()
        return done


async def _until_stopped(
    service: Service,
    read: Callable[[], Configuration],
    signals: Signals,
    environment: Mapping[str, str],
    handler: logs.LineHandler,
) -> None:
    while await signals.first(signals.hang_up.wait()):
        signals.hang_up.clear()
        handler.reopen()  # before anything is said, and also when the file is refused: logrotate has renamed it
        before = service.configuration
        await signals.first(service.reload(read))
        if service.configuration is not before:
            handler = configure_logs(service.configuration, environment)


async def stop(service: Service, log: FilteringBoundLogger) -> None:
    """Stop the service and end every task, both bounded."""
    try:
        async with asyncio.timeout(STOP_WITHIN_SECONDS):
            await service.stop()
    except TimeoutError:
        log.error("stopped, but not everything ended in time")  # noqa: TRY400 - expected, no traceback
    else:
        log.info("stopped")
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=CANCEL_WITHIN_SECONDS)


def leave_if_held(loop: asyncio.AbstractEventLoop, resolvers: ThreadPoolExecutor) -> None:
    """Go, even if a task is deaf or a thread stuck on a dead disk or resolver: Python would wait for it for ever."""
    resolvers.shutdown(wait=False, cancel_futures=True)
    held = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    for thread in held:
        thread.join(timeout=0.2)
    if asyncio.all_tasks(loop) or any(thread.is_alive() for thread in held):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
