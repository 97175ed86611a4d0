"""The tree's own rules, one at a time."""

from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from collectors import COLLECTORS
from daemon.configuration.targets import SSL_MODES, HostTarget, PostgresqlTarget, SqliteTarget, Target, with_host
from daemon.configuration.tree import Address, Configuration, Http, Log, is_zone, parse_listen
from toban.secrets import Secret

ANYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound here


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:8432", "127.0.0.1", 8432, True),
        ("127.9.9.9:1", "127.9.9.9", 1, True),
        ("[::1]:8432", "::1", 8432, True),
        ("localhost:0", "localhost", 0, True),
        ("0.0.0.0:80", ANYWHERE, 80, False),
        ("[::]:80", "::", 80, False),
        ("db1.example.org:80", "db1.example.org", 80, False),
    ],
)
def test_listen_reads_addresses(text: str, host: str, port: int, *, loopback: bool) -> None:
    """Of both families and by name, and knows which only this machine can reach."""
    address = parse_listen(text)
    assert address == Address(host, port)
    assert address.loopback is loopback


@pytest.mark.parametrize(
    "text", ["8432", ":8432", "::1:8432", "[::1]", "127.0.0.1", "127.0.0.1:65536", "1.2.3:1", "[12]:1", "a b:1", "h:-1"]
)
def test_listen_refuses_what_is_no_address(text: str) -> None:
    """Each of them quoted."""
    with pytest.raises(ValueError, match="is no address to listen on"):
        parse_listen(text)


@pytest.mark.parametrize("nothing", ["", None])
def test_listen_may_be_switched_off(nothing: str | None) -> None:
    """Then there is no address, and no token is needed."""
    assert Http(listen=nothing).address is None


def test_http_beyond_loopback_wants_a_token() -> None:
    """Whoever can reach the machine could read everything."""
    with pytest.raises(ValidationError, match=r"set http\.metrics_token"):
        Http(listen="0.0.0.0:8432")
    assert Http(listen="0.0.0.0:8432", metrics_token=Secret("t")).address == Address(ANYWHERE, 8432)


def test_state_names_its_file_and_socket() -> None:
    """Both in one folder."""
    configuration = Configuration(state="sqlite:///srv/t/state.db")
    assert configuration.state_path == Path("/srv/t/state.db")
    assert configuration.socket_path == Path("/srv/t/state.sock")


@pytest.mark.parametrize(
    "state", ["/srv/state.db", "sqlite://x.db", "sqlite:///srv/", "sqlite:///" + "x" * 100, "postgres://h/d"]
)
def test_state_refuses_what_it_cannot_be(state: str) -> None:
    """No relative path, no folder, none too long for its socket, no shared one yet."""
    with pytest.raises(ValidationError):
        Configuration(state=state)


def test_zone_is_utc_even_without_a_zone_database() -> None:
    """A minimal machine has none."""
    assert Configuration().zone is UTC


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("UTC", True),
        ("Asia/Tokyo", True),
        ("Asia", False),
        ("../etc", False),
        ("", False),
        ("x\0", False),
        ("No/Where", False),
    ],
)
def test_zone_is_one_or_not(name: str, *, there: bool) -> None:
    """A folder of zones is none."""
    assert is_zone(name) is there


def test_settings_are_found_by_the_collectors_name() -> None:
    """At their defaults where nothing is said."""
    for collector in COLLECTORS:
        if collector.listed:
            assert Configuration().entries_of(collector.name) == ()
        else:
            assert Configuration().settings_of(collector.name) == collector.settings_model()


@pytest.mark.parametrize("mode", SSL_MODES)
def test_postgresql_takes_every_sslmode_there_is(mode: str) -> None:
    """And both names of the scheme."""
    adapter: TypeAdapter[Any] = TypeAdapter(Target)
    target = adapter.validate_python({"kind": "postgresql", "name": "a", "dsn": f"postgres://h/d?sslmode={mode}"})
    assert isinstance(target, PostgresqlTarget)


def test_targets_of_a_kind_default_to_it_in_code() -> None:
    """The kind is written in files, where it tells them apart."""
    assert SqliteTarget(name="a", path=Path("/a")).kind == "sqlite"
    assert with_host(()) == (HostTarget(),)
    assert with_host((HostTarget(name="metal"),)) == (HostTarget(name="metal"),)


def test_sections_are_frozen() -> None:
    """A reload makes a new tree; nobody changes the one in force."""
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Log(), "level", "debug")  # noqa: B010 - the type checker would refuse the plain form
