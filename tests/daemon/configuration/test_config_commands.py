"""`toban config check`, `show` and `schema`, as a user meets them."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner, Result

from daemon.cli.config import config_commands
from daemon.configuration import Problems
from daemon.configuration.tree import Configuration

GOOD = """
node: db1
http: {listen: "127.0.0.1:1", metrics_token: !file token}
targets:
  - {name: main, kind: postgresql, dsn: "postgresql://toban:${PASSWORD}@127.0.0.1/postgres?sslpassword=hunter2"}
"""


@pytest.fixture
def good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose secrets come from everywhere."""
    (tmp_path / "config.yaml").write_text(GOOD)
    (tmp_path / "token").write_text("hunter2\n")
    monkeypatch.setenv("PASSWORD", "%E7%A7%98%2Fhunter2")
    return tmp_path / "config.yaml"


def run(config: Path | None, *arguments: str) -> Result:
    """One command, with the global options as `toban` hands them down."""
    options = SimpleNamespace(config=config, language=None, debug=False)
    return CliRunner().invoke(config_commands, arguments, obj=options)


def test_check_says_fine_in_one_line(good: Path) -> None:
    """With how many targets, the machine itself among them."""
    result = run(good, "check")
    assert (result.exit_code, result.stdout) == (0, f"{good}: fine, 2 targets\n")
    good.write_text("node: a\n")
    assert run(good, "check").stdout == f"{good}: fine, 1 target\n"


def test_check_hands_every_problem_up(good: Path) -> None:
    """The command line's end prints them, each on its line, and exits with 2."""
    good.write_text("nod: a\nlanguage: fr\n")
    raised = run(good, "check").exception
    assert isinstance(raised, Problems)
    assert (len(raised.lines), raised.exit_status) == (2, 2)


def test_check_tells_programs_the_same(good: Path) -> None:
    """As JSON on stdout, with the same exit status."""
    assert json.loads(run(good, "check", "--json").stdout) == {"ok": True, "problems": []}
    good.write_text("nod: a\n")
    result = run(good, "check", "--json")
    assert result.exit_code == 2
    why = 'unknown key; did you mean "node"?'
    assert json.loads(result.stdout) == {
        "ok": False,
        "problems": [{"file": str(good), "line": 1, "path": "nod", "why": why}],
    }
    assert json.loads(run(good.parent / "none", "check", "--json").stdout)["problems"][0]["line"] is None


def test_show_prints_what_is_in_force_without_secrets(good: Path) -> None:
    """Every key, those that nobody set as well; the same in YAML and JSON."""
    result = run(good, "show")
    found = yaml.safe_load(result.stdout)
    assert found == json.loads(run(good, "show", "--json").stdout)
    assert set(found) == set(Configuration.model_fields)
    assert found["http"]["metrics_token"] == "********"
    assert found["targets"][1]["dsn"] == "postgresql://toban:********@127.0.0.1/postgres?sslpassword=********"
    assert found["targets"][1]["limits"]["lock_timeout"] == "100ms"
    assert not [piece for piece in ("hunter", "E7", "秘") if piece in result.stdout]


def test_schema_describes_every_section(good: Path) -> None:
    """For editors: what there is, and that nothing else may stand there."""
    found = json.loads(run(None, "schema").stdout)
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(found["properties"]) == set(Configuration.model_fields)
    assert found["additionalProperties"] is False
    assert found["$defs"]["PostgresqlTarget"]["properties"]["dsn"]["format"] == "password"
    assert run(None, "schema", "--json").stdout == run(None, "schema").stdout  # as every command that reads


def test_module_imports_nothing_that_takes_long() -> None:
    """`toban --help` imports it, and must not pay for the validator."""
    code = (
        "import sys, importlib.util as u; spec = u.spec_from_file_location('c', 'daemon/cli/config.py'); "
        "spec.loader.exec_module(u.module_from_spec(spec)); "
        "print([m for m in ('pydantic', 'yaml', 'daemon.configuration') if m in sys.modules])"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
