"""What is said of failed logins: an address, how often it failed within a day, and whether that is an attack."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFailures:
    """One address in one log. `over` tells that it failed more often than the log's threshold allows."""

    log: str
    address: str
    failures: int
    over: bool
    first_at: float
    last_at: float
