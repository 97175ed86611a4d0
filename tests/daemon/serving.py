"""The daemon inside the test's own process and loop: for what needs no process of its own to be true."""

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import structlog
from structlog.testing import LogCapture, ReturnLogger

from collectors import COLLECTORS
from collectors.contract import Kind
from daemon.configuration.targets import with_host
from daemon.configuration.tree import Configuration
from daemon.service import Service
from daemon.systemd import Notifier
from history.recording import History
from history.retention import Retention
from toban.clock import Clock, SystemClock
from toban.config import WRITTEN

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

HOST_COLLECTORS = tuple(c.name for c in COLLECTORS if c.serves(Kind.HOST) and not c.listed)


def configured(home: Path, *targets: dict[str, Any], only: tuple[str, ...] = ("cpu",), **written: Any) -> Configuration:  # noqa: ANN401 - as YAML has them
    """A configuration on a port of its own; of the host's collectors only these run."""
    host = {name: {"every": "100ms"} if name in only else {"enabled": False} for name in HOST_COLLECTORS}
    tree = {
        "state": f"sqlite://{home}/state.db",
        "http": {"listen": "127.0.0.1:0"},
        "targets": list(targets),
        **written,
        "collect": {**host, **written.get("collect", {})},
    }
    configuration = Configuration.model_validate(tree, context=WRITTEN)
    return configuration.model_copy(update={"targets": with_host(configuration.targets)})


class Told:
    """What was logged."""

    def __init__(self) -> None:
        self._capture = LogCapture()
        bound = structlog.make_filtering_bound_logger(0)
        self.log: FilteringBoundLogger = structlog.wrap_logger(
            ReturnLogger(), processors=[self._capture], wrapper_class=bound
        )

    @property
    def entries(self) -> list[MutableMapping[str, Any]]:
        """Each line with its fields."""
        return self._capture.entries

    def of(self, event: str) -> list[MutableMapping[str, Any]]:
        """The lines with this event."""
        return [entry for entry in self.entries if entry["event"] == event]


class FakeNotifier(Notifier):
    """Keeps what systemd would have been told."""

    def __init__(self) -> None:
        super().__init__({}, SystemClock())
        self.said: list[str] = []
        self.closed = False

    def close(self) -> None:
        """Kept as well."""
        self.closed = True

    def _send(self, *lines: str) -> bool:
        self.said.append("\n".join(line for line in lines if line))
        return True


class Serving:
    """A service that runs, and what came of it."""

    def __init__(self, configuration: Configuration, clock: Clock, history: History | None) -> None:
        self.told = Told()
        self.notifier = FakeNotifier()
        self.service = Service(
            configuration,
            history or History(configuration.state_path, clock, Retention()),
            clock=clock,
            log=self.told.log,
            notifier=self.notifier,
        )

    def url(self, path: str) -> str:
        """Where it answers."""
        assert self.service.front.address is not None
        host, port = self.service.front.address
        return f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"

    async def get(self, path: str) -> httpx.Response:
        """One request over the network."""
        async with httpx.AsyncClient(timeout=60) as client:
            return await client.get(self.url(path))

    async def page(self) -> str:
        """`/metrics`."""
        return (await self.get("/metrics")).text

    async def ready(self) -> bool:
        """Whether each target was tried."""
        return (await self.get("/readyz")).status_code == httpx.codes.OK

    async def reload(self, configuration: Configuration) -> bool:
        """As SIGHUP does."""
        return await self.service.reload(lambda: configuration)


@asynccontextmanager
async def serving(
    configuration: Configuration, *, clock: Clock | None = None, history: History | None = None
) -> AsyncIterator[Serving]:
    """A service that has started, and is stopped afterwards."""
    started = Serving(configuration, clock or SystemClock(), history)
    try:
        await started.service.start()
        yield started
    finally:
        await started.service.stop()
