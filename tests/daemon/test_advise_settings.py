"""`toban advise settings` asks the server and its machine, and says plainly what it cannot find out."""

import json
from pathlib import Path

import pytest

from collectors.host.capacity import cpus
from collectors.host.machine import HostMachine
from daemon.answers import advice_settings as module
from daemon.answers.advice_settings import Given, answer, given, is_local
from daemon.answers.asking import asked
from tests.clusters import Cluster
from tests.conftest import NewCluster, StandbyOf
from tests.daemon.commanding import Ended, toban
from tests.ports import free_port
from toban.errors import UsageError
from toban.secrets import Dsn

SAID = ("--ram", "8GB", "--cpus", "4", "--disk", "ssd")


def configured(home: Path, *dsns: str) -> Path:
    """A configuration with these servers, called a, b and c."""
    path = home / "config.yaml"
    targets = [
        f'  - {{name: {name}, kind: postgresql, dsn: "{dsn}"}}\n' for name, dsn in zip("abc", dsns, strict=False)
    ]
    path.write_text(f"state: sqlite://{home}/state.db\nlanguage: en\ntargets:\n{''.join(targets) or '  []'}\n")
    return path


def advise(config: Path, *words: str, lang: str = "en") -> Ended:
    """The command."""
    return toban("-c", config, "--lang", lang, "advise", "settings", *words)


@pytest.mark.integration
def test_settings_are_advised_for_what_was_said(postgres: Cluster, tmp_path: Path) -> None:
    """The machine that the options name, on each version: values, reason and statement; what it holds for is told."""
    ended = advise(configured(tmp_path, postgres.dsn()), *SAID, "--connections", "100", "--json")
    assert ended.status == 0
    assert ended.err == ""
    told = {one["subject"]: one for one in json.loads(ended.out)}
    assert told["work_mem"] == {
        "target": "a",
        "database": "",
        "subject": "work_mem",
        "action": "set",
        "present": "4MB",
        "wanted": "16MB",
        "run": "ALTER SYSTEM SET work_mem = '16MB';",
        "why": "sorts and hashes stay in memory, and 100 connections at work still fit into 8 GB",
        "reason": "settings.work_mem",
        "values": {"memory": "8 GB", "cpus": "4", "disk": "SSD", "connections": "100", "restart": "no"},
        "gain_bytes": None,
    }
    assert told["max_connections"]["wanted"] == "100"
    assert ("effective_io_concurrency" in told) is (postgres.major < 18)


@pytest.mark.integration
def test_settings_are_advised_as_a_table_with_lines_to_run(postgres15: Cluster, tmp_path: Path) -> None:
    """For people, in both languages."""
    config = configured(tmp_path, postgres15.dsn(host=postgres15.socket_dir))
    ended = advise(config, *SAID, "--workload", "dw")
    assert "\nALTER SYSTEM SET default_statistics_target = '500';\n" in ended.out
    assert ended.out.endswith("SELECT pg_reload_conf();\n")
    assert ended.err == "a is reckoned with 8 GB, 4 cores, SSD, 40 connections: options say otherwise\n"
    assert "再起動" in advise(config, *SAID, lang="ja").out


