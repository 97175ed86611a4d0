"""What comes together while a proof or a drill goes on: findings, and seconds by phase, also of one that broke off."""

from collections.abc import Iterator
from contextlib import contextmanager

from backup.engines.contract import Tell
from backup.proof.verdict import Finding, Weight
from toban.backups import Check, Progress
from toban.clock import Clock


class Course:
    """One proof, as far as it has come."""

    def __init__(self, clock: Clock, tell: Tell) -> None:
        self.findings: list[Finding] = []
        self.phases: dict[str, float] = {}
        self.now = ""
        """The phase it is in."""
        self.restored_bytes = 0
        self._clock = clock
        self._tell = tell

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what is done; a phase that comes again adds to its seconds. Not to be nested."""
        begun = self._clock.monotonic()
        self.now = name
        self._tell(Progress(phase=name))
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + self._clock.monotonic() - begun

    def found(self, check: Check, weight: Weight = Weight.NEEDED) -> None:
        """Something was looked at."""
        self.findings.append(Finding(check=check, weight=weight))

    @property
    def checks(self) -> tuple[Check, ...]:
        """All that was looked at."""
        return tuple(finding.check for finding in self.findings)
