"""What the documents say is true: commands run, configurations load, links lead somewhere, names exist."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

import collectors.postgresql.sql
from collectors import COLLECTORS
from collectors.postgresql.server import PostgresServer, ServerLimits
from daemon.configuration import load
from daemon.configuration.ruling import known_metrics
from tests.clusters import Cluster
from tests.conftest import NewCluster
from tests.daemon.running import Daemon, running
from tests.daemon.serving import HOST_COLLECTORS
from tests.installations import absence, installations
from tests.waiting import eventually_sync
from toban.clock import SystemClock
from toban.config import format_duration
from toban.outcomes import Reason
from toban.secrets import Dsn

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BY_NAME = {str(document.relative_to(ROOT)): document for document in DOCUMENTS}
SETUP = "toban setup postgresql"
COMMAND_SECONDS = 180.0

# What is not run, by the beginning of the command, and why.
NOT_RUN = {
    "apt-get": "changes the machine",
    "python3 -m venv": "the machine may have no venv module; .ci/install is what makes ours",
    "/opt/toban/bin/pip": "changes the machine",
    "ln -s": "changes the machine",
    "install ": "changes the machine",
    "systemctl": "needs systemd",
    "systemd-": "needs systemd; tests/daemon/test_unit_file.py asks it about the unit",
    "journalctl": "needs systemd",
    "runuser": "needs an account of the machine",
    "toban -c /etc/toban/config.yaml run": "runs for ever; every command here is run beside it",
    "toban -c config.yaml run": "the same",
    "CREDENTIALS_DIRECTORY": "as `toban config check`, with credentials of the machine",
    "toban demo": "takes a server and a minute; tests of the demo run it",
    **dict.fromkeys(("toban backup", "toban restore", "toban drill", "toban wal"), "tests/daemon/answers run them"),
}
# What ends with another status than 0, and with which.
STATUS = {"toban -c broken.yaml config check": 2}
# In backticks, and yet no metric.
OTHER_NAMES = re.compile(
    r"pg_(monitor|catalog|stat_statements|hba|test_timing|dump|stat_statements\.\w+|read_all_stats|prepared_xacts|stat_io"
    r"|wal|basebackup|amcheck|receivewal|resetwal|waldump|combinebackup|read_all_data)"
)
METRIC = re.compile(r"`((?:pg|toban)_[a-z0-9_]+)(?:\{[^`]*\})?`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DYNAMIC = tuple(prefix for collector in COLLECTORS for prefix in collector.prefixes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block."""

    document: str
    language: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a document, and what the document shows behind it."""

    document: str
    line: str
    shown: str = ""


def blocks(*languages: str) -> list[Block]:
    """The fenced blocks of all documents, in order."""
    return [
        Block(document=name, language=found[1], text=found[2])
        for name, path in BY_NAME.items()
        for found in FENCE.finditer(path.read_text())
        if found[1] in languages
    ]


def commands() -> list[Command]:
    """Everything that a reader is told to type; a JSON block right behind belongs to the last command."""
    found: list[Command] = []
    for block in blocks("sh", "console", "json"):
        if block.document.startswith(("docs/rules/", "docs/restore.md")):
            continue  # tests/alerting/shipped/test_runbooks.py and tests/daemon/answers/test_backups_server.py do
        if block.language == "json":
            found[-1] = Command(document=block.document, line=found[-1].line, shown=block.text)
        elif block.language == "console":
            for piece in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                line, _, shown = piece.partition("\n")
                found.append(Command(document=block.document, line=_bare(line), shown=shown.strip("\n")))
        else:
            lines = (_bare(line) for line in block.text.splitlines())
            found += [Command(document=block.document, line=line) for line in lines if line]
    return found


def _bare(line: str) -> str:
    """Without the remark behind it."""
    return re.sub(r"(^|\s+)# .*$", "", line).strip()


def run_of(command: Command) -> str:
    """How a command is run, in one word; empty when nobody knows."""
    if SETUP in command.line:
        return "setup"
    if any(command.line.startswith(beginning) for beginning in NOT_RUN):
        return "not"
    first = command.line.split()[0]
    known = {"toban": "shell", "printf": "before", "make": "make", "curl": "http", "/opt/toban/bin/toban": "shell"}
    return known.get(first, "")


def of(kind: str) -> list[Any]:
    """The commands that are run in one way, as test parameters."""
    return [pytest.param(c, id=f"{c.document}: {c.line}"[:90]) for c in commands() if run_of(c) == kind]


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A server as the manual wants it, prepared by the manual's own command."""
    if 15 not in installations() or not installations()[15].has_contrib:
        pytest.skip(absence(15))
    cluster = Cluster(installations()[15], settings={"shared_preload_libraries": "pg_stat_statements"})
    try:
        cluster.start()
        toban(Path("/"), "setup", "postgresql", cluster.dsn(), "--apply")
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture(scope="module")
def daemon(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon on that server, once it has a history and has seen statements; the disks here are not its matter."""
    home = tmp_path_factory.mktemp("docs")
    others = ", ".join(f"{name}: {{enabled: false}}" for name in HOST_COLLECTORS if name != "network")
    configuration = (
        f'targets:\n  - {{name: main, kind: postgresql, dsn: "{server.dsn(user="toban")}"}}\n'
        f"collect: {{statements: {{every: 1s}}, {others}}}\n"
    )
    for line in (command.line for command in commands() if run_of(command) == "before"):
        subprocess.run(["/bin/sh", "-c", line], cwd=home, check=True)
    with running(home, configuration) as one:
        eventually_sync(lambda: _has_statements(one, server))
        eventually_sync(lambda: one.toban("history", "pg_stat_database_xact_commit").returncode == 0)
        yield one


def _has_statements(one: Daemon, server: Cluster) -> bool:
    server.psql("select count(*) from pg_class")
    return one.toban("statements", "--json").stdout.strip() not in {"", "[]"}


def toban(folder: Path, *words: str, **environment: str) -> str:
    """A command that must succeed, run in a folder; what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "daemon", *words],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_commands_are_all_run_or_excused() -> None:
    """Whoever adds a command to a document says here how it is run, or why it is not."""
    assert [f"{command.document}: {command.line}" for command in commands() if not run_of(command)] == []
    assert [known for known in NOT_RUN if not any(c.line.startswith(known) for c in commands())] == []


