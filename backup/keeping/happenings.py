"""What a keeper tells of besides metrics: that something came to nothing, is damaged, or is unlike what was before."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What happened."""

    FAILED = "failed"
    DAMAGED = "damaged"
    UNUSUAL = "unusual"


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One of them, with its reason as a sentence for people; it holds no secrets."""

    kind: Kind
    target: str
    subject: str  # the job, the proof or the drill
    sentence: str


Hear = Callable[[Happening], None]


def unheard(_: Happening) -> None:
    """Nobody listens."""
