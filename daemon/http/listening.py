"""The sockets the daemon answers on, and uvicorn inside our own loop, without its signals and without its ticking."""

import asyncio
import os
import socket
import ssl
import stat
from contextlib import suppress
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from daemon.http.patience import MOST_CONNECTIONS, PatientProtocol
from toban.errors import UnavailableError

OPEN_SECONDS = 30  # its parts are imported at the first one: a machine under load takes its time
CLOSE_SECONDS = 2
LONGEST_UNIX_PATH_BYTES = 107
BACKLOG = 128


class Listener(uvicorn.Server):
    """One server on one socket. It idles without waking, and ends when it is told."""

    def __init__(self, app: Starlette, listening: socket.socket, tls: tuple[Path, Path] | None = None) -> None:
        config = uvicorn.Config(
            app,
            http=PatientProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,  # nobody's word is taken for who asks
            date_header=False,  # its clock would wake the process ten times a second
            limit_concurrency=MOST_CONNECTIONS + 1,  # requests whose asker has gone count, too
            timeout_graceful_shutdown=CLOSE_SECONDS,
            timeout_keep_alive=75,
            ssl_certfile=str(tls[0]) if tls else None,
            ssl_keyfile=str(tls[1]) if tls else None,
        )
        super().__init__(config)
        self._socket = listening
        self._stop = asyncio.Event()
        self.address = (
            (str(listening.getsockname()[0]), int(listening.getsockname()[1])) if _is_tcp(listening) else ("", 0)
        )
        self._answering = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to answer."""
        self._serving = asyncio.create_task(self._serve([self._socket]), name="http")
        async with asyncio.timeout(OPEN_SECONDS):
            await self._answering.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take the socket over and say so."""
        await super().startup(sockets=sockets)
        self._answering.set()

    async def main_loop(self) -> None:
        """Wait to be stopped. uvicorn's own loop ticks ten times a second for headers that we leave out."""
        await self.on_tick(0)
        await self._stop.wait()

    def renew(self, tls: tuple[Path, Path]) -> None:
        """Show a certificate that was renewed to whoever connects from now on."""
        if self.config.ssl is not None:
            self.config.ssl.load_cert_chain(*tls)

    async def close(self) -> None:
        """Finish what is under way, within two seconds."""
        self._stop.set()
        if self._serving is not None:
            await asyncio.wait({self._serving}, timeout=CLOSE_SECONDS + 1)


def _is_tcp(listening: socket.socket) -> bool:
    return listening.family in (socket.AF_INET, socket.AF_INET6)


def listen_tcp(host: str, port: int) -> socket.socket:
    """A listening TCP socket, or one clear line why not. `localhost` needs no resolver: a machine may have none."""
    host = "127.0.0.1" if host == "localhost" else host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY on what is accepted: else a page waits 40 ms for an ACK.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise UnavailableError(
            f"http.listen {host}:{port}", error.strerror or str(error), "is another Toban running? choose another port"
        ) from error
    return listening


def listen_unix(path: Path, mode: int = 0o600) -> socket.socket:
    """The local socket for the command line. Its file mode is the permission to change the daemon's state."""
    if len(str(path).encode()) > LONGEST_UNIX_PATH_BYTES:
        raise UnavailableError(f"local socket {path}", "the path is too long for a socket", "choose a shorter `state`")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear(path)
        os.fchmod(listening.fileno(), mode)  # before it has a name: there is no moment at which others may connect
        listening.bind(str(path))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise UnavailableError(f"local socket {path}", error.strerror or str(error)) from error
    return listening


def _clear(path: Path) -> None:
    """Remove what a daemon that was killed has left behind; the state's lock says that none runs."""
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()


def tls_problem(cert: Path, key: Path) -> str:
    """Why this certificate and key cannot be served; empty when they can."""
    for path in (cert, key):
        try:
            path.read_bytes()
        except OSError as error:
            return f"{path}: {error.strerror or error}"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, _no_password)
    except ssl.SSLError as error:
        return f"{cert} and {key} are no certificate and its key: {error.reason or error}"
    except ValueError as error:
        return f"{key}: {error}"
    return ""


def _no_password() -> str:
    """Without it OpenSSL would ask at the terminal for the key's password, and wait there."""
    raise ValueError("the key wants a password; write it without one, readable by this user alone")