@pytest.mark.integration
@pytest.mark.parametrize("command", of("shell"))
def test_commands_end_as_the_manual_says(daemon: Daemon, command: Command) -> None:
    """Each command runs against a real daemon, ends with its status, and prints what the document shows."""
    done = subprocess.run(
        ["/bin/sh", "-c", as_here(command.line, daemon)],
        cwd=daemon.home,
        env={
            **daemon.environment,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TOBAN_CONFIG": str(daemon.config),
            "NO_COLOR": "1",
            "LC_ALL": "C.UTF-8",
        },
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    expected = next((status for line, status in STATUS.items() if command.line.startswith(line)), 0)
    assert done.returncode == expected, done.stdout + done.stderr
    assert_shown(command.shown, done.stdout + done.stderr)


def as_here(line: str, daemon: Daemon) -> str:
    """The command with this machine's places."""
    line = line.replace("/opt/toban/bin/", "").replace("/etc/toban/config.yaml", str(daemon.config))
    return re.sub(r"-c config\.yaml", f"-c {daemon.config}", line).replace("127.0.0.1:8432", daemon.url[7:])


def assert_shown(shown: str, printed: str) -> None:
    """JSON has the keys that are shown; a table the title and headings; anything else is there word for word."""
    if not shown:
        return
    if shown.startswith(("[", "{")):
        assert keys(json.loads(shown)) == keys(json.loads(printed))
    elif "───" in shown:
        heading = re.findall(r"(.*)\n ?───", shown)[0].split()
        assert heading in [line.split() for line in printed.splitlines()]
    else:
        assert shown.split("\n") == printed.strip("\n").split("\n")


def keys(document: Any) -> Any:  # noqa: ANN401 - whatever JSON can carry
    """The names in a document, without its values; of a list the first. The names of labels are the metric's."""
    if isinstance(document, dict):
        return {name: None if name == "labels" else keys(value) for name, value in document.items()}
    if isinstance(document, list):
        return [keys(document[0])] if document else []
    return None


@pytest.mark.integration
@pytest.mark.parametrize("command", of("make"))
def test_make_targets_exist(command: Command) -> None:
    """`make` knows each target that a document names."""
    words = command.line.split()
    done = subprocess.run(["make", "--dry-run", *words[1:2]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.integration
@pytest.mark.parametrize("command", of("http"))
def test_addresses_answer(daemon: Daemon, command: Command) -> None:
    """Each address that a document asks for is answered."""
    (url,) = re.findall(r"https?://[^\s']+", command.line)
    assert httpx.get(url.replace("http://127.0.0.1:8432", daemon.url), timeout=60).status_code == 200


@pytest.mark.integration
def test_setup_prints_what_the_manual_shows(new_cluster: NewCluster, tmp_path: Path) -> None:
    """The SQL in the manual is what `toban setup postgresql` prints for a fresh server, and what --apply runs."""
    if not installations().get(15) or not installations()[15].has_contrib:
        pytest.skip(absence(15))
    cluster = new_cluster(15, settings={"shared_preload_libraries": "pg_stat_statements"})
    here = {"127.0.0.1:5432": f"127.0.0.1:{cluster.port}", "host=/var/run/postgresql": f"host={cluster.socket_dir}"}
    found = [command for command in commands() if run_of(command) == "setup"]
    for command in sorted(found, key=lambda command: not command.shown):  # what is shown is of a fresh server
        line = command.line[command.line.index(SETUP) :]
        for place, ours in here.items():
            line = line.replace(place, ours)
        printed = toban(tmp_path, *shlex.split(line)[1:], PGUSER="postgres", PGPORT=str(cluster.port))
        assert not command.shown or command.shown == printed.strip("\n")


@pytest.mark.parametrize("block", [pytest.param(b, id=f"{b.document}-{n}") for n, b in enumerate(blocks("yaml"))])
def test_yaml_is_accepted(block: Block, tmp_path: Path) -> None:
    """A configuration of Toban's loads; a snippet for Prometheus passes promtool."""
    file = tmp_path / "config.yaml"
    file.write_text(block.text)
    kind = re.search(r"^(scrape_configs|groups):", block.text, re.MULTILINE)
    if kind is None:
        load(file, lent(block.text, tmp_path))
        return
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("this machine cannot: no promtool (apt-get install prometheus)")
    check = ["config", "--syntax-only"] if kind[1] == "scrape_configs" else ["rules"]
    done = subprocess.run([promtool, "check", *check, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def lent(text: str, folder: Path) -> dict[str, str]:
    """The environment, the credentials and the files that a configuration borrows from."""
    for name in re.findall(r"!credential (\w+)", text):
        (folder / name).write_text("https://example.org/borrowed" if name.endswith("_url") else "borrowed")
    for name in re.findall(r"!file ([\w.]+)", text):
        (folder / name).write_text("postgresql://toban@127.0.0.1/postgres")
    variables = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "borrowed")
    return {"HOME": "/home/user", "CREDENTIALS_DIRECTORY": str(folder), **variables}


def test_links_lead_somewhere() -> None:
    """A link within the project points at a file that exists, and at a heading in it."""
    for document in DOCUMENTS:
        for link in LINK.findall(FENCE.sub("", document.read_text())):
            place, _, anchor = link.partition("#")
            if "://" in place:
                continue
            file = document.parent / place if place else document
            assert file.exists(), f"{document}: {link}"
            assert not anchor or anchor in headings(file), f"{document}: {link}"


def headings(file: Path) -> set[str]:
    """The anchors of a document's headings, as forges make them."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", file.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.integration
def test_metrics_that_are_named_exist(daemon: Daemon) -> None:
    """Every metric in backticks, or in a rule, is declared by a collector or told by the daemon itself."""
    known = set(known_metrics()) | set(re.findall(r"^# TYPE (\w+) ", daemon.metrics(), re.MULTILINE))
    rules = [found for block in blocks("yaml") for found in re.findall(r"expr: (.*)", block.text)]
    ruled = re.findall(r"\b(?:pg|toban)_\w+", "\n".join(rules))
    assert ruled
    unknown = {
        (name, metric)
        for name, document in BY_NAME.items()
        for metric in [*METRIC.findall(FENCE.sub("", document.read_text())), *ruled]
        if metric not in known and not metric.startswith(DYNAMIC) and not OTHER_NAMES.fullmatch(metric)
    }
    assert unknown == set()


def rows(document: str, heading: str) -> list[list[str]]:
    """The rows of the table whose heading begins so, without their backticks."""
    after = BY_NAME[document].read_text().partition(f"\n| {heading} ")[2]
    lines = after.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


def test_collectors_are_described_as_they_are() -> None:
    """The manual's table has every collector with its kind, cadence and deadline, and `collect.NAME` names one."""
    fields = [(collector, collector.settings_model.model_fields) for collector in COLLECTORS]
    expected = [
        [c.name, str(c.kind or "any"), *(format_duration(f[key].default) for key in ("every", "timeout"))]
        for c, f in fields
    ]
    assert sorted(row[:4] for row in rows("docs/configure.md", "collector")) == sorted(expected)
    named = [name for document in DOCUMENTS for name in re.findall(r"`collect\.([a-z_]+)`", document.read_text())]
    assert set(named) <= {collector.name for collector in COLLECTORS}


def test_reasons_are_all_explained() -> None:
    """Each word that may stand for an empty value has its meaning and mend in the manual."""
    assert [row[0] for row in rows("docs/troubleshooting.md", "reason")] == [str(reason) for reason in Reason]


def test_modules_that_are_named_exist() -> None:
    """A path in backticks is a file or a folder of the project, or one that the worked example makes."""
    packages = r"toban|history|collectors|daemon|tests|docs|systemd|bench"
    example = re.compile(r"(collectors|tests)/.*prepared.*|tests/history|collectors/<kind>/.*|.*/<name>/.*")
    named = [
        (name, path)
        for name, document in BY_NAME.items()
        for path in re.findall(rf"`((?:{packages})/[^\s`,…]*)`", FENCE.sub("", document.read_text()))
    ]
    assert named
    assert [(name, path) for name, path in named if not (ROOT / path).exists() and not example.fullmatch(path)] == []


@contextmanager
def prepared_transaction(cluster: Cluster) -> Iterator[None]:
    """A transaction that waits for its second phase."""
    cluster.psql("begin; select txid_current(); prepare transaction 'docs'")
    yield
    cluster.psql("rollback prepared 'docs'")


@pytest.mark.integration
async def test_worked_example_measures(new_cluster: NewCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector that the architecture's guide makes works as it stands there, and declares what it brings."""
    texts = {b.language: b.text for b in blocks("sql", "python") if b.document == "docs/architecture.md"}
    monkeypatch.setattr(collectors.postgresql.sql, "_floors", lambda _: {140000: texts["sql"]})
    module = ModuleType("prepared")
    exec(compile(texts["python"], "docs/architecture.md", "exec"), vars(module))  # noqa: S102 - the document's own code
    cluster = new_cluster(settings={"max_prepared_transactions": "2"})
    with prepared_transaction(cluster):
        source = PostgresServer(Dsn(cluster.dsn()), SystemClock(), ServerLimits())
        findings = await module.Prepared(source, module.PreparedSettings(), SystemClock()).collect()
        await source.close()
    assert [(s.metric, s.labels) for s in findings.samples] == [(m, ("postgres",)) for m in module.Prepared.metrics]
    assert findings.samples[0].value == 1
