"""Sockets that open, or say in one line why not."""

import shutil
import socket
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from daemon.http.listening import listen_tcp, listen_unix, tls_problem
from toban.errors import UnavailableError


def test_tcp_port_in_use_is_one_clear_line() -> None:
    """With the mend."""
    with closing(listen_tcp("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError) as refused:
            listen_tcp("127.0.0.1", port)
    assert refused.value.line.startswith(f"toban: http.listen 127.0.0.1:{port}: Address already in use (")
    assert refused.value.exit_status == 3


def test_tcp_listens_on_names_and_on_ipv6() -> None:
    """Whatever the configuration takes."""
    for host, family in (("localhost", socket.AF_INET), ("::1", socket.AF_INET6)):
        with closing(listen_tcp(host, 0)) as listening:
            assert listening.family == family


def test_unix_socket_lets_its_owner_in_alone(tmp_path: Path) -> None:
    """Its mode is the permission to change the daemon's state."""
    with closing(listen_unix(tmp_path / "state.sock")):
        assert stat.S_IMODE((tmp_path / "state.sock").stat().st_mode) == 0o600


def test_unix_socket_that_a_killed_daemon_left_behind_is_replaced(tmp_path: Path) -> None:
    """The next start works without a hand."""
    path = tmp_path / "state.sock"
    listen_unix(path).close()
    assert path.is_socket()
    with closing(listen_unix(path)), closing(socket.socket(socket.AF_UNIX)) as asking:
        asking.connect(str(path))


def test_unix_socket_does_not_remove_what_is_no_socket(tmp_path: Path) -> None:
    """Somebody's file stays, and so does a link to somebody's socket."""
    path = tmp_path / "state.sock"
    path.write_text("precious")
    with pytest.raises(UnavailableError, match="in use"):
        listen_unix(path)
    assert path.read_text() == "precious"


def test_unix_socket_below_a_file_is_unavailable(tmp_path: Path) -> None:
    """The state's folder cannot be made: the local socket is missed, and the reason told."""
    (tmp_path / "blocked").write_text("")
    with pytest.raises(UnavailableError, match="Not a directory"):
        listen_unix(tmp_path / "blocked" / "state.sock")


def test_unix_socket_with_too_long_a_path_names_the_mend(tmp_path: Path) -> None:
    """The system's own message would be: AF_UNIX path too long."""
    with pytest.raises(UnavailableError) as refused:
        listen_unix(tmp_path / ("x" * 100) / "state.sock")
    assert refused.value.hint == "choose a shorter `state`"


def test_tls_problem_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    """A missing file and one that is no certificate."""
    nothing = tmp_path / "nothing.pem"
    assert tls_problem(nothing, nothing) == f"{nothing}: No such file or directory"
    nothing.write_text("nonsense")
    assert f"{nothing} are no certificate and its key" in tls_problem(nothing, nothing)


def test_tls_key_with_a_password_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    """OpenSSL would ask at the terminal, and the daemon wait there for ever."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine: apt-get install openssl")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    options = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-passout", "pass:secret")
    words = [openssl, "req", *options, "-subj", "/CN=x", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    assert tls_problem(cert, key).startswith(f"{key}: the key wants a password")
