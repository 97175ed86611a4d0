"""What the daemon tells systemd: ready, reloading, stopping, a sentence about itself, and that it still turns.

The protocol is one datagram of `NAME=value` lines to a socket named in the environment (sd_notify(3)): less code than
the dependency that would send it, and ours neither blocks nor raises.
"""

import os
import socket
from collections.abc import Callable, Mapping

from toban.clock import Clock
from toban.printable import printable

LONGEST_STATUS = 300  # letters; `systemctl status` shows one line


def _datagram_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


class Notifier:
    """The way to the service manager. Without one, everything here does nothing.

    Each message returns whether it was handed over; all of them may be said again without harm.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        clock: Clock,
        *,
        pid: int | None = None,
        new_socket: Callable[[], socket.socket] = _datagram_socket,
    ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._clock = clock
        self._new_socket = new_socket
        self._socket: socket.socket | None = None
        self.watchdog_seconds = _watchdog_seconds(environ, os.getpid() if pid is None else pid)
        """How often, at the latest, `watchdog` must be called; None when nobody waits for it."""

    def ready(self, sentence: str = "") -> bool:
        """Started, or back from a reload."""
        return self._send("READY=1", _status(sentence))

    def reloading(self) -> bool:
        """A reload begins; `ready` ends it. The time stamp is what `Type=notify-reload` asks for."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={int(self._clock.monotonic() * 1_000_000)}")

    def stopping(self, sentence: str = "") -> bool:
        """The way out has begun."""
        return self._send("STOPPING=1", _status(sentence))

    def status(self, sentence: str) -> bool:
        """The sentence that `systemctl status` shows."""
        return self._send(_status(sentence))

    def watchdog(self) -> bool:
        """Still alive, and doing what it is there for."""
        return self._send("WATCHDOG=1")

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _send(self, *lines: str) -> bool:
        if self._address is None:
            return False
        message = "\n".join(line for line in lines if line).encode("utf-8", "replace")
        try:
            if self._socket is None:
                self._socket = self._new_socket()
                self._socket.settimeout(0)
            return self._socket.sendto(message, self._address) == len(message)
        except OSError:  # nobody listens, or its queue is full: the daemon's work does not depend on it
            return False


def _address(named: str) -> str | None:
    """The socket's address: a path, or a name in the abstract space, which is written with `@` for its zero byte."""
    if named.startswith("@"):
        return "\0" + named[1:]
    return named if named.startswith("/") else None


def _watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """The watchdog's patience, unless it is meant for another process."""
    interval = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid) or not (interval.isascii() and interval.isdigit()):
        return None
    return int(interval) / 1_000_000 or None


def _status(sentence: str) -> str:
    """On one line: a line break in a foreign name would be a message of its own to systemd."""
    return f"STATUS={printable(sentence)[:LONGEST_STATUS]}" if sentence else ""
