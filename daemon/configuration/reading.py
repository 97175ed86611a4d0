"""A file's text as written values: YAML 1.2's plain meaning (`no` is a word), bounded, with every line remembered."""

import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Final

import yaml

from daemon.configuration.lending import Lenders, NotLentError
from daemon.configuration.problems import Problem
from daemon.configuration.written import Path, Scalar, Written, path_text

NODES_MAX = 20_000
DEPTH_MAX = 32

_CORE: Final = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,18}\.[0-9]{0,18}|[0-9]{1,18}(?=e))(?:e[-+]?[0-9]{1,2})?", re.IGNORECASE)


class _Loader(yaml.SafeLoader):
    """PyYAML's reader with our types, and with a bound on depth and size while it reads."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own way to begin without YAML 1.1's words for yes and no
    nodes = 0
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.nodes += 1
        self.depth += 1
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # types-PyYAML lacks it
        if self.depth > DEPTH_MAX:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {DEPTH_MAX} levels", problem_mark=mark)
        if self.nodes > NODES_MAX:
            raise yaml.MarkedYAMLError(problem=f"more than {NODES_MAX} values", problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_Loader.add_implicit_resolver(f"{_CORE}bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(f"{_CORE}null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(f"{_CORE}int", re.compile(_INTEGER.pattern + "$"), list("-+0123456789"))
_Loader.add_implicit_resolver(f"{_CORE}float", re.compile(f"{_NUMBER.pattern}$", re.IGNORECASE), list("-+0123456789"))


class _OverflowError(Exception):
    """A file that unfolds into more than anybody means."""


class Reader:
    """Reads one file. What it cannot read it leaves broken and goes on, so that every mistake is told at once."""

    def __init__(self, file: FilePath, lenders: Lenders) -> None:
        self.file = str(file)
        self.folder = file.parent
        self.lenders = lenders
        self.problems: list[Problem] = []
        self._count = 0

    def read(self, content: bytes) -> Written | None:
        """The top-level mapping, or nothing if the file as a whole is unusable."""
        try:
            node = _composed(content.decode("utf-8-sig"))
            return self._top(node)
        except UnicodeDecodeError as error:
            self._complain(content.count(b"\n", 0, error.start) + 1, "is not UTF-8")
        except yaml.reader.ReaderError as error:
            line = content.decode("utf-8-sig")[: error.position].count("\n") + 1
            self._complain(line, "holds a control character that YAML does not allow")
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._complain(mark.line + 1 if mark else 0, _yaml_trouble(error))
        except _OverflowError as error:
            self._complain(1, str(error))
        return None

    def _top(self, node: yaml.Node | None) -> Written | None:
        if node is None:
            self._complain(1, "is empty")
        elif isinstance(node, yaml.MappingNode):
            return self._written(node, (), 1)
        elif node.tag == f"{_CORE}null":
            self._complain(1, "is empty")
        else:
            found = "a list" if isinstance(node, yaml.SequenceNode) else "text"
            self._complain(_line(node), f"expected keys and values at the top level, found {found}")
        return None

    def _complain(self, line: int, why: str, path: Path = ()) -> None:
        self.problems.append(Problem(file=self.file, line=line, path=path_text(path), why=why))

    def _written(self, node: yaml.Node, path: Path, line: int) -> Written:
        self._count += 1
        if self._count > NODES_MAX or len(path) > DEPTH_MAX:
            raise _OverflowError(f"its aliases unfold into more than {NODES_MAX} values or {DEPTH_MAX} levels")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, line)
        if not node.tag.startswith(_CORE):
            return self._broken(path, line, "a tag stands before a plain text only")
        if isinstance(node, yaml.SequenceNode):
            items = [self._written(item, (*path, i), _line(item)) for i, item in enumerate(node.value)]
            return Written(value=items, file=self.file, line=line)
        entries = {key: self._written(value, (*path, key), at) for key, value, at in self._entries(node, path)}
        return Written(value=entries, file=self.file, line=line)

    def _entries(self, node: yaml.Node, path: Path) -> Iterator[tuple[str, yaml.Node, int]]:
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._complain(_line(key), "a key must be a plain word", path)
            elif key.value in seen:
                self._complain(_line(key), f"stands here twice; first in line {seen[key.value]}", (*path, key.value))
            else:
                seen[key.value] = _line(key)
                yield key.value, value, _line(key)

    def _scalar(self, node: yaml.ScalarNode, path: Path, line: int) -> Written:
        try:
            value, lender = self._meaning(node)
        except NotLentError as error:
            return self._broken(path, line, str(error))
        return Written(value=value, file=self.file, line=line, lender=lender)

    def _meaning(self, node: yaml.ScalarNode) -> tuple[Scalar, str]:
        if node.tag not in ("!file", "!credential"):
            return self._typed(node)
        name, _ = self.lenders.substituted(node.value)
        if node.tag == "!file":
            return self.lenders.file(name, self.folder), f"!file {name}"
        return self.lenders.credential(name), f"!credential {name}"

    def _typed(self, node: yaml.ScalarNode) -> tuple[Scalar, str]:
        text = node.value
        match node.tag.removeprefix(_CORE):
            case "str" | "!":
                return self.lenders.substituted(text)
            case "null":
                return None, ""
            case "bool":
                return text.lower() == "true", ""
            case "int" if _INTEGER.fullmatch(text):
                return int(text), ""
            case "float" if _NUMBER.fullmatch(text):
                return float(text), ""
            case _:
                raise NotLentError(
                    "unknown tag; there are !file and !credential, and text that begins with ! is quoted"
                )

    def _broken(self, path: Path, line: int, why: str) -> Written:
        self._complain(line, why, path)
        return Written(value=None, file=self.file, line=line, broken=True)


def _composed(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _yaml_trouble(error: yaml.MarkedYAMLError) -> str:
    """The parser's complaint in our words; never with a name out of the text, which may be a secret's beginning."""
    said = error.problem or error.context or ""
    for sign, words in _TROUBLES:
        if sign in said:
            return words
    return f"is no YAML: {said}"


_TROUBLES = (
    ("'\\t'", "a tab where YAML wants spaces; indent with spaces"),
    ("undefined alias", "an alias without its anchor; put text that begins with * in quotes"),
    ("duplicate anchor", "an anchor that is defined twice"),
    ("undefined tag handle", "unknown tag; there are !file and !credential, and text that begins with ! is quoted"),
    ("another document", "a second document begins here; one file is one document"),
    ("mapping values are not allowed", "a colon too many, or an indentation that does not fit the line above"),
    ("expected <block end>", "an indentation that does not fit the lines above"),
    ("could not find expected ':'", "a key without its colon, or an unclosed quote or bracket above"),
    ("found unexpected end of stream", "a quote that is never closed"),
    ("cannot start any token", "text that begins with @, ` or % is put in quotes"),
    ("nested deeper", f"nested deeper than {DEPTH_MAX} levels"),
    ("more than", f"holds more than {NODES_MAX} values"),
    (
        "expected",
        "is no YAML here: a bracket, a comma or a quote is missing, or a ${…} between { } stands without quotes",
    ),
    ("unknown escape", 'an unknown escape in "…"; in single quotes a backslash is a backslash'),
)
