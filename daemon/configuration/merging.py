"""Several files as one: mappings merge by key, lists of named things grow, of anything else the later file counts."""

from collections.abc import Iterator

from daemon.configuration.problems import Problem
from daemon.configuration.written import Path, Written, path_text


def merged(first: Written, later: Written) -> Written:
    """Both, where the later has the last word."""
    if isinstance(first.value, dict) and isinstance(later.value, dict):
        both = dict(first.value)
        for key, entry in later.value.items():
            both[key] = merged(both[key], entry) if key in both else entry
        return Written(value=both, file=first.file, line=first.line)
    if isinstance(first.value, list) and isinstance(later.value, list) and (_named(first) or _named(later)):
        return Written(value=[*first.value, *later.value], file=first.file, line=first.line)
    return later


def _named(things: Written) -> bool:
    return any(item.child("name") is not None for item in _items(things))


def _items(things: Written) -> list[Written]:
    return things.value if isinstance(things.value, list) else []


def namesakes(root: Written, path: Path = ()) -> Iterator[Problem]:
    """Every second thing of a name in the same list, anywhere in the tree; each names the line of the first."""
    seen: dict[str, Written] = {}
    for index, item in enumerate(_items(root)):
        name = item.child("name")
        if name is not None and isinstance(name.value, str) and not name.broken:
            first = seen.setdefault(name.value, name)
            if first is not name:
                said = name.lender or repr(name.value)
                why = f"{said} is taken; the first of that name is in {first.file}:{first.line}"
                yield Problem(file=name.file, line=name.line, path=path_text((*path, index, "name")), why=why)
    for part, below in _below(root):
        yield from namesakes(below, (*path, part))


def _below(root: Written) -> Iterator[tuple[str | int, Written]]:
    if isinstance(root.value, dict):
        yield from root.value.items()
    elif isinstance(root.value, list):
        yield from enumerate(root.value)
