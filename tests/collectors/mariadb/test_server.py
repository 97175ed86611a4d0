"""The way into a MariaDB server: sessions, refusals, TLS, and somebody's own SQL."""

import datetime as dt
import ipaddress
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from collectors.mariadb import server as server_module
from collectors.mariadb.failures import ServerError
from collectors.mariadb.server import DownError
from collectors.mariadb.session import arguments, context_of, settings, ssl_mode
from collectors.mariadb.sql import Edition, Query
from tests.builders import ManualClock
from tests.collectors.mariadb.watched import ONE, SLEEP, Asking, a_server, failure_of, watching
from tests.mariadbs import Mariadb, NewMariadb
from toban.outcomes import Reason
from toban.secrets import Dsn

pytestmark = pytest.mark.integration
PASSWORD = "p@ss/wörd"


@pytest.fixture(scope="module")
def role(mariadb: Mariadb) -> str:
    """A role with a password."""
    mariadb.sql(f"create or replace user keyed identified by '{PASSWORD}'")
    return "keyed"


async def test_sessions_are_read_only_bounded_and_named(mariadb: Mariadb) -> None:
    """What every session of ours is held to, as the server sees it."""
    said = Asking(
        "select @@tx_read_only as read_only, @@max_statement_time as statement, @@lock_wait_timeout as locked,"
        " @@innodb_lock_wait_timeout as rowlocked, @@time_zone as zone, (select attr_value from"
        " performance_schema.session_connect_attrs where processlist_id = connection_id()"
        " and attr_name = 'program_name') as program"
    )
    async with watching(mariadb) as source:
        (row,) = await source.fetch(said)
        assert source.answered_at > 0
        assert source.spent_seconds > 0
    assert row == {
        "read_only": 1,
        "statement": 4.0,
        "locked": 0,
        "rowlocked": 0,
        "zone": "+00:00",
        "program": "toban",
    }


async def test_sessions_write_nothing(mariadb: Mariadb) -> None:
    """The server refuses, whatever the role may do."""
    async with watching(mariadb) as source:
        failure = await failure_of(source, Asking("create database forbidden"))
        second = await failure_of(source, Asking("select 1; select 2"))
        assert await source.fetch(ONE) == [{"one": 1}]  # the connection is still good
    assert (failure.reason, "READ ONLY" in failure.detail) == (Reason.UNSUPPORTED, True)
    assert second.reason is Reason.UNSUPPORTED


async def test_statements_are_ended_by_the_server(mariadb: Mariadb) -> None:
    """A statement over its time ends there, and the connection stays."""
    source = a_server(mariadb.dsn(), statement_timeout=0.2)
    failure = await failure_of(source, SLEEP)
    assert failure.reason is Reason.TIMEOUT
    assert await source.fetch(ONE) == [{"one": 1}]
    await source.close()


@pytest.mark.parametrize("plugin", ["mysql_native_password", "ed25519"])
async def test_roles_enter_by_their_plugin(new_mariadb: NewMariadb, plugin: str) -> None:
    """A password beyond latin1 and full of signs, over TCP, by each plugin that MariaDB has for it."""
    server = new_mariadb(plugin_load_add="auth_ed25519", character_set_server="utf8mb4")
    server.sql(f"set names utf8mb4; create user keyed identified via {plugin} using password('p@ss/word日')")
    async with watching(server, user="keyed", password="p@ss/word日") as source:
        assert await source.fetch(ONE) == [{"one": 1}]


async def test_roles_enter_through_the_socket(mariadb: Mariadb) -> None:
    """A Unix socket needs no host."""
    source = a_server(f"mysql://root@/?socket={mariadb.socket}")
    assert await source.fetch(Asking("select user() as me")) == [{"me": "root@localhost"}]
    await source.close()


