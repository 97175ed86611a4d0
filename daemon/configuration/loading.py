"""From files to a configuration in force, or to everything that is wrong with them."""

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from daemon.configuration.backing import backup_problems
from daemon.configuration.files import chosen, fragments, read_bounded
from daemon.configuration.lending import Lenders, ReadFile, UnreadableError
from daemon.configuration.merging import merged, namesakes
from daemon.configuration.problems import Problem, Problems, problem_at
from daemon.configuration.reading import Reader
from daemon.configuration.ruling import rule_problems
from daemon.configuration.sentences import path_of, sentence
from daemon.configuration.surroundings import defaults, system_zone
from daemon.configuration.targets import HOST_NAME, with_host
from daemon.configuration.tree import Configuration
from daemon.configuration.written import Written, locate
from toban.config import WRITTEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration that is fine, and the files it came from."""

    configuration: Configuration
    path: Path
    files: tuple[Path, ...]


def load(path: Path | None, environment: Mapping[str, str], *, read: ReadFile = read_bounded) -> Loaded:
    """The configuration in force; raises `Problems` with every mistake there is."""
    main = chosen(path, environment)
    try:
        files = (main, *fragments(main))
    except UnreadableError as error:
        raise Problems([Problem(file=str(main.parent), why=str(error))]) from None
    root = _read_all(files, Lenders(environment=environment, read=read))
    machine = defaults(environment, host_name=socket.gethostname(), zone=system_zone(environment))
    return Loaded(configuration=validated(*root, machine), path=main, files=files)


def validated(root: Written, found: tuple[Problem, ...], machine: Mapping[str, str]) -> Configuration:
    """The tree as a configuration, on top of the machine's defaults; `found` is what reading has found already."""
    problems = [*found, *namesakes(root), *_host_clash(root)]
    try:
        configuration = Configuration.model_validate({**machine, **root.plain}, context=WRITTEN)
    except ValidationError as error:
        problems += _told(error.errors(include_url=False), root)
        raise Problems(problems) from None
    problems += [problem_at(root, path, why) for path, why in rule_problems(configuration)]
    problems += [problem_at(root, path, why) for path, why in backup_problems(configuration)]
    if problems:
        raise Problems(problems)
    return configuration.model_copy(update={"targets": with_host(configuration.targets)})


def _read_all(files: tuple[Path, ...], lenders: Lenders) -> tuple[Written, tuple[Problem, ...]]:
    """All files as one tree. One that is no YAML at all ends it: what the rest then lacks would be noise."""
    trees: list[Written] = []
    problems: list[Problem] = []
    for file in files:
        reader = Reader(file, lenders)
        tree = _read_one(reader, file)
        trees += [tree] if tree is not None else []
        problems += reader.problems
    if len(trees) < len(files):
        raise Problems(problems)
    return reduce(merged, trees), tuple(problems)


def _read_one(reader: Reader, file: Path) -> Written | None:
    try:
        return reader.read(reader.lenders.read(file))
    except UnreadableError as error:
        reader.problems.append(Problem(file=str(file), why=str(error)))
        return None


def _told(errors: list[ErrorDetails], root: Written) -> Iterator[Problem]:
    schema = Configuration.model_json_schema()
    for error in errors:
        path = path_of(error, root)
        written = locate(root, path)
        if not written.broken:
            yield problem_at(root, path, sentence(error, written, schema))


def _host_clash(root: Written) -> Iterator[Problem]:
    """The machine itself is watched under the name `host` unless a target of that kind gives it another."""
    targets = root.child("targets")
    listed = targets.value if targets is not None and isinstance(targets.value, list) else []
    kinds = [_word(target, "kind") for target in listed]
    if "host" in kinds:
        return
    for index, target in enumerate(listed):
        if _word(target, "name") == HOST_NAME:
            why = "this machine itself is watched as host; take another name, or list a target of kind host"
            yield problem_at(root, ("targets", index, "name"), why)


def _word(target: Written, key: str) -> object:
    found = target.child(key)
    return found.value if found is not None else None
