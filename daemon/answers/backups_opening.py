"""How a command comes by a repository: by its folder alone, or by the configuration; how its work is run and ended."""

import asyncio
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import structlog

from backup.children import Children
from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.programs import Programs
from backup.repository.memory import Memory
from backup.repository.repository import Repository
from backup.settings import Backups, Encryption
from daemon.answers.backups_workspace import workspace_in
from daemon.configuration import load
from daemon.configuration.surroundings import state_to_read, system_zone
from daemon.configuration.tree import Configuration
from toban.clock import Clock, SystemClock
from toban.errors import ConfigurationError
from toban.language import Language, choose_language
from toban.secrets import Secret

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
        language=choose_language(asked=place.language, configured=configuration.chosen_language, environ=environ),
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
    async with workspace_in(place.workspace or _usual(found)) as workspace:
        children = Children()
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
            await _open(repository, memory, create=create)
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


async def _open(repository: Repository, memory: Memory | None, *, create: bool) -> None:
    """Where there was never one yet, nothing is amiss: the first backup makes it."""
    try:
        await repository.open(create=create)
    except BackupError as error:
        if memory is None or repository.root.exists() or memory.identity(repository.root):
            raise
        hint = "the first backup makes it: toban backup run NAME, or the daemon"
        raise BackupError(error.what, error.why, hint, trouble=error.trouble) from error


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


def _usual(found: Known) -> Path:
    """Where a command works: beside the state, else where the system has such."""
    beside = found.configuration.state_path.parent if found.configuration is not None else None
    return beside if beside is not None and os.access(beside, os.W_OK) else Path(tempfile.gettempdir())


def _encryption(identity: Path | None) -> Encryption | None:
    """Enough to read by: of whom it was encrypted for nothing needs to be known."""
    if identity is None:
        return None
    return Encryption(method="age", recipients=("-",), identity=identity.absolute())
