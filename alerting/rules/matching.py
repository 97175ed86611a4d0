"""Which series, alerts or silences are meant: names with shell patterns; of a list any, and `!` for not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

NOT: Final = "!"
MOST_LETTERS: Final = 500
_MAGIC = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Matcher:
    """What one label (or `target`, `rule`, `severity`) has to be: any of `patterns`, none of `never`."""

    name: str
    patterns: tuple[str, ...] = ()
    never: tuple[str, ...] = ()

    def fits(self, value: str | None) -> bool:
        """Whether a value is meant. What is not there fits no pattern, and is none of those that must not be."""
        if value is None:
            return not self.patterns
        if self.patterns and not any(fnmatchcase(value, pattern) for pattern in self.patterns):
            return False
        return not any(fnmatchcase(value, pattern) for pattern in self.never)

    @property
    def named(self) -> tuple[str, ...]:
        """The values that it names outright, without a pattern."""
        return tuple(pattern for pattern in self.patterns if not _MAGIC & set(pattern))

    @property
    def written(self) -> tuple[str, ...]:
        """As it was written."""
        return (*self.patterns, *(f"{NOT}{pattern}" for pattern in self.never))


def parse_patterns(written: Any) -> tuple[str, ...]:  # noqa: ANN401 - whatever YAML held
    """One pattern or a list of them, as a tuple."""
    listed = written if isinstance(written, list | tuple) else [written]
    patterns = tuple(str(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in listed)
    for pattern in patterns:
        if not isinstance(pattern, str) or len(pattern) > MOST_LETTERS or pattern == NOT:
            raise ValueError(f'{pattern!r} is no pattern; write "name", "na*", "!na*" or a list of them')
    if not patterns:
        raise ValueError("an empty list lets nothing through; leave the key out")
    return patterns


def matcher(name: str, patterns: Sequence[str]) -> Matcher:
    """A matcher out of patterns as they are written."""
    return Matcher(
        name,
        tuple(pattern for pattern in patterns if not pattern.startswith(NOT)),
        tuple(pattern[len(NOT) :] for pattern in patterns if pattern.startswith(NOT)),
    )


def matchers(written: Mapping[str, Sequence[str]]) -> tuple[Matcher, ...]:
    """The matchers of a whole `where` or `match`."""
    return tuple(matcher(name, patterns) for name, patterns in written.items())


def fits_all(wanted: Iterable[Matcher], facts: Mapping[str, str]) -> bool:
    """Whether every matcher takes what is known under its name."""
    return all(one.fits(facts.get(one.name)) for one in wanted)


def literal(wanted: Iterable[Matcher], name: str) -> tuple[str, ...]:
    """The values that are named outright for one name; none where a pattern among them could mean others."""
    for one in wanted:
        if one.name == name:
            return one.named if len(one.named) == len(one.patterns) else ()
    return ()
