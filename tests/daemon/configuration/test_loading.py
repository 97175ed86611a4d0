"""From files to a configuration in force."""

import socket
from pathlib import Path

import pytest

from daemon.configuration import Loaded, Problems, load
from daemon.configuration.targets import HostTarget, PostgresqlTarget, SqliteTarget
from toban.secrets import Dsn, Secret


def loaded(folder: Path, text: str, environment: dict[str, str] | None = None, **fragments: str) -> Loaded:
    """The configuration of a text and its fragments."""
    (folder / "config.d").mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(text)
    for name, content in fragments.items():
        (folder / "config.d" / f"{name}.yaml").write_text(content)
    return load(folder / "config.yaml", environment or {})


def test_load_takes_the_contracts_example(tmp_path: Path) -> None:
    """What CONTRACT.md shows of this version's keys."""
    text = """
node: db1
timezone: Asia/Tokyo
language: ja
state: sqlite:///var/lib/toban/state.db
http: {listen: "127.0.0.1:8432", tls: {cert: /c, key: /k}, metrics_token: !credential metrics_token}
log: {format: json, level: info, file: null}
targets:
  - {name: main, kind: postgresql, dsn: "postgresql://toban@127.0.0.1:5432/postgres",
     databases: {exclude: [scratch]}, labels: {env: prod}}
  - {name: ledger, kind: sqlite, path: /srv/ledger/ledger.db}
"""
    (tmp_path / "metrics_token").write_text("hunter2\n")
    configuration = loaded(tmp_path, text, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).configuration
    host, main, ledger = configuration.targets
    assert (configuration.node, configuration.timezone, configuration.language) == ("db1", "Asia/Tokyo", "ja")
    assert configuration.http.metrics_token == Secret("hunter2")
    assert isinstance(host, HostTarget)
    assert isinstance(main, PostgresqlTarget)
    assert isinstance(ledger, SqliteTarget)
    assert main.dsn == Dsn("postgresql://toban@127.0.0.1:5432/postgres")
    assert main.databases.exclude == ("scratch",)
    assert (main.labels, main.budget, main.limits.lock_timeout) == ({"env": "prod"}, 0.6, 0.1)
    assert ledger.path == Path("/srv/ledger/ledger.db")


def test_load_puts_the_machines_own_where_files_are_silent(tmp_path: Path) -> None:
    """Its name, its zone, its place for state; and the machine itself is a target."""
    environment = {"TZ": "Europe/Berlin", "STATE_DIRECTORY": "/var/lib/toban"}
    configuration = loaded(tmp_path, "language: en\n", environment).configuration
    assert configuration.node == socket.gethostname()
    assert configuration.timezone == "Europe/Berlin"
    assert str(configuration.zone) == "Europe/Berlin"
    assert configuration.state_path == Path("/var/lib/toban/state.db")
    assert configuration.socket_path == Path("/var/lib/toban/state.sock")
    assert configuration.targets == (HostTarget(),)


def test_load_tells_which_files_it_read(tmp_path: Path) -> None:
    """In the order in which they counted."""
    found = loaded(tmp_path, "node: a\n", b="node: b\n", a="node: c\n")
    (tmp_path / "config.d" / ".hidden.yaml").write_text("x: y")
    (tmp_path / "config.d" / "notes.txt").write_text("x: y")
    (tmp_path / "config.d" / "c.yml").write_text("node: d\n")
    found = load(found.path, {})
    assert [file.name for file in found.files] == ["config.yaml", "a.yaml", "b.yaml", "c.yml"]
    assert found.configuration.node == "d"


def test_load_merges_mappings_deeply_and_targets_by_adding(tmp_path: Path) -> None:
    """Of single values and plain lists the later file's counts."""
    found = loaded(
        tmp_path,
        "http: {listen: '[::1]:1', metrics_token: a}\nlog: {level: debug}\n"
        "targets:\n  - {name: a, kind: postgresql, dsn: 'postgresql://h/d', databases: {include: [x, y]}}\n",
        more="http: {listen: '[::1]:2'}\nlog: {format: json}\ntargets:\n  - {name: b, kind: sqlite, path: /b}\n",
    ).configuration
    assert (found.http.listen, found.http.metrics_token) == ("[::1]:2", Secret("a"))
    assert (found.log.level, found.log.format) == ("debug", "json")
    assert [target.name for target in found.targets] == ["host", "a", "b"]


def test_load_replaces_a_plain_list(tmp_path: Path) -> None:
    """Whoever writes a list of patterns means these, not these as well."""
    found = loaded(
        tmp_path, "collect: {network: {exclude: [lo], every: 1m}}\n", more="collect: {network: {exclude: [eth9]}}\n"
    ).configuration
    network = found.settings_of("network")
    assert network.model_dump(include={"exclude", "every"}) == {"exclude": ("eth9",), "every": "1m"}


def test_load_takes_sections_with_nothing_beneath_as_defaults(tmp_path: Path) -> None:
    """As they look when every key beneath is commented out."""
    found = loaded(tmp_path, "node: a\nhttp:\nlog:\ntargets:\ncollect:\n").configuration
    assert found == loaded(tmp_path, "node: a\n").configuration


def test_load_keeps_a_listed_host_under_its_own_name(tmp_path: Path) -> None:
    """Then another target may be called host."""
    text = "targets:\n  - {name: metal, kind: host, labels: {rack: a1}}\n  - {name: host, kind: sqlite, path: /x}\n"
    found = loaded(tmp_path, text).configuration.targets
    assert [(target.name, target.kind) for target in found] == [("metal", "host"), ("host", "sqlite")]


def test_load_refuses_an_unreadable_fragments_folder(tmp_path: Path) -> None:
    """A folder that cannot be listed could hold anything."""
    (tmp_path / "config.yaml").write_text("node: a\n")
    (tmp_path / "config.d").symlink_to(tmp_path / "config.d")
    with pytest.raises(Problems, match=r"config\.d cannot be read: Too many levels of symbolic links"):
        load(tmp_path / "config.yaml", {})


def test_load_reports_a_machine_default_that_cannot_be(tmp_path: Path) -> None:
    """A home too deep for a socket is told of at the top of the file."""
    with pytest.raises(Problems, match=r"config\.yaml:1: state: is longer than 100 bytes"):
        loaded(tmp_path, "node: a\n", {"HOME": "/" + "x" * 100})
