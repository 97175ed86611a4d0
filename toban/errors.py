"""The small tree of exceptions that reach an operator: each says what, why, and the mend where there is one."""


class TobanError(Exception):
    """Anything that ends a command. Printed as `toban: WHAT: WHY`, with the hint behind it."""

    exit_status = 1

    def __init__(self, what: str, why: str, hint: str = "") -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why
        self.hint = hint

    @property
    def line(self) -> str:
        """The one line on stderr."""
        said = " ".join(f"{self.what}: {self.why}".split())
        return f"toban: {said} ({self.hint})" if self.hint else f"toban: {said}"


class NotFoundError(TobanError):
    """There is no such item."""


class UsageError(TobanError):
    """The command was called wrongly."""

    exit_status = 2


class ConfigurationError(TobanError):
    """The configuration cannot be used."""

    exit_status = 2


class UnavailableError(TobanError):
    """A thing needed could not be reached: the daemon, a database, a disk."""

    exit_status = 3