async def test_wrong_password_is_told_and_never_shown(mariadb: Mariadb, role: str) -> None:
    """The reason is authentication, the target is down, and the password stands nowhere."""
    async with watching(mariadb, user=role, password="geheim") as source:
        failure = await failure_of(source)
    assert (failure.reason, failure.down) == (Reason.AUTHENTICATION, True)
    assert "geheim" not in f"{failure} {source.dsn!r}"


async def test_unknown_database_is_told(mariadb: Mariadb) -> None:
    """And what to do about it."""
    async with watching(mariadb, database="nowhere") as source:
        failure = await failure_of(source)
    assert (failure.reason, failure.detail) == (Reason.NOT_FOUND, "Unknown database 'nowhere'")


async def test_forbidden_database_is_a_shut_door(mariadb: Mariadb, role: str) -> None:
    """A privilege elsewhere, but here nobody gets in."""
    async with watching(mariadb, user=role, password=PASSWORD, database="mysql") as source:
        failure = await failure_of(source)
    assert (failure.reason, failure.down) == (Reason.AUTHENTICATION, True)


async def test_full_server_is_told(new_mariadb: NewMariadb) -> None:
    """The last slot is taken: 1040, and one slot is for the administrator."""
    server = new_mariadb(max_connections="10")
    server.sql("create user toban")
    guests = [a_server(server.dsn(user="toban")) for _ in range(11)]
    reasons = []
    for guest in guests:
        try:
            await guest.fetch(ONE)
        except DownError as error:
            reasons.append(error.failure.reason)
    for guest in guests:
        await guest.close()
    assert reasons == [Reason.FULL]


async def test_tls_is_used_where_it_is_offered(new_mariadb: NewMariadb) -> None:
    """Preferred takes it unverified, verify-ca wants the authority, and off stays off."""
    server = new_mariadb(start=False)
    key, certificate = _certificate(server.socket_dir)  # where the servers' account may read
    server.settings |= {"ssl-cert": str(certificate), "ssl-key": str(key), "ssl-ca": str(certificate)}
    server.start()
    cipher = Asking(
        "select variable_value as cipher from information_schema.session_status where variable_name = 'ssl_cipher'"
    )
    ways: tuple[tuple[dict[str, Any], bool], ...] = (
        ({"ssl_mode": "preferred"}, True),
        ({"ssl_mode": "verify-ca", "ssl_ca": str(certificate)}, True),
        ({"ssl_mode": "verify-identity", "ssl_ca": str(certificate)}, True),
        ({"ssl_mode": "required", "ssl_cert": str(certificate), "ssl_key": str(key)}, True),
        ({"ssl_mode": "disabled"}, False),
    )
    for how, secure in ways:
        async with watching(server, **how) as source:
            (row,) = await source.fetch(cipher)
            assert bool(row["cipher"]) is secure, how
    async with watching(server, ssl_mode="verify-ca") as source:
        failure = await failure_of(source)
        assert source._context is None  # the next attempt reads its files again
    assert (failure.reason, "ssl-ca" in failure.hint) == (Reason.UNREACHABLE, True)