@pytest.mark.integration
def test_settings_of_a_local_server_are_advised_for_this_machine(
    postgres15: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Memory, cores and the disk under its data directory; one that cannot be told has to be said."""
    config = configured(tmp_path, postgres15.dsn())
    (tmp_path / "meminfo").write_text("MemTotal: 4194304 kB\n")
    disk = tmp_path / "block" / "sda" / "queue" / "rotational"
    host = HostMachine(proc=tmp_path, sys=tmp_path)
    with pytest.raises(UsageError, match="target a: what it has cannot be seen of this machine") as refused:
        answer(asked(config, "en"), given_nothing(), target=None, as_json=True, host=host)
    assert refused.value.hint == "say it: --disk ssd"
    for kind, said in (("0", "SSD"), ("1", "HDD")):
        disk.parent.mkdir(parents=True, exist_ok=True)
        disk.write_text(kind)
        assert answer(asked(config, "en"), given_nothing(), target=None, as_json=True, host=host) == 0
        told = json.loads(capsys.readouterr().out)
        assert {one["subject"]: one["wanted"] for one in told}["shared_buffers"] == "1GB"
        expected = {"memory": "4 GB", "cpus": str(cpus()), "disk": said, "connections": "40"}
        assert told[0]["values"] == {**expected, "restart": "yes"}


def given_nothing() -> Given:
    """No option."""
    return given(ram=None, cores=None, disk=None, connections=None, workload="mixed")


@pytest.mark.integration
def test_settings_of_several_servers_leave_none_out_silently(postgres15: Cluster, tmp_path: Path) -> None:
    """One that is down is a line and the status, the other is advised all the same; alone it is the error."""
    gone = f"postgresql://postgres@127.0.0.1:{free_port()}/postgres"
    config = configured(tmp_path, gone, postgres15.dsn())
    ended = advise(config, *SAID, "--json")
    assert ended.status == 3
    assert "toban: target a: " in ended.err
    assert {one["target"] for one in json.loads(ended.out)} == {"b"}
    alone = advise(config, *SAID, "--target", "a")
    assert (alone.status, alone.out) == (3, "")
    assert advise(config, *SAID, "--target", "b").status == 0


@pytest.mark.integration
def test_settings_on_a_standby_leave_what_must_not_be_less_than_its_primarys(
    new_cluster: NewCluster, standby_of: StandbyOf, tmp_path: Path
) -> None:
    """Also when another number of connections was asked for."""
    standby = standby_of(new_cluster())
    ended = advise(configured(tmp_path, standby.dsn()), *SAID, "--connections", "10", "--json")
    subjects = {one["subject"] for one in json.loads(ended.out)}
    assert "max_connections" not in subjects
    assert "shared_buffers" in subjects


@pytest.mark.integration
def test_settings_are_advised_to_a_role_that_may_only_connect(new_cluster: NewCluster, tmp_path: Path) -> None:
    """It may not see where the data lies, which takes nothing away from the advice."""
    cluster = new_cluster()
    cluster.psql("CREATE ROLE nobody LOGIN")
    ended = advise(configured(tmp_path, cluster.dsn(user="nobody")), *SAID, "--json")
    assert ended.status == 0
    assert "shared_buffers" in ended.out


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (("--ram", "8GX"), 2, "toban: --ram: '8GX' is no size"),
        (("--ram", "64MB"), 2, "toban: --ram: 64MB is too little"),
        (("--disk", "floppy"), 2, "toban: --disk: 'floppy' is none (there are: ssd, hdd)"),
        (("--workload", "web"), 2, "toban: --workload: 'web' is none (there are: oltp, dw, mixed)"),
        (("--cpus", "0"), 2, "toban: usage: "),
        (("--target", "other"), 1, "toban: other: no PostgreSQL target is called so (there are: a)"),
    ],
)
def test_settings_refuse_what_makes_no_sense(tmp_path: Path, words: tuple[str, ...], status: int, line: str) -> None:
    """One line, before anything is asked of a server."""
    ended = advise(configured(tmp_path, "postgresql://x@127.0.0.1:1/x"), *words)
    assert (ended.status, ended.out) == (status, "")
    assert ended.err.startswith(line)


def test_settings_without_a_server_say_so(tmp_path: Path) -> None:
    """Status 1."""
    ended = advise(configured(tmp_path))
    assert (ended.status, ended.err) == (1, "toban: advise settings: there is no PostgreSQL target\n")


@pytest.mark.integration
def test_settings_of_a_server_elsewhere_want_to_be_told_its_machine(
    postgres15: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that names the options that are missing."""
    monkeypatch.setattr(module, "is_local", lambda _: False)
    ended = advise(configured(tmp_path, postgres15.dsn()), "--ram", "8GB")
    line = "toban: target a: what it has cannot be seen of another machine (say it: --cpus 4 --disk ssd)\n"
    assert (ended.status, ended.err) == (2, line)


@pytest.mark.parametrize(
    ("dsn", "local"),
    [
        ("postgresql://u@127.0.0.1:5432/d", True),
        ("postgresql://u@127.1.2.3/d", True),
        ("postgresql://u:p%40@localhost/d", True),
        ("postgresql://u@[::1]:5432/d", True),
        ("postgresql://u@/d?host=/var/run/postgresql", True),
        ("postgresql://u@%2Fvar%2Frun%2Fpostgresql/d", True),
        ("postgresql:///d", True),
        ("postgresql://u@:5433/d", True),
        ("postgresql://u@127.0.0.1,localhost:5433/d", True),
        ("postgresql://u@127.0.0.1,db2/d", False),
        ("postgresql://u@localhost.example.org/d", False),
        ("postgresql://u@db.example.org:5432/d", False),
        ("postgresql://u@192.0.2.7/d", False),
        ("postgresql://u@[2001:db8::1]:5432/d", False),
        ("postgresql://u@/d?host=db.example.org", False),
    ],
)
def test_servers_are_local_by_socket_or_loopback(dsn: str, local: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - the expected answer
    """Every host that is named has to be; without any it is the default socket."""
    monkeypatch.delenv("PGHOST", raising=False)
    assert is_local(Dsn(dsn)) is local


def test_servers_that_the_environment_names_are_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """As libpq and asyncpg take it."""
    monkeypatch.setenv("PGHOST", "db.example.org")
    assert not is_local(Dsn("postgresql:///d"))
    assert is_local(Dsn("postgresql://localhost/d"))
