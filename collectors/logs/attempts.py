"""Failed logins by address: who tries more often than anybody mistypes a password."""

import json
import re
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

ADDRESSES_MAX = 2000
WINDOW_SECONDS = 86_400.0
NEIGHBOURHOOD_BITS = 64  # what one customer has of IPv6, to take each attempt from another address
_WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d+)?|([\d.]+):\d+")


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
        """Drop who has been silent for a day, and who failed in a future that a wrong clock showed."""
        self.callers = {name: c for name, c in self.callers.items() if abs(now - c.last_at) < WINDOW_SECONDS}

    def is_over(self, address: str) -> bool:
        """Whether this one was over the threshold."""
        return address in self.callers and self.callers[address].over_at is not None

    def over(self, now: float) -> set[str]:
        """Who was over the threshold in the last day."""
        return {name for name, c in self.callers.items() if c.over_at is not None and c.over_at > now - WINDOW_SECONDS}

    def text(self) -> str:
        """To be remembered."""
        return json.dumps({name: asdict(caller) for name, caller in self.callers.items()})

    def recall(self, text: str) -> None:
        """What was remembered."""
        self.callers = {name: Caller(**found) for name, found in json.loads(text).items()}


@lru_cache(maxsize=ADDRESSES_MAX)
def caller_of(written: str) -> str:
    """Who an address stands for: without the port it called from, and of IPv6 its whole /64."""
    match = _WITH_PORT.fullmatch(written)
    try:
        address = ip_address((match[1] or match[2] if match else written).partition("%")[0])
    except ValueError:
        return written
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    if isinstance(address, IPv6Address) and not address.is_loopback:
        return str(ip_network((address, NEIGHBOURHOOD_BITS), strict=False))
    return str(address)
