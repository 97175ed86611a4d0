"""What somebody wrote, and where: the values of a configuration file with their file and line still on them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

Scalar = str | int | float | bool | None
Path = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"\w[\w-]*")
_KEY_MAX_CHARACTERS = 60


BROKEN: Final = object()
"""In place of a value that could not be read: it fits nowhere, so nothing is concluded from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One value, with the line its key (or its place in a list) stands on."""

    value: "Scalar | dict[str, Written] | list[Written]"
    file: str
    line: int
    lender: str = ""
    """Who gave the value if not the file itself, as `!credential smtp` or `${PGPASSWORD}`: then it is not quoted."""
    broken: bool = False
    """Already complained of; what is said about it further on would be noise."""

    @property
    def plain(self) -> Any:  # noqa: ANN401 - whatever YAML held
        """The value alone, as plain dictionaries and lists."""
        if self.broken:
            return BROKEN
        if isinstance(self.value, dict):
            return {key: entry.plain for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain for item in self.value]
        return self.value

    def child(self, part: str | int) -> "Written | None":
        """What stands under a key or an index."""
        if isinstance(self.value, dict):
            return self.value.get(str(part))
        if isinstance(self.value, list) and isinstance(part, int) and part < len(self.value):
            return self.value[part]
        return None


def locate(root: Written, path: Sequence[str | int]) -> Written:
    """The value at the path, or the last one on the way that exists: a missing key is missed where it should stand."""
    here = root
    for part in path:
        below = here.child(part)
        if below is None:
            break
        here = below
    return here


def path_text(path: Sequence[str | int]) -> str:
    """`targets[0].dsn`, with odd keys in quotes so that a path is always one readable line."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{part[:_KEY_MAX_CHARACTERS]!r}]"
    return text
