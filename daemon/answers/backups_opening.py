"""How a command comes by a repository: by its folder alone, or by the configuration; how its work is run and ended."""

import asyncio
import fcntl
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import structlog

from backup.children import Children
from backup.engines.contract import Surroundings
from backup.programs import Programs
from backup.repository.memory import Memory
from backup.repository.repository import Repository
from backup.settings import Backups, Encryption
from daemon.configuration import load
from daemon.configuration.surroundings import state_to_read, system_zone
from daemon.configuration.tree import Configuration
from toban.clock import Clock, SystemClock
from toban.errors import ConfigurationError, UnavailableError
from toban.language import Language, choose_language
from toban.secrets import Secret

PASSABLE: Final = 0o711
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where backups are looked for, as the command line says it. `repository` alone wants no configuration."""

    config: Path | None = None
    language: str | None = None
    repository: Path | None = None
    identity: Path | None = None  # who can read what is encrypted
    workspace: Path | None = None  # for what must not stay


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A repository that is open, and what is needed to work with it."""

    repository: Repository
    around: Surroundings
    zone: tzinfo
    language: Language
    settings: Backups
    configuration: Configuration | None = None  # None where the folder alone was named

    def secret(self, job: str) -> Secret | None:
        """The `password` of a job, where it is configured; without it programs go by their own ways."""
        return next((one.password for one in self.settings.jobs or () if one.name == job), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known before anything is opened."""

    root: Path
    zone: tzinfo
    language: Language
    settings: Backups
    configuration: Configuration | None = None


def known(place: Place, environ: Mapping[str, str] | None = None) -> Known:
    """The repository's folder and how to speak, without a look at the configuration where the folder is named."""
    environ = os.environ if environ is None else environ
    if place.repository is not None:
        name = system_zone(environ)
        zone: tzinfo = UTC if name == "UTC" else ZoneInfo(name)
        language = choose_language(asked=place.language, configured=None, environ=environ)
        settings = Backups(encryption=_encryption(place.identity))
        return Known(root=place.repository.absolute(), zone=zone, language=language, settings=settings)
    configuration = configured(place, environ)
    settings, root = configuration.backups, configuration.backups.repository
    if root is None:
        raise ConfigurationError("backups.repository", "is not configured", "name it there, or say --repository DIR")
    if place.identity is not None:
        settings = settings.model_copy(update={"encryption": _encryption(place.identity)})
    return Known(
        root=root,
        zone=configuration.zone,
        language=choose_language(asked=place.language, configured=configuration.language, environ=environ),
        settings=settings,
        configuration=configuration,
    )


def configured(place: Place, environ: Mapping[str, str]) -> Configuration:
    """The configuration, with the state that the running daemon has."""
    configuration = load(place.config, environ).configuration
    state = state_to_read(configuration.state_path, environ)
    return configuration.model_copy(update={"state": f"sqlite://{state}"})


@asynccontextmanager
async def opened(
    place: Place, *, create: bool = False, clock: Clock | None = None, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Shelf]:
    """The repository. Programs that were started are ended with the block, and the workspace is removed."""
    found = known(place, environ)
    node = found.configuration.node if found.configuration is not None else os.uname().nodename
    children = Children()
    workspace, lock = await asyncio.to_thread(_workspace, place, found)
    try:
        around = Surroundings(
            clock=clock or SystemClock(),
            children=children,
            programs=Programs(found.settings.programs),
            workspace=workspace,
            node=node,
        )
        memory = Memory.beside(found.configuration.state_path) if found.configuration is not None else None
        repository = Repository(found.root, around=around, encryption=found.settings.encryption, memory=memory)
        await repository.open(create=create)
        yield Shelf(
            repository=repository,
            around=around,
            zone=found.zone,
            language=found.language,
            settings=found.settings,
            configuration=found.configuration,
        )
    finally:
        await children.close()
        await asyncio.to_thread(shutil.rmtree, workspace, ignore_errors=True)
        os.close(lock)


def carried_out(work: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
    """Run the work of a command to its end; Ctrl-C and SIGTERM end it in order, with all that it started."""
    with _quiet(debug="--debug" in sys.argv), asyncio.Runner() as runner:
        # Interrupted, a driver leaves a future behind that nobody looks at: no news for whoever pressed Ctrl-C.
        runner.get_loop().set_exception_handler(lambda *_: None)
        try:
            return runner.run(_ended_in_order(work()))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


@contextmanager
def _quiet(*, debug: bool) -> Iterator[None]:
    """What the daemon would log a command says in its answer, or as its error; under --debug the log is shown too."""
    before = structlog.get_config()
    level = logging.INFO if debug else logging.CRITICAL
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        yield
    finally:
        structlog.configure(**before)


async def _ended_in_order(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    with suppress(RuntimeError, ValueError):  # in a thread that is not the first no signal arrives
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _workspace(place: Place, found: Known) -> tuple[Path, int]:
    """A folder that goes in the end: where it was asked for, beside the state, else where the system has such.

    A scratch server's account must be able to pass through it; what lies in it is closed by itself. With it comes a
    lock, which says that it is in use: to a daemon that clears its own folder, where somebody has put this one.
    """
    beside = found.configuration.state_path.parent if found.configuration is not None else None
    usual = beside if beside is not None and os.access(beside, os.W_OK) else Path(tempfile.gettempdir())
    try:
        made = Path(tempfile.mkdtemp(prefix="toban-", dir=place.workspace or usual))
        made.chmod(PASSABLE)
        lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError as error:
        raise UnavailableError("workspace", f"{error.filename}: {error.strerror}", "--workspace DIR") from error
    return made, lock


def _encryption(identity: Path | None) -> Encryption | None:
    """Enough to read by: of whom it was encrypted for nothing needs to be known."""
    if identity is None:
        return None
    return Encryption(method="age", recipients=("-",), identity=identity.absolute())
