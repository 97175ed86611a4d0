"""Where a backup stands, by what is written of it: pure."""

from typing import Final

from toban.backups import Marks, Status, Verdict

UNREADABLE_MARKS: Final = "its marks cannot be read, and nobody knows any more whether it was to stay"


def standing(marks: Marks) -> tuple[Status, str]:
    """Whether it is damaged, and by whose word. What could not be decided damages nothing."""
    proof = marks.proof
    if proof is not None and proof.verdict is Verdict.DAMAGED:
        return Status.DAMAGED, f"a proof found it damaged: {proof.reason}"
    failed = [check for check in marks.verification.checks if check.ok is False] if marks.verification else []
    if failed:
        words = "; ".join(f"{check.name}: {check.detail}" if check.detail else check.name for check in failed[:3])
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""  # noqa: PLR2004 - as many as are named
        return Status.DAMAGED, f"its verification failed: {words}{more}"
    return Status.OK, ""
