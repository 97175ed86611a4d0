"""The rules of the house that no linter knows."""

import ast
import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement

import collectors
from collectors.contract import Collector

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES: list[str] = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
MAKING = ("tests", "bench")  # code that is not shipped
LONGEST_FUNCTION_LINES = 60
LONGEST_FILE_LINES = 400
# Where a longer one is right: `path` or `path::function`, with its reason.
LONGER: dict[str, str] = {}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}
CLOCK = "toban/clock.py"
CLOCK_READINGS = {
    *("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today"),
}
CLOCK_WORDS = re.compile(rf"\.({'|'.join(sorted({reading.rsplit('.')[-1] for reading in CLOCK_READINGS}))})\b")
OPENING = re.compile(r'(#.*\n|\s)*"""\s*[^\s"]')
# Written so that this file does not name them itself.
REGISTRIES = re.compile(
    r"pypi[.]org|pythonhosted[.]org|deb[.]debian[.]org|npmjs[.](org|com)|docker[.]io|ghcr[.]io|quay[.]io|crates[.]io"
)
MACHINE_PATHS = re.compile(r"/(work|root|opt/pypi)/\w|/home/(?!(user|USER|me)\b)\w|[.]pyenv|/tmp/(brief|work)")
GENERATED = re.compile(r"^(\..*|__pycache__|build|dist|.*\.egg-info)$")
KEPT_DOT_NAMES = {".ci", ".gitignore", ".github"}


def test_packages_clash_with_no_other_distribution() -> None:
    """Short top-level names are safe only while nobody else in the environment ships them."""
    owners = packages_distributions()
    clashes = {package: set(owners.get(package, ())) - {"toban"} for package in PACKAGES}
    assert not {package: others for package, others in clashes.items() if others}


def test_wheel_holds_the_packages_that_exist() -> None:
    """Every folder with an `__init__.py` at the root is shipped, and nothing else."""
    assert sorted(PACKAGES) == sorted(init.parent.name for init in ROOT.glob("*/__init__.py"))


def test_tools_look_at_all_packages() -> None:
    """The lists in pyproject.toml that cannot be one list say the same."""
    tool = PYPROJECT["tool"]
    assert tool["coverage"]["run"]["source"] == PACKAGES
    assert tool["importlinter"]["root_packages"] == PACKAGES
    assert tool["ruff"]["lint"]["isort"]["known-first-party"] == PACKAGES
    assert tool["mypy"]["files"] == [*PACKAGES, *MAKING]
    layers = tool["importlinter"]["contracts"][0]["layers"]
    assert sorted(name for layer in layers for name in layer.split(" | ")) == sorted(PACKAGES)


def test_constraints_pin_everything_that_pyproject_names() -> None:
    """constraints.txt holds `name==version` and remarks only, and misses no dependency."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    pinned = {_canonical(line.split("==")[0]) for line in lines}
    project = PYPROJECT["project"]
    extras = chain.from_iterable(project["optional-dependencies"].values())
    named = [*project["dependencies"], *extras, *PYPROJECT["dependency-groups"]["dev"]]
    assert {_canonical(Requirement(text).name) for text in named} - pinned == set()
    assert "toban" not in pinned


def test_modules_open_with_their_purpose() -> None:
    """Every module says what it is for before anything else."""
    shipped = [path for path in _sources() if path.relative_to(ROOT).parts[0] in PACKAGES]
    assert shipped
    assert [str(path) for path in shipped if not OPENING.match(path.read_text())] == []


def test_files_name_neither_registry_nor_machine() -> None:
    """Where packages come from, and where this checkout lies, is the machine's affair."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in _files(ROOT)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if REGISTRIES.search(line) or MACHINE_PATHS.search(line)
    ]
    assert found == []


def test_names_are_nouns_of_the_field() -> None:
    """No module or folder has a name that would take anything in."""
    assert [str(path) for path in _sources() if FORBIDDEN_NAMES & {path.stem, *path.relative_to(ROOT).parts}] == []


def test_functions_and_files_stay_short() -> None:
    """At most 60 lines a function and 400 a file, or the reason stands in the table; and no reason is out of date."""
    long = {f"{path}::{name}" for path, name, lines in _functions() if lines > LONGEST_FUNCTION_LINES}
    long |= {
        str(path.relative_to(ROOT)) for path in _sources() if len(path.read_text().splitlines()) > LONGEST_FILE_LINES
    }
    assert long == set(LONGER)


def test_clocks_are_read_in_one_place() -> None:
    """Time comes in as an argument everywhere else."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in _sources()
        if path.relative_to(ROOT).parts[0] in PACKAGES and path != ROOT / CLOCK
        if CLOCK_WORDS.search(path.read_text())  # parsing them all takes seconds
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in CLOCK_READINGS
    ]
    assert found == []


def test_collectors_are_all_listed() -> None:
    """A collector that is written but not in COLLECTORS would measure nothing."""
    written = {
        member
        for module in _modules("collectors")
        for member in vars(importlib.import_module(module)).values()
        if isinstance(member, type) and issubclass(member, Collector) and member.__module__ == module
        if not getattr(member, "__abstractmethods__", None)
    }
    assert written == set(collectors.COLLECTORS)


def test_sql_files_open_with_why() -> None:
    """Each query begins with a comment, and its file's name is the lowest server version it is for."""
    files = sorted(ROOT.glob("*/**/queries/**/*.sql"))
    assert files
    assert [str(path) for path in files if not path.read_text().startswith("--")] == []
    postgresql = [path for path in files if "postgresql" in path.parts]
    assert [str(path) for path in postgresql if not re.fullmatch(r"\d{6}", path.stem)] == []


def test_sql_files_are_written_in_what_every_encoding_has() -> None:
    """A database in LATIN1 refuses a query for one letter in a comment that it has not."""
    assert [str(path) for path in ROOT.glob("*/**/queries/**/*.sql") if not path.read_bytes().isascii()] == []


def test_make_targets_are_documented() -> None:
    """`make` lists every target that a person may type."""
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    described = set(re.findall(r"^(\w+):[^#\n]*## ", makefile, re.MULTILINE))
    assert described == set(phony[1].split()) - {"installed"}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _files(folder: Path) -> Iterator[Path]:
    """What belongs to the project below a folder: nothing that tools put there."""
    for path in sorted(folder.iterdir()):
        if GENERATED.match(path.name) and path.name not in KEPT_DOT_NAMES:
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.is_file():
            yield path


def _sources() -> list[Path]:
    folders = [ROOT / name for name in (*PACKAGES, *MAKING) if (ROOT / name).is_dir()]
    return [path for folder in folders for path in _files(folder) if path.suffix == ".py"]


def _functions() -> Iterator[tuple[Path, str, int]]:
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path.relative_to(ROOT), node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def _modules(package: str) -> list[str]:
    found = importlib.import_module(package)
    return [package, *(module.name for module in pkgutil.walk_packages(found.__path__, f"{package}."))]
