"""Claims about what systemd is told: real datagram sockets stand where the service manager listens.

systemd itself is not PID 1 where tests usually run, so the messages are held against sd_notify(3), not against it.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from daemon.systemd import LONGEST_STATUS, Notifier
from tests.builders import ManualClock

pytestmark = pytest.mark.integration


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end, at a path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(60)
        yield listening


@pytest.fixture
def notifier(manager: socket.socket) -> Iterator[Notifier]:
    """A notifier whose environment names the manager's socket."""
    with closing(Notifier({"NOTIFY_SOCKET": manager.getsockname()}, ManualClock(monotonic=12.5))) as made:
        yield made


@pytest.mark.parametrize(
    ("say", "message"),
    [
        (lambda notifier: notifier.ready(), "READY=1"),
        (lambda notifier: notifier.ready("all well"), "READY=1\nSTATUS=all well"),
        (lambda notifier: notifier.reloading(), "RELOADING=1\nMONOTONIC_USEC=12500000"),
        (lambda notifier: notifier.stopping(), "STOPPING=1"),
        (lambda notifier: notifier.stopping("bye"), "STOPPING=1\nSTATUS=bye"),
        (lambda notifier: notifier.status("監視対象 3 件中 3 件が応答"), "STATUS=監視対象 3 件中 3 件が応答"),
        (lambda notifier: notifier.watchdog(), "WATCHDOG=1"),
    ],
)
def test_notifier_sends_the_documented_message(
    manager: socket.socket, notifier: Notifier, say: Callable[[Notifier], bool], message: str
) -> None:
    """Each message is one datagram, letter by letter as sd_notify(3) has it."""
    assert say(notifier)
    assert manager.recv(4096).decode() == message


def test_notifier_reaches_an_abstract_socket() -> None:
    """A name that begins with @ is in the abstract space; containers have it so."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0toban-test-{os.getpid()}")
        listening.settimeout(60)
        with closing(Notifier({"NOTIFY_SOCKET": f"@toban-test-{os.getpid()}"}, ManualClock())) as notifier:
            assert notifier.ready()
        assert listening.recv(4096) == b"READY=1"


def test_notifier_keeps_a_status_on_one_line(manager: socket.socket, notifier: Notifier) -> None:
    """A line break in a foreign name does not become an order to systemd."""
    notifier.status("down: x\nMAINPID=1\x1b[2J" + "!" * 1000)
    message = manager.recv(4096).decode()
    assert message.startswith(r"STATUS=down: x\nMAINPID=1\e[2J!")
    assert "\n" not in message
    assert len(message) == len("STATUS=") + LONGEST_STATUS


@pytest.mark.parametrize("named", ["", "relative", "vsock:2:1234", "/nowhere/at/all", "/" + "x" * 200])
def test_notifier_without_anybody_listening_does_nothing(named: str) -> None:
    """No socket, one of another kind, one that is gone, one too long: nothing is raised."""
    with closing(Notifier({"NOTIFY_SOCKET": named}, ManualClock())) as notifier:
        assert not notifier.ready()


def test_notifier_never_waits_for_a_manager_that_does_not_read(manager: socket.socket, notifier: Notifier) -> None:
    """A full queue makes a message fail at once; when it is read again, messages arrive again."""
    sent = 0
    while notifier.watchdog():
        sent += 1
        assert sent < 100_000
    assert sent
    manager.recv(4096)
    assert notifier.watchdog()


def test_notifier_closes_its_socket_and_may_be_used_again(manager: socket.socket) -> None:
    """Closing lets go of the descriptor, twice without harm."""
    made: list[socket.socket] = []

    def new_socket() -> socket.socket:
        made.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        return made[-1]

    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()}, ManualClock(), new_socket=new_socket)
    notifier.ready()
    notifier.ready()
    assert [used.gettimeout() for used in made] == [0]
    notifier.close()
    notifier.close()
    assert [used.fileno() for used in made] == [-1]
    assert notifier.ready()
    notifier.close()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "42"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_is_taken_only_when_meant_for_this_process(environ: Mapping[str, str], seconds: float | None) -> None:
    """A watchdog of another process, or nonsense, is none."""
    assert Notifier(environ, ManualClock(), pid=42).watchdog_seconds == seconds
