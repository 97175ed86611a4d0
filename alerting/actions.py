"""What an alert may have done: a command, a backup, a maintenance task. At most once in an episode, and never again.

Actions leave by the same outbox as messages. One that was under way when the daemon died is not repeated: whatever it
did is done, and a person has to look.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from alerting.channels.executing import TIME_SHARE, Exec, ExecSettings
from alerting.messages import Letter
from alerting.web import Web
from toban.alerts import Alert, Delivery, Notice, Outcome
from toban.clock import Clock

COMMAND: Final = "command"
INTERRUPTED: Final = "interrupted: look at what it did"
_ABSENT: Final = {"backup": "no backups in this version", "maintenance": "no maintenance tasks in this version"}

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program of the operator's, by its path and arguments; no shell reads them."""

    name: str
    run: tuple[str, ...]
    timeout_seconds: float = 60.0


class Runner(Protocol):
    """Who makes backups, or does maintenance."""

    async def preflight(self, name: str, alert: Alert) -> str:
        """Why this must not be done now; empty where it may."""
        ...

    async def run(self, name: str, alert: Alert) -> Delivery:
        """Do it."""
        ...


class Actions:
    """Does what notices ask for, and says what became of it."""

    def __init__(
        self,
        commands: Iterable[Command],
        *,
        letter: Callable[[Notice], Letter],
        web: Web,
        clock: Clock,
        runners: Mapping[str, Runner] | None = None,
    ) -> None:
        self._commands: Mapping[str, Command] = {}
        self._letter = letter
        self._web = web
        self._clock = clock
        self._runners = runners or {}
        self.renew(commands)

    def renew(self, commands: Iterable[Command]) -> None:
        """Other commands are configured."""
        self._commands = {command.name: command for command in commands}

    async def __call__(self, notice: Notice) -> Delivery:
        """Do it once. What did not succeed is never tried again, so nothing here asks for a retry."""
        if notice.action is None:
            return _refused("it asks for nothing")
        if notice.perhaps_sent:
            return _refused(INTERRUPTED)
        try:
            done = await self._done(notice, notice.action.kind, notice.action.name)
        except Exception as error:  # an action is never begun twice, so its fault has to be its outcome
            logger.exception("action_fault", kind=notice.action.kind, name=notice.action.name)
            return _refused(f"a fault of Toban's own: {type(error).__name__}")
        return done if done.outcome is Outcome.SENT else _refused(done.detail)

    async def _done(self, notice: Notice, kind: str, name: str) -> Delivery:
        if kind == COMMAND:
            command = self._commands.get(name)
            return _refused(f"no command {name} is configured") if command is None else await self._ran(notice, command)
        runner = self._runners.get(kind)
        if runner is None:
            return _refused(_ABSENT.get(kind, f"nothing does {kind} here"))
        why_not = await runner.preflight(name, notice.alert)
        return _refused(why_not) if why_not else await runner.run(name, notice.alert)

    async def _ran(self, notice: Notice, command: Command) -> Delivery:
        """The program is given what a webhook would be, and ends with its time, with all that it started."""
        settings = ExecSettings(run=command.run, timeout=command.timeout_seconds / TIME_SHARE)
        program = Exec(f"{COMMAND}:{command.name}", settings, web=self._web, clock=self._clock)
        return await program.send(self._letter(notice))


def _refused(why: str) -> Delivery:
    return Delivery(outcome=Outcome.REFUSED, detail=why)
