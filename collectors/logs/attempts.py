"""Failed logins by address: who tries more often than anybody mistypes a password."""

import json
from dataclasses import asdict, dataclass, field

ADDRESSES_MAX = 2000
WINDOW_SECONDS = 86_400.0


@dataclass(slots=True, kw_only=True)
class Caller:
    """One address: when it failed of late, and when it was last over the threshold."""

    recent: list[float] = field(default_factory=list)
    first_at: float
    last_at: float
    over_at: float | None = None


class Attempts:
    """The addresses that failed, the longest silent leaving first when there are too many."""

    def __init__(self, threshold: int, within_seconds: float) -> None:
        self.threshold = threshold
        self.within_seconds = within_seconds
        self.callers: dict[str, Caller] = {}

    def fail(self, address: str, at: float) -> None:
        """One failed login. Lines of several files may come out of order."""
        caller = self.callers.pop(address, None) or Caller(first_at=at, last_at=at)
        self.callers[address] = caller
        caller.first_at, caller.last_at = min(at, caller.first_at), max(at, caller.last_at)
        caller.recent = sorted([*caller.recent, at])[-(self.threshold + 1) :]
        if len(caller.recent) > self.threshold and caller.recent[-1] - caller.recent[0] <= self.within_seconds:
            caller.over_at = caller.recent[-1]
        if len(self.callers) > ADDRESSES_MAX:
            quiet = (name for name, known in self.callers.items() if known.over_at is None)
            del self.callers[next(quiet, next(iter(self.callers)))]

    def forget(self, now: float) -> None:
        """Drop who has been silent for a day."""
        self.callers = {name: c for name, c in self.callers.items() if c.last_at > now - WINDOW_SECONDS}

    def over(self, now: float) -> set[str]:
        """Who was over the threshold in the last day."""
        return {name for name, c in self.callers.items() if c.over_at is not None and c.over_at > now - WINDOW_SECONDS}

    def text(self) -> str:
        """To be remembered."""
        return json.dumps({name: asdict(caller) for name, caller in self.callers.items()})

    def recall(self, text: str) -> None:
        """What was remembered."""
        self.callers = {name: Caller(**found) for name, found in json.loads(text).items()}
