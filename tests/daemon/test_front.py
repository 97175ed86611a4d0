"""Where the daemon answers, as the configuration moves it."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from datetime import UTC
from pathlib import Path

import pytest

from daemon.configuration.tree import Http, Tls
from daemon.http import front as front_module
from daemon.http.front import Front
from daemon.world import World
from tests.daemon.serving import Told
from tests.ports import free_port
from toban.clock import SystemClock
from toban.errors import ConfigurationError, UnavailableError

pytestmark = pytest.mark.integration


@pytest.fixture
def told() -> Told:
    """What the front says."""
    return Told()


@pytest.fixture
async def front(told: Told) -> AsyncIterator[Front]:
    """Nothing listens yet."""
    world = World(
        clock=SystemClock(),
        zone=UTC,
        state_path=Path("/nonexistent/state.db"),
        gauges=lambda: (),
        components=lambda: (),
    )
    made = Front(world, lambda: None, told.log)
    yield made
    await made.close()


def certificate(folder: Path, name: str) -> Tls:
    """A certificate for this name, with its key: always the same two files."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine: apt-get install openssl")
    made = Tls(cert=folder / "cert.pem", key=folder / "key.pem")
    options = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    words = [openssl, "req", *options, "-subj", f"/CN={name}", "-keyout", str(made.key), "-out", str(made.cert)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    return made


async def shown(front: Front) -> bytes:
    """The certificate that whoever connects now is shown."""
    assert front.address is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(*front.address, ssl=context)
    seen: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return seen


async def test_front_moves_and_leaves_the_old_address(front: Front) -> None:
    """The new one opens before the old one closes."""
    old, new = free_port(), free_port()
    for port in (old, new):
        await front.answer(Http(listen=f"127.0.0.1:{port}"))
    assert front.address == ("127.0.0.1", new)
    with closing(socket.socket()) as probe:
        assert probe.connect_ex(("127.0.0.1", old)) != 0


async def test_front_that_cannot_move_stays(front: Front) -> None:
    """The new address is taken: the old one goes on answering."""
    await front.answer(Http(listen=f"127.0.0.1:{free_port()}"))
    before = front.address
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UnavailableError):
            await front.answer(Http(listen=f"127.0.0.1:{taken.getsockname()[1]}"))
    assert front.address == before
    assert before is not None
    with closing(socket.socket()) as probe:
        assert probe.connect_ex(before) == 0


async def test_front_takes_tls_on_where_it_stands_and_refuses_a_bad_certificate(front: Front, tmp_path: Path) -> None:
    """The same port changes its tongue; what cannot be served is refused and changes nothing."""
    plain = Http(listen=f"127.0.0.1:{free_port()}")
    await front.answer(plain)
    tls = certificate(tmp_path, "one")
    await front.answer(plain.model_copy(update={"tls": tls}))
    assert await shown(front)
    missing = Tls(cert=tmp_path / "no.pem", key=tmp_path / "no.pem")
    with pytest.raises(ConfigurationError, match="No such file"):
        await front.answer(plain.model_copy(update={"tls": missing}))
    assert await shown(front)


async def test_front_shows_a_renewed_certificate_after_a_reload(front: Front, tmp_path: Path) -> None:
    """Whoever renews it writes the same files anew and sends SIGHUP."""
    http = Http(listen="127.0.0.1:0", tls=certificate(tmp_path, "one"))
    await front.answer(http)
    address, before = front.address, await shown(front)
    certificate(tmp_path, "two")
    await front.answer(http)
    assert front.address == address
    assert await shown(front) != before


async def test_front_that_lost_its_port_tries_again_at_the_next_reload(
    front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody took the port in the moment between closing and opening: not for ever."""
    plain = Http(listen=f"127.0.0.1:{free_port()}")
    await front.answer(plain)
    with monkeypatch.context() as patched:

        def taken(host: str, port: int) -> socket.socket:
            raise UnavailableError(f"http.listen {host}:{port}", "Address already in use")

        patched.setattr(front_module, "listen_tcp", taken)
        with pytest.raises(UnavailableError):
            await front.answer(plain.model_copy(update={"tls": certificate(tmp_path, "one")}))
    await front.answer(plain)
    assert front.address is not None
    with closing(socket.socket()) as probe:
        assert probe.connect_ex(front.address) == 0


async def test_front_goes_on_without_a_local_socket(front: Front, told: Told, tmp_path: Path) -> None:
    """Only commands that change something miss it; it is told once, with the mend."""
    await front.answer_locally(tmp_path / ("x" * 120))
    (said,) = told.of("no local socket")
    assert said["hint"] == "choose a shorter `state`"


async def test_front_takes_its_local_socket_along(front: Front, tmp_path: Path) -> None:
    """And does not mind when its folder has gone before it."""
    path = tmp_path / "folder" / "state.sock"
    path.parent.mkdir()
    await front.answer_locally(path)
    assert path.is_socket()
    shutil.rmtree(path.parent)
    await front.close()