async def test_tls_is_prepared_once_and_beside_the_loop(
    new_mariadb: NewMariadb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To read the machine's authorities takes a tenth of a second; somebody's SQL connects anew each time."""
    server = new_mariadb(start=False)
    key, certificate = _certificate(server.socket_dir)
    server.settings |= {"ssl-cert": str(certificate), "ssl-key": str(key)}
    server.start()
    made: list[str] = []

    def noted(dsn: Dsn) -> ssl.SSLContext:
        made.append(threading.current_thread().name)
        return context_of(dsn)

    monkeypatch.setattr(server_module, "context_of", noted)
    async with watching(server, ssl_mode="required") as source:
        await source.fetch(ONE)
        for _ in range(2):
            await source.ask("select 1", timeout_seconds=5, most_rows=1)
    assert len(made) == 1
    assert threading.main_thread().name not in made


async def test_tls_that_is_not_offered(mariadb: Mariadb) -> None:
    """Preferred goes on without and does not try again; required goes nowhere."""
    async with watching(mariadb, ssl_mode="preferred") as source:
        assert await source.fetch(ONE) == [{"one": 1}]
        aborted = mariadb.sql("show global status like 'Aborted_connects'").split()[1]
        source.abandon()
        assert await source.fetch(ONE) == [{"one": 1}]
        assert mariadb.sql("show global status like 'Aborted_connects'").split()[1] == aborted
    async with watching(mariadb, ssl_mode="required") as source:
        assert (await failure_of(source)).reason is Reason.UNREACHABLE


def test_tls_is_off_by_default_only_on_this_machine() -> None:
    """Who names another machine and says nothing gets it where it is offered."""
    assert ssl_mode(Dsn("mysql://toban@127.0.0.1:3306/")) == "disabled"
    assert ssl_mode(Dsn("mysql://toban@/?socket=/run/m")) == "disabled"
    assert ssl_mode(Dsn("mysql://toban@db1/")) == "preferred"


def test_tls_files_that_are_of_no_use_are_named(tmp_path: Path) -> None:
    """One that is not there, one that is no certificate, a key under a password: nobody is asked for it."""
    key, certificate = _certificate(tmp_path)
    locked, text = tmp_path / "locked.pem", tmp_path / "text.pem"
    words = ["openssl", "pkey", "-in", str(key), "-out", str(locked), "-aes256", "-passout", "pass:hunter2"]
    subprocess.run(words, check=True, capture_output=True)
    text.write_text("no certificate")
    for given, named in (
        (f"ssl-ca={tmp_path}/none.pem", f"ssl-ca {tmp_path}/none.pem"),
        (f"ssl-ca={text}", "text.pem"),
        (f"ssl-cert={certificate}&ssl-key={locked}", "locked.pem"),
    ):
        with pytest.raises(ServerError) as caught:
            context_of(Dsn(f"mysql://toban@db1/?ssl-mode=required&{given}"))
        assert named in caught.value.failure.detail
        assert "PEM" in caught.value.failure.hint


def test_arguments_are_what_the_dsn_says() -> None:
    """Names and passwords are decoded, and what is left out has MySQL's defaults."""
    told = arguments(Dsn("mysql://to%40ban:p%2Fw@db1/shop"), timeout_seconds=4)
    assert (told["host"], told["port"], told["user"], told["password"]) == ("db1", 3306, "to@ban", b"p/w")
    assert (told["database"], told["ssl"]) == ("shop", None)
    assert arguments(Dsn("mysql://db1/shop"), timeout_seconds=4, database="x")["database"] == "x"


def test_mysql_is_told_in_its_own_words() -> None:
    """It takes milliseconds and no zero. Written from its manual: no MySQL has answered it here."""
    (bounds, read_only) = settings(4.0)(Edition("8.4.3"))
    assert "max_execution_time = 4000, lock_wait_timeout = 1, innodb_lock_wait_timeout = 1" in bounds
    assert read_only == "SET SESSION TRANSACTION READ ONLY"


@pytest.mark.parametrize(
    ("banner", "short", "shortfall"),
    [
        ("5.5.5-10.11.19-MariaDB-0+deb12u1", "10.11.19", ""),
        ("11.8.1-MariaDB", "11.8.1", ""),
        ("8.0.22", "8.0.22", ""),
        ("5.5.5-10.4.9-MariaDB", "10.4.9", "Toban needs MariaDB 10.5.0, this server is 10.4.9"),
        ("5.7.44-log", "5.7.44", "Toban needs MySQL 8.0.22, this server is 5.7.44"),
        ("", "", "Toban needs MySQL 8.0.22, this server is "),
    ],
)
def test_edition_is_read_from_the_banner(banner: str, short: str, shortfall: str) -> None:
    """MariaDB before 11 puts 5.5.5- in front."""
    assert (Edition(banner).short, Edition(banner).shortfall) == (short, shortfall)


async def test_old_server_is_refused(mariadb: Mariadb, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server older than what Toban can read is told so."""
    monkeypatch.setattr("collectors.mariadb.sql.OLDEST_MARIADB", 990000)
    async with watching(mariadb) as source:
        failure = await failure_of(source)
    assert failure.reason is Reason.VERSION
    assert failure.detail.startswith("Toban needs MariaDB 99.0.0, this server is ")


async def test_missing_driver_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that mends it; the target is down, not broken."""
    monkeypatch.setitem(sys.modules, "asyncmy", None)
    failure = await failure_of(a_server("mysql://toban@127.0.0.1:1/"))
    assert (failure.reason, failure.down) == (Reason.UNREACHABLE, True)
    assert failure.hint == "pip install 'toban[mariadb]', in Toban's own environment"


def test_driver_is_not_loaded_before_it_is_needed() -> None:
    """Neither all collectors nor a source bring it in."""
    program = (
        "import sys, collectors, daemon.wiring; from collectors.mariadb.server import *;"
        "from toban.clock import SystemClock; from toban.secrets import Dsn;"
        "MariadbServer(Dsn('mysql://toban@127.0.0.1/'), SystemClock(), MariadbLimits());"
        "print('asyncmy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def test_attempts_are_put_off(manual_clock: ManualClock) -> None:
    """A server that is down is asked again after half a second, then later and later."""
    source = a_server("mysql://toban@127.0.0.1:1/", clock=manual_clock)
    first = await failure_of(source)
    assert (first.reason, await failure_of(source)) == (Reason.UNREACHABLE, first)
    waits = []
    for _ in range(7):
        waits.append(source._next_attempt - manual_clock.monotonic())
        manual_clock.advance(waits[-1])
        await failure_of(source)
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


def test_unknown_errors_carry_their_number() -> None:
    """Whatever the server says that has no meaning of its own here."""
    source = a_server("mysql://toban:geheim@127.0.0.1/")
    failure = source.explain(Exception(1366, "Incorrect value for geheim"))
    assert (failure.reason, failure.detail) == (Reason.INTERNAL, "Incorrect value for ******** (error 1366)")
    assert source.explain(ValueError("odd")).detail == "ValueError: odd"
    assert source.explain(OSError(5, "I/O")).reason is Reason.UNREACHABLE
    assert source.explain(TimeoutError()).detail == "no answer in time"
    assert source.explain(ServerError(1, failure)) is failure


async def test_plugin_that_wants_a_package_is_a_login_that_failed(
    mariadb: Mariadb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver says which package; the ways around it stand in the hint."""
    mariadb.sql("install soname 'auth_ed25519'; create user signed identified via ed25519 using password('x')")
    monkeypatch.setattr("asyncmy.auth._nacl_bindings", None)
    monkeypatch.setitem(sys.modules, "nacl", None)
    async with watching(mariadb, user="signed", password="x") as source:
        failure = await failure_of(source)
    assert (failure.reason, "'pynacl' package" in failure.detail) == (Reason.AUTHENTICATION, True)
    assert "Unix socket" in failure.hint


@pytest.mark.parametrize("name", ["sessions", "replication", "digests_state", "gtid"])
def test_queries_have_a_text_for_mysql(name: str) -> None:
    """Where it differs it has its own, and says that nobody has tried it; elsewhere the same as the oldest MariaDB."""
    own, common = Query(name).text(Edition("8.4.3")), Query("settings").text(Edition("8.4.3"))
    assert own != Query(name).text(Edition("10.11.19-MariaDB"))
    assert common == Query("settings").text(Edition("10.5.0-MariaDB"))


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A key, and a certificate for 127.0.0.1 that it has signed itself; both may be read by the servers' account."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    files = folder / "key.pem", folder / "certificate.pem"
    files[0].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    files[1].write_bytes(certificate.public_bytes(pem))
    return files
