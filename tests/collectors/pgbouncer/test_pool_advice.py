from typing import Any

import pytest

from collectors.pgbouncer.pool_advice import (
    FIGURES,
    USUAL,
    PoolAdvice,
    Preset,
    Upstream,
    Verifier,
    advise,
    free_slots,
    userlist,
)

SCRAM = "SCRAM-SHA-256$4096:c2FsdA==$a2V5:a2V5"


def a_server(**facts: Any) -> Upstream:  # noqa: ANN401 - any of its facts
    """A server of usual size with one database."""
    usual = {
        "host": "127.0.0.1",
        "port": 5432,
        "max_connections": 200,
        "reserved_connections": 3,
        "databases": ("postgres", "shop"),
        "may_read_verifiers": True,
        "watcher": "toban",
    }
    return Upstream(**{**usual, **facts})


def advised(
    server: Upstream, preset: Preset | None = None, clients: int | None = None, version: tuple[int, ...] | None = None
) -> PoolAdvice:
    """The advice for it."""
    return advise(server, preset=preset, clients=clients, version=version, auth_file="/etc/pgbouncer/userlist.txt")


def settings(advice: PoolAdvice) -> dict[str, str]:
    """The settings by name."""
    return {line.name: line.value for line in advice.settings if not line.switched_off}


SIZES = ("default_pool_size", "reserve_pool_size", "max_db_connections", "query_wait_timeout", "server_lifetime")


@pytest.mark.parametrize(
    ("preset", "sizes"),
    [
        (None, ("25", "5", "50", "120", "3600")),
        (Preset.HIGH_LOAD, ("30", "50", "80", "60", "1800")),
        (Preset.STABLE, ("15", "25", "40", "30", "3600")),
    ],
)
def test_advice_has_the_presets_figures(preset: Preset | None, sizes: tuple[str, ...]) -> None:
    """Before a server with slots enough the figures are those of the preset."""
    found = settings(advised(a_server(), preset))
    assert tuple(found[name] for name in SIZES) == sizes
    assert (found["min_pool_size"], found["reserve_pool_timeout"], found["server_idle_timeout"]) == ("5", "5", "600")
    assert (found["max_client_conn"], found["pool_mode"]) == ("100", "transaction")
    assert (found["auth_type"], found["listen_addr"]) == ("scram-sha-256", "127.0.0.1")


@pytest.mark.parametrize("preset", [None, *Preset])
@pytest.mark.parametrize("slots", [1, 4, 10, 20, 50, 100, 1000])
@pytest.mark.parametrize("databases", [1, 3, 40])
def test_advice_never_takes_more_than_the_server_has(preset: Preset | None, slots: int, databases: int) -> None:
    """All databases at their bound fit into the free slots, or have the least there is; parts fit into the whole."""
    server = a_server(max_connections=slots, databases=tuple(f"d{n}" for n in range(databases)))
    found = {name: int(value) for name, value in settings(advised(server, preset)).items() if value.isdigit()}
    most = found["max_db_connections"]
    assert most * databases <= free_slots(server) or most == 1
    assert 1 <= found["min_pool_size"] <= found["default_pool_size"]
    assert 0 <= found["reserve_pool_size"] <= most - found["default_pool_size"]
    assert most <= (FIGURES[preset] if preset else USUAL).most


def test_advice_counts_out_what_is_reserved_and_kept() -> None:
    """Of 40 slots 3 are reserved and 5 kept; two databases share the other 32."""
    server = a_server(max_connections=40, databases=("a", "b", "postgres"))
    found = settings(advised(server, Preset.HIGH_LOAD))
    assert free_slots(server) == 32
    assert (found["max_db_connections"], found["default_pool_size"], found["reserve_pool_size"]) == ("16", "6", "10")


def test_advice_lists_the_databases_as_pgbouncer_reads_them() -> None:
    """Odd names are quoted; one that cannot stand in the file is left out and told; the console's name is not taken."""
    advice = advised(a_server(databases=("Straße", 'it\'s "x"', "new\nline", "pgbouncer", "plain_1", "postgres")))
    assert [line.written for line in advice.databases] == [
        "\"Straße\" = host=127.0.0.1 port=5432 dbname='Straße'",
        '"it\'s ""x""" = host=127.0.0.1 port=5432 dbname=\'it\'\'s "x"\'',
        "plain_1 = host=127.0.0.1 port=5432 dbname=plain_1",
    ]
    assert advice.left_out == ("new\nline",)


def test_advice_falls_back_on_what_there_is() -> None:
    """With the maintenance database alone that is pooled; hundreds are one line."""
    assert [line.name for line in advised(a_server(databases=("postgres",))).databases] == ["postgres"]
    many = advised(a_server(databases=tuple(f"d{n}" for n in range(201))))
    assert [line.written for line in many.databases] == ["* = host=127.0.0.1 port=5432"]


def test_advice_knows_what_the_version_has() -> None:
    """Prepared statements are switched on from 1.21 on, and stand ready where the version is older or unknown."""
    for version, on in (((1, 21), True), ((1, 18), False), (None, False)):
        (line,) = [x for x in advised(a_server(), version=version).settings if x.name == "max_prepared_statements"]
        assert line.written == ("" if on else ";") + "max_prepared_statements = 200"


def test_advice_counts_clients_and_their_descriptors() -> None:
    """The clients asked for are the bound, and their file descriptors are told."""
    (line,) = [x for x in advised(a_server(), clients=300).settings if x.name == "max_client_conn"]
    assert (line.value, line.values["files"]) == ("300", "400")


def test_advice_asks_for_verifiers_that_may_not_be_read() -> None:
    """Without pg_authid PgBouncer asks through a function; with TLS to the server it is kept."""
    found = settings(advised(a_server(may_read_verifiers=False, tls={"server_tls_sslmode": "verify-full"})))
    assert (found["auth_user"], found["server_tls_sslmode"]) == ("pgbouncer", "verify-full")
    assert found["auth_query"] == "SELECT username, secret FROM pgbouncer.user_lookup($1)"
    assert not {"auth_user", "server_tls_sslmode"} & settings(advised(a_server())).keys()


def test_userlist_holds_scram_alone() -> None:
    """Only roles that SCRAM can let in are listed, quoted; each of the others has its reason; nothing is printed."""
    roles = [
        Verifier(role='o"dd', verifier=SCRAM, has_password=True, expired=False),
        Verifier(role="late", verifier=SCRAM, has_password=True, expired=True),
        Verifier(role="md5", verifier=None, has_password=True, expired=False),
        Verifier(role="none", verifier=None, has_password=False, expired=False),
        Verifier(role="new\nline", verifier=SCRAM, has_password=True, expired=False),
    ]
    text, left = userlist(roles)
    assert text == f'"o""dd" "{SCRAM}"\n'
    assert left == {"late": "expired", "md5": "md5", "none": "no_password", "new\nline": "name"}
    assert SCRAM not in repr(roles)
