"""How backups, proofs and restores fail: one exception, whose trouble decides whether to try again."""

from toban.backups import WORTH_ANOTHER_TRY, Trouble
from toban.errors import TobanError


class BackupError(TobanError):
    """Something that was to be kept, proved or restored was not."""

    def __init__(self, what: str, why: str, hint: str = "", *, trouble: Trouble = Trouble.TOOL) -> None:
        super().__init__(what, why, hint)
        self.trouble = trouble
        if trouble in (Trouble.UNREACHABLE, Trouble.REPOSITORY):
            self.exit_status = 3
        elif trouble is Trouble.CONFIGURATION:
            self.exit_status = 2

    @property
    def worth_another_try(self) -> bool:
        """Whether it may succeed some minutes later."""
        return self.trouble in WORTH_ANOTHER_TRY

    @property
    def reason(self) -> str:
        """One sentence for a message: what, why, and the mend."""
        return self.line.removeprefix("toban: ")
