"""What is wrong with a configuration: every mistake at once, each with its place, in the files' order."""

from collections.abc import Iterable
from dataclasses import dataclass

from daemon.configuration.written import Path, Written, locate, path_text
from toban.errors import ConfigurationError
from toban.printable import printable


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One mistake. Line 0 means the file as a whole."""

    file: str
    line: int = 0
    path: str = ""
    why: str

    def __str__(self) -> str:
        """`FILE:LINE: path.to.key: why`, always one line."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        said = f"{self.path}: {self.why}" if self.path else self.why
        return printable(" ".join(f"{place}: {said}".split()))

    @property
    def fields(self) -> dict[str, str | int | None]:
        """The same for programs."""
        return {"file": self.file, "line": self.line or None, "path": self.path, "why": self.why}


class Problems(ConfigurationError):  # noqa: N818 - it is many; each of them is a Problem
    """A configuration that cannot be used, with everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("configuration", "; ".join(map(str, self.problems)))

    @property
    def lines(self) -> tuple[str, ...]:
        """Every problem on a line of its own, as compilers print them."""
        return tuple(map(str, self.problems))

    @property
    def line(self) -> str:
        """All of them."""
        return "\n".join(self.lines)


def problem_at(root: Written, path: Path, why: str) -> Problem:
    """A problem of the value at this path."""
    found = locate(root, path)
    return Problem(file=found.file, line=found.line, path=path_text(path), why=why)
