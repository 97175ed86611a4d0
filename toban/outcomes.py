"""How a piece of work ended, and why: expected failures are values, not exceptions."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why something is empty. The operator meets these words in metrics, logs and `toban status`."""

    PRIVILEGE = "privilege"  # the role may not read this
    EXTENSION_MISSING = "extension_missing"  # installed nowhere, or not preloaded
    EXTENSION_OLD = "extension_old"  # installed, but lacks what we read
    VERSION = "version"  # this server version does not have it
    TIMEOUT = "timeout"  # the server ended our statement at its time limit
    LOCKED = "locked"  # somebody holds it; we do not wait
    UNREACHABLE = "unreachable"  # no connection
    UNANSWERED = "unanswered"  # connected, but no answer before the deadline
    AUTHENTICATION = "authentication"  # the server refused who we are
    NOT_FOUND = "not_found"  # no such database, file or device
    FULL = "full"  # no connection slot left
    STARTING = "starting"  # starting up, shutting down or in recovery
    CORRUPT = "corrupt"  # not readable as what it should be
    UNSUPPORTED = "unsupported"  # this host or platform cannot say
    UNEXPECTED = "unexpected"  # it answers, but not as it should
    QUERY = "query"  # somebody's own SQL does not work as it is written
    HISTORY_SHORT = "history_short"  # too little was seen yet to tell
    STUCK = "stuck"  # an earlier turn could not be cancelled
    INTERNAL = "internal"  # a fault of Toban's own


# A target that fails for one of these is down: nothing it measures can be trusted to be current.
DOWN = frozenset(
    {
        Reason.UNREACHABLE,
        Reason.UNANSWERED,
        Reason.AUTHENTICATION,
        Reason.NOT_FOUND,
        Reason.FULL,
        Reason.STARTING,
        Reason.CORRUPT,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a collection came back empty, in a word for programs and a sentence for people."""

    reason: Reason
    detail: str
    hint: str = ""
    partial: bool = False
    """Another way into the target is open and answers: only what took this one is missing."""

    @property
    def down(self) -> bool:
        """Whether the target itself is to be called down."""
        return self.reason in DOWN and not self.partial


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What an otherwise good collection had to leave out, how many of it, and why."""

    what: str
    reason: Reason
    count: int = 1
    detail: str = ""
    hint: str = ""
