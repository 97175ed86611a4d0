"""The way into a MariaDB server: what its programs are told, by a file of our own, and what refusals mean."""

import shutil
import stat
from pathlib import Path

import pytest

from backup.children import Children
from backup.errors import BackupError
from backup.mariadb.way import CLIENT, MariaDbWay, Table, _plain, quoted, release_of
from backup.programs import Programs
from tests.mariadbs import Mariadb
from toban.backups import Trouble
from toban.secrets import Dsn


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    """A client that nobody asks, where there is none."""
    if shutil.which("mariadb") is None:
        (tmp_path / "mariadb").touch()
    return Programs((tmp_path,))


def options(dsn: str, folder: Path, programs: Programs) -> list[str]:
    """What stands in the file."""
    return MariaDbWay(Dsn(dsn), folder, programs).defaults.read_text().splitlines()


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        (
            "mysql://me:x@127.0.0.1:3307/",
            ['user="me"', 'password="x"', 'host="127.0.0.1"', 'protocol="tcp"', 'port="3307"', "loose-skip-ssl"],
        ),
        ("mysql://me@localhost/?socket=/run/m.sock", ['user="me"', 'socket="/run/m.sock"', "loose-skip-ssl"]),
        (
            "mysql://db.example.org/",
            [
                'user="toban"',
                'host="db.example.org"',
                'protocol="tcp"',
                "loose-ssl",
                "loose-skip-ssl-verify-server-cert",
            ],
        ),
        (
            "mysql://db.example.org/?ssl-mode=verify-identity&ssl-ca=/etc/ca.pem",
            [
                'user="toban"',
                'host="db.example.org"',
                'protocol="tcp"',
                "loose-ssl",
                'ssl-ca="/etc/ca.pem"',
                "loose-ssl-verify-server-cert",
            ],
        ),
    ],
)
def test_mariadb_way_says_where_and_how_safely(
    dsn: str, expected: list[str], tmp_path: Path, programs: Programs
) -> None:
    """TLS where it is offered, but for this very machine; the certificate is looked at where somebody asks for that."""
    found = options(dsn, tmp_path, programs)
    assert found[0] == "[client]"
    assert [line for line in found[1:] if "packet" not in line] == expected


def test_mariadb_way_keeps_the_password_in_a_file_of_our_own(tmp_path: Path, programs: Programs) -> None:
    """Quoted as option files have it; no word of a program holds it."""
    way = MariaDbWay(Dsn("mysql://me:a%22b%5Cc%23d%0Ae@127.0.0.1/"), tmp_path, programs)
    assert 'password="a\\"b\\\\c#d\\ne"' in way.defaults.read_text().splitlines()
    assert stat.S_IMODE(way.defaults.stat().st_mode) == 0o600
    words = way.command(CLIENT, "--execute", "select 1").words
    assert words[1] == f"--defaults-file={way.defaults}"
    assert not [word for word in words if 'a"b' in word]


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        ("ERROR 1045 (28000): Access denied", Trouble.PRIVILEGE),
        ("Got error: 2013: Lost connection", Trouble.UNREACHABLE),
        ("Got error: 1205: Lock wait timeout exceeded", Trouble.LOCKED),
        ("Table definition has changed, please retry transaction", Trouble.LOCKED),
        ("ERROR 1064: You have an error in your SQL syntax", Trouble.TOOL),
    ],
)
def test_mariadb_refusals_have_their_trouble(said: str, trouble: Trouble, tmp_path: Path, programs: Programs) -> None:
    """Which decides whether another attempt makes sense."""
    assert MariaDbWay(Dsn("mysql://127.0.0.1/"), tmp_path, programs).failure(said).trouble is trouble


def test_mariadb_names_and_fields_are_read_as_they_are_meant() -> None:
    """In SQL, in rows of the client, in versions."""
    assert quoted("a`b") == "`a``b`"
    assert _plain("a\\tb\\\\n\\0c") == "a\tb\\n\0c"
    assert release_of("10.11.19-MariaDB-0+deb12u1-log") == (10, 11)
    view = Table(database="d", name="v", kind="VIEW", engine="", size_bytes=0)
    assert view.transactional


@pytest.mark.integration
@pytest.mark.parametrize("mode", ["required", "verify-ca"])
async def test_mariadb_way_without_tls_is_none_where_that_is_required(
    mode: str, mariadb: Mariadb, tmp_path: Path
) -> None:
    """The client would go on without a word; where TLS is preferred alone it may."""
    ways = []
    for asked in ("preferred", mode):
        (tmp_path / asked).mkdir()
        ways.append(MariaDbWay(Dsn(mariadb.dsn(ssl_mode=asked)), tmp_path / asked, Programs()))
    assert (await ways[0].open(Children())).release >= (10, 0)
    with pytest.raises(BackupError, match=r"SSL|TLS"):
        await ways[1].open(Children())


@pytest.mark.integration
async def test_mariadb_rows_are_counted(mariadb: Mariadb, tmp_path: Path) -> None:
    """Of each table that is named; of one that is not there the server's refusal is told."""
    mariadb.sql("create database counted; use counted; create table t (a int); insert into t values (1), (2)")
    way = MariaDbWay(Dsn(mariadb.dsn()), tmp_path, Programs())
    try:
        assert await way.count(Children(), "counted", ("t",), within_seconds=30) == {"t": 2}
        with pytest.raises(BackupError, match="doesn't exist"):
            await way.count(Children(), "counted", ("none",), within_seconds=30)
    finally:
        mariadb.sql("drop database counted")
