"""Where the daemon answers: the HTTP address of the configuration, and the local socket of the command line."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from daemon.configuration.tree import Http
from daemon.http.listening import Listener, listen_tcp, listen_unix, tls_problem
from daemon.http.pages import application
from daemon.world import World
from toban.errors import ConfigurationError, TobanError
from toban.secrets import Secret


class Front:
    """Opens, moves and closes the listeners."""

    def __init__(self, world: World, token: Callable[[], Secret | None], log: FilteringBoundLogger) -> None:
        self.world = world
        self.log = log
        self.address: tuple[str, int] | None = None
        self._token = token
        self._http: Http | None = None
        self._listener: Listener | None = None
        self._local: Listener | None = None
        self._local_path: Path | None = None

    async def answer(self, http: Http) -> None:
        """Listen where the configuration says. A new address opens before the old one closes."""
        if http.tls is not None and (why := tls_problem(http.tls.cert, http.tls.key)):
            raise ConfigurationError("http.tls", why)
        before = self._http
        if before is not None and (before.address, before.tls) == (http.address, http.tls):
            if http.tls is not None and self._listener is not None:
                self._listener.renew((http.tls.cert, http.tls.key))
            return
        if before is not None and before.address == http.address:
            await self._close_tcp()  # the same port cannot be taken twice
        opened = self._open(http)
        await self._close_tcp()
        self._http, self._listener = http, opened
        if opened is not None:
            await opened.open()
            self.address = opened.address
            self.log.info("listening", host=self.address[0], port=self.address[1])

    async def answer_locally(self, path: Path) -> None:
        """Listen for the command line. Without it the watch goes on: only commands that change something miss it."""
        try:
            self._local = Listener(application(self.world, lambda: None), listen_unix(path))
        except TobanError as error:
            self.log.error("no local socket", path=str(path), why=error.why, hint=error.hint)  # noqa: TRY400 - expected, no traceback
            return
        self._local_path = path
        await self._local.open()

    async def close(self) -> None:
        """Close both at once, bounded."""
        await asyncio.gather(self._close_tcp(), self._close_local())

    async def _close_local(self) -> None:
        if self._local is not None:
            await self._local.close()
        if self._local_path is not None:
            with suppress(OSError):  # its folder may be gone
                self._local_path.unlink()

    def _open(self, http: Http) -> Listener | None:
        if http.address is None:
            self.address = None
            return None
        tls = (http.tls.cert, http.tls.key) if http.tls else None
        return Listener(application(self.world, self._token), listen_tcp(*http.address), tls)

    async def _close_tcp(self) -> None:
        listener, self._listener, self._http = self._listener, None, None
        if listener is not None:
            await listener.close()
