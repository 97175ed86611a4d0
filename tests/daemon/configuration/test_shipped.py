"""The shipped config.yaml: fine as it is, complete, and true about the defaults."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from collectors import COLLECTORS
from collectors.contract import Collector, CollectorSettings
from daemon.configuration import load
from daemon.configuration.files import read_bounded
from daemon.configuration.lending import Lenders
from daemon.configuration.reading import Reader
from daemon.configuration.showing import as_yaml, schema, shown
from daemon.configuration.tree import Configuration

SHIPPED = Path(__file__).parents[3] / "config.yaml"
PROMISED = Path(__file__).parent / "promised.yaml"
HIDDEN = re.compile(r"\.presets|\.actions\.\w+\.")  # the shipped rules' own, and one kind of action for all
DEFAULT_DSN = "postgresql://toban@127.0.0.1:5432/postgres"


@pytest.fixture
def uncommented(tmp_path: Path) -> Path:
    """The shipped file with every key switched on: those that stand directly behind a #."""
    file = tmp_path / "config.yaml"
    file.write_text(re.sub(r"^( *)#(?=[^\s#])", r"\1", SHIPPED.read_text(), flags=re.MULTILINE))
    for credential in re.findall(r"!credential (\w+)", SHIPPED.read_text()):
        (tmp_path / credential).write_text("https://hooks.example.org/x" if credential.endswith("_url") else "hunter2")
    return file


def test_shipped_file_is_accepted_as_it_is() -> None:
    """A first run needs no editor."""
    main = load(SHIPPED, {}).configuration.targets[-1]
    assert main.name == "main"
    assert getattr(main, "dsn").reveal() == DEFAULT_DSN  # noqa: B009 - mypy knows only the union


def test_shipped_file_says_the_defaults_where_it_says_anything(tmp_path: Path) -> None:
    """Nothing but the example target differs from an all but empty file."""
    (tmp_path / "config.yaml").write_text(f"targets: [{{name: main, kind: postgresql, dsn: '{DEFAULT_DSN}'}}]")
    assert load(SHIPPED, {}).configuration == load(tmp_path / "config.yaml", {}).configuration


def test_shipped_file_is_accepted_with_every_key_switched_on(uncommented: Path) -> None:
    """No commented example is wrong, and what it shows of collectors and limits are the defaults."""
    found = load(uncommented, {"CREDENTIALS_DIRECTORY": str(uncommented.parent)}).configuration
    lists = {collector.name for collector in COLLECTORS if collector.listed}
    assert found.collect.model_dump(exclude=lists) == Configuration().collect.model_dump(exclude=lists)
    plain, full = load(SHIPPED, {}).configuration.targets[-1], found.targets[0]
    assert full.model_copy(update={"labels": {}}) == plain


@pytest.mark.parametrize("collector", [pytest.param(c, id=c.name) for c in COLLECTORS if c.listed])
def test_shipped_file_shows_lists_by_one_entry_at_its_defaults(
    uncommented: Path, collector: type[Collector[Any, Any]]
) -> None:
    """Its cadence, deadline and switch are the defaults; what makes it an example stands beside them."""
    found = load(uncommented, {"CREDENTIALS_DIRECTORY": str(uncommented.parent)}).configuration
    (entry,) = found.entries_of(collector.name)
    fields = collector.settings_model.model_fields
    assert {key: getattr(entry, key) for key in CollectorSettings.model_fields} == {
        key: fields[key].default for key in CollectorSettings.model_fields
    }


def test_shipped_file_shows_every_key(uncommented: Path) -> None:
    """At its own place in the file, not merely somewhere."""
    reader = Reader(
        uncommented, Lenders(environment={"CREDENTIALS_DIRECTORY": str(uncommented.parent)}, read=read_bounded)
    )
    tree = reader.read(uncommented.read_bytes())
    assert tree is not None
    there = set(keys_of(tree.plain))
    told = (key for key in keys_described(schema(), schema()) if not HIDDEN.search(key))
    assert [key for key in told if key not in there] == []


def test_shipped_file_gives_each_key_a_line_of_why() -> None:
    """A comment directly above, or above the group of a target's or collector's keys."""
    lines = SHIPPED.read_text().splitlines()
    bare = [
        line
        for above, line in pairwise(lines)
        if re.match(r"^ {0,2}#?[a-z_]+:", line) and not above.lstrip().startswith("# ")
    ]
    assert [line for line in bare if not line.startswith("    ")] == []


def test_shown_configuration_reads_back_the_same(tmp_path: Path) -> None:
    """Durations, sizes and patterns are printed as they are written."""
    configuration = load(SHIPPED, {}).configuration
    (tmp_path / "config.yaml").write_text(as_yaml(configuration))
    assert load(tmp_path / "config.yaml", {}).configuration == configuration
    assert shown(configuration)["targets"][1]["budget"] == "600ms"


def test_every_promised_form_is_accepted_and_shown_so_that_it_reads_back(tmp_path: Path) -> None:
    """Jobs of every method and kind of target, too: what is none of a job's is not shown, since it would be refused."""
    for credential in re.findall(r"!credential (\w+)", PROMISED.read_text()):
        (tmp_path / credential).write_text(
            "https://hooks.example.org/x" if credential.endswith("_url") else "5ecret" * 6
        )
    found = load(PROMISED, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).configuration
    (tmp_path / "config.yaml").write_text(as_yaml(found))
    assert shown(load(tmp_path / "config.yaml", {}).configuration) == shown(found)
    jobs = {job["name"]: job for job in shown(found)["backups"]["jobs"]}
    assert [name for name, job in jobs.items() if "rows" in job] == ["nightly"]
    assert (jobs["base"]["type"], jobs["wal"]["mode"], jobs["etc"]["paths"]) == ("full", "stream", ["/etc"])
    assert "5ecret" not in as_yaml(found)


def keys_of(value: object, path: str = "") -> Iterator[str]:
    """Every key's path, lists without their indices; a target's key under its kind."""
    if isinstance(value, list):
        for item in value:
            yield from keys_of(item, f"{path}/{item['kind']}" if isinstance(item, dict) and "kind" in item else path)
    elif isinstance(value, dict):
        for key, below in value.items():
            yield f"{path}.{key}"
            yield from keys_of(below, f"{path}.{key}")


def keys_described(whole: dict[str, Any], here: dict[str, Any], path: str = "") -> Iterator[str]:
    """The same out of the JSON Schema."""
    if "$ref" in here:
        here = whole["$defs"][here["$ref"].rpartition("/")[2]]
    for kind, reference in here.get("discriminator", {}).get("mapping", {}).items():
        yield from keys_described(whole, {"$ref": reference}, f"{path}/{kind}")
    for option in [*here.get("anyOf", ()), *([here["items"]] if "items" in here else ())]:
        yield from keys_described(whole, option, path)
    for key, below in here.get("properties", {}).items():
        yield f"{path}.{key}"
        yield from keys_described(whole, below, f"{path}.{key}")
