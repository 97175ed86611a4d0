"""What is kept with an alert when it fires: whoever is woken sees what was the matter, not what is left of it."""

from alerting.evidence.drawing import drawn, lock_tree_in, two_lines
from alerting.evidence.gathering import Scene, Witness, gather
from alerting.evidence.record import MOST_BYTES, Evidence, read, written

__all__ = [
    "MOST_BYTES",
    "Evidence",
    "Scene",
    "Witness",
    "drawn",
    "gather",
    "lock_tree_in",
    "read",
    "two_lines",
    "written",
]
