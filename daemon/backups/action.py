"""The alert action `backup`: one made because something is wrong, after a look at whether it can be."""

from collections.abc import Awaitable, Callable

from toban.alerts import Alert, Delivery, Outcome
from toban.backups import BackupRecord, Status
from toban.errors import TobanError
from toban.units import size_text

Run = Callable[[str, str], Awaitable[BackupRecord]]


class BackupRunner:
    """Makes a backup for an alert. `obstacle` says why that must not be now; `run` is told the job and why."""

    def __init__(self, obstacle: Callable[[str], Awaitable[str]], run: Run) -> None:
        self._obstacle = obstacle
        self._run = run

    async def preflight(self, name: str, alert: Alert) -> str:  # noqa: ARG002 - whichever alert asks
        """Why this must not be done now; empty where it may."""
        return await self._obstacle(name)

    async def run(self, name: str, alert: Alert) -> Delivery:
        """Do it."""
        try:
            record = await self._run(name, f"alert {alert.key.text}")
        except TobanError as error:
            return Delivery(outcome=Outcome.REFUSED, detail=error.line.removeprefix("toban: "))
        if record.status is not Status.OK:
            return Delivery(outcome=Outcome.REFUSED, detail=f"{record.id} is {record.status}: {record.reason}")
        detail = f"{record.id}, {size_text(record.manifest.size_bytes)}"
        return Delivery(outcome=Outcome.SENT, detail=detail, receipt={"backup": record.id})
