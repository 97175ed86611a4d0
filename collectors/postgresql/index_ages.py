"""Since when each unread index has been seen: a server does not know when it made one, so whoever asks must remember.

What is there at the first tour of all is taken for old; what comes later, be it with a new database, is young. Pure.
"""

import json
from collections.abc import Iterable
from math import inf

OLD = -inf


class Ages:
    """When the unread indexes of each database, by oid, were first seen. As text it outlives the daemon."""

    def __init__(self, seen: dict[str, dict[int, float]] | None = None) -> None:
        self.toured = seen is not None
        """Whether the first tour of all is over."""
        self._seen = seen or {}

    def look(self, database: str, oids: Iterable[int], now: float) -> dict[int, float]:
        """For how long those have been there that came after the first tour."""
        before, new = self._seen.get(database, {}), now if self.toured else OLD
        self._seen[database] = found = {oid: before.get(oid, new) for oid in oids}
        return {oid: max(now - at, 0.0) for oid, at in found.items() if at != OLD}

    def forget(self, present: Iterable[str]) -> None:
        """Drop the databases that are not among those present."""
        kept = set(present)
        self._seen = {name: seen for name, seen in self._seen.items() if name in kept}

    @property
    def body(self) -> str:
        """As it is remembered."""
        return json.dumps(
            {name: {oid: None if at == OLD else at for oid, at in seen.items()} for name, seen in self._seen.items()}
        )


def recalled(body: str | None) -> Ages:
    """What was remembered; nothing where nothing was, or nothing that can be read."""
    try:
        told = json.loads(body or "")
        return Ages({name: {int(oid): _moment(at) for oid, at in seen.items()} for name, seen in told.items()})
    except (ValueError, TypeError, AttributeError):
        return Ages()


def _moment(at: float | None) -> float:
    return OLD if at is None else float(at)
