"""What pg_dump says while it works: when it holds its locks, which table it has come to, what it complains of."""

import asyncio
import re
from collections.abc import Callable
from typing import Final

MOST_COMPLAINTS: Final = 30
LONGEST_COMPLAINT: Final = 600
_TABLE: Final = re.compile(r'dumping contents of table "(?P<table>.+)"$')
_LOCKED: Final = "reading user-defined functions"  # what it says next once it has every table locked
_COMPLAINT: Final = re.compile(r"^\S+: (?:warning|error|detail|hint|fatal): ")


class Listener:
    """Hears every line of stderr under --verbose."""

    def __init__(self, on_table: Callable[[str], None]) -> None:
        self._on_table = on_table
        self.locked = asyncio.Event()
        """Set once pg_dump holds every table: from then on nobody can change what it has still to read."""
        self.complaints: list[str] = []
        """What was no mere news; the last of it."""

    def hear(self, line: str) -> None:
        """One line."""
        found = _TABLE.search(line)
        if found is not None or line.endswith(_LOCKED):
            self.locked.set()
        if found is not None:
            self._on_table(found["table"])
        elif _COMPLAINT.match(line):
            self.complaints.append(line[:LONGEST_COMPLAINT])
            del self.complaints[:-MOST_COMPLAINTS]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Each once, for a manifest's notes."""
        return tuple(dict.fromkeys(self.complaints))

    @property
    def why(self) -> str:
        """The first that tells why it failed, with what belongs to it."""
        errors = [place for place, line in enumerate(self.complaints) if ": error: " in line or ": fatal: " in line]
        if not errors:
            return ""
        said = self.complaints[errors[0] : errors[0] + 2]
        return " ".join(line.partition(": ")[2] for line in said if line)
