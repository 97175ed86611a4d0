"""How well the machine is guarded: updates that wait, ports that are open, the firewall, vulnerable packages.

What is dear is asked once a day, by an errand that no turn waits for; its answers are remembered until the next.
"""

import asyncio
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.host.machine import HostMachine
from collectors.host.programs import Programs, TooMuchError
from collectors.host.security.firewall import firewall_rules
from collectors.host.security.listening import Listener, listeners, programs_by_inode
from collectors.host.security.updates import Updates, lists_renewed_at, pending_updates, reboot_wanted
from collectors.host.security.vulnerabilities import vulnerable_packages
from toban.clock import Clock
from toban.config import Duration
from toban.findings import Finding, Severity
from toban.outcomes import Failure, Gap, Reason
from toban.printable import printable
from toban.samples import Batch, Findings, Metric, Unit

MOST_TOLD = 50
REST_SECONDS = 60.0  # after the start: a daemon that restarts over and over asks nothing dear
PATIENT_SECONDS = 1.0  # who waits so long for the answers has them asked for at once
OLD_LISTS_SECONDS = 7 * 86400.0
SCOPES = ("loopback", "one", "any")

SECURITY_UPDATES = Metric(
    name="toban_host_security_updates", help="Packages that wait for a security update", kept=True
)
OTHER_UPDATES = Metric(name="toban_host_other_updates", help="Packages that wait for an update of another kind")
LISTS_AGE = Metric(
    name="toban_host_package_lists_age_seconds",
    help="Time since the package lists were renewed; updates that came later are not known",
    unit=Unit.SECONDS,
)
REBOOT = Metric(
    name="toban_host_reboot_required", help="1 when a package or a newer kernel that is installed waits for a reboot"
)
PORTS = Metric(
    name="toban_host_listening_ports",
    help="Sockets that take TCP connections, by who can reach them: loopback, one address, any address",
    labels=("scope",),
)
UNEXPECTED = Metric(
    name="toban_host_unexpected_ports", help="TCP ports that are listened on and not among `expected`", kept=True
)
UNEXPECTED_INFO = Metric(
    name="toban_host_unexpected_port_info",
    help="Always 1; a TCP port that is listened on and not among `expected`",
    labels=("port", "address", "program"),
)
FIREWALL = Metric(
    name="toban_host_firewall_rules", help="Rules of the firewall that decide over what comes in; 0 when all may"
)
VULNERABLE = Metric(
    name="toban_python_vulnerable_packages",
    help="Python packages of an environment that are known to be vulnerable",
    labels=("environment",),
)

Port = Annotated[int, Field(ge=1, le=65535)]


class SecuritySettings(CollectorSettings):
    """Which ports are expected (null: they are told, and not judged), and which Python environments are audited."""

    every: Duration = 3600.0
    timeout: Duration = 20.0
    questions: Duration = 86400.0
    patience: Duration = 0.01
    expected: tuple[Port, ...] | None = None
    loopback: bool = False
    environments: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Answers:
    """What the dear questions brought."""

    updates: Updates | Failure | None = None
    vulnerable: dict[str, dict[str, str] | Failure] = field(default_factory=dict)


class SecurityCollector(Collector[HostMachine, SecuritySettings]):
    """The host's side of security. The places it looks at are attributes, for what no test machine has."""

    name = "security"
    purpose = "Whether security updates wait, ports are open that nobody expects, and the firewall is up."
    kind = Kind.HOST
    lane = "security"
    metrics: ClassVar = (
        SECURITY_UPDATES,
        OTHER_UPDATES,
        LISTS_AGE,
        REBOOT,
        PORTS,
        UNEXPECTED,
        UNEXPECTED_INFO,
        FIREWALL,
        VULNERABLE,
    )
    settings_model = SecuritySettings

    def __init__(self, source: HostMachine, settings: SecuritySettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self.programs = Programs()
        self.root = Path("/")
        self.patience_seconds = settings.patience
        self._answers = Answers()
        self._errand: asyncio.Task[None] | None = None
        self._asked_at: float | None = None

    async def collect(self) -> Findings:
        """Measure what is cheap, and add what the last errand brought."""
        self._send()
        batch, gaps, rows = Batch(self.clock.now()), list[Gap](), list[Finding]()
        await self._ports(batch, gaps, rows)
        await self._system(batch, rows)
        await self._firewall(batch, gaps, rows)
        if self._errand is not None:
            await asyncio.wait({self._errand}, timeout=self.patience_seconds)
        self._answered(batch, gaps, rows)
        return Findings(samples=batch.samples, gaps=tuple(gaps), rows=tuple(rows))

    def _send(self) -> None:
        """Begin an errand if one is due and none is under way."""
        now = self.clock.monotonic()
        if self._errand is not None and not self._errand.done():
            return
        if self._asked_at is None or now - self._asked_at >= self.settings.questions:
            self._asked_at = now
            self._errand = asyncio.create_task(self._ask(), name="security questions")
            self.source.errands.add(self._errand)
            self._errand.add_done_callback(self.source.errands.discard)

    async def _ask(self) -> None:
        await asyncio.sleep(0 if self.patience_seconds >= PATIENT_SECONDS else REST_SECONDS)
        found = Answers()
        try:
            found.updates = await pending_updates(self.programs)
        except (OSError, TooMuchError) as error:
            found.updates = _failed(error)
        for environment in self.settings.environments:
            try:
                found.vulnerable[environment] = await vulnerable_packages(self.programs, environment)
            except (OSError, TooMuchError) as error:
                found.vulnerable[environment] = _failed(error)
        self._answers = found

    async def _ports(self, batch: Batch, gaps: list[Gap], rows: list[Finding]) -> None:
        look = partial(_look, self.source.proc, self.settings)
        try:
            found, told, programs = await self.source.blocking.run(
                "listening ports", look, timeout_seconds=self.settings.timeout / 2
            )
        except OSError as error:
            gaps.append(self.source.gap("listening ports", error))
            return
        for scope in SCOPES:
            batch.add(PORTS, sum(one.scope == scope for one in found), scope)
        judged = self.settings.expected is not None
        batch.add(UNEXPECTED, len({one.port for one in told}) if judged else None)
        for one in told[:MOST_TOLD]:
            program = printable(programs.get(one.inode, ""))
            batch.add(UNEXPECTED_INFO, 1 if judged else None, str(one.port), one.address, program)
            rows.append(_port(one, program, judged=judged))
        hidden = sum(not programs.get(one.inode) for one in told[:MOST_TOLD])
        if hidden:
            gaps.append(_hidden(hidden))

    async def _system(self, batch: Batch, rows: list[Finding]) -> None:
        look = partial(_waiting, self.root, os.uname().release)
        renewed_at, why_reboot = await self.source.blocking.run(
            "updates", look, timeout_seconds=self.settings.timeout / 2
        )
        age = None if renewed_at is None else max(0.0, batch.taken_at - renewed_at)
        batch.add(LISTS_AGE, age)
        batch.add(REBOOT, bool(why_reboot))
        if age is not None and age > OLD_LISTS_SECONDS:
            values = {"days": f"{age / 86400:.0f}"}
            rows.append(Finding(severity=Severity.WARNING, subject="updates", what="lists_old", values=values))
        if why_reboot:
            rows.append(Finding(severity=Severity.WARNING, subject="reboot", what=f"reboot_{why_reboot}"))

    async def _firewall(self, batch: Batch, gaps: list[Gap], rows: list[Finding]) -> None:
        try:
            found = await firewall_rules(self.programs)
        except (OSError, TooMuchError) as error:
            found = _failed(error)
        if isinstance(found, Failure):
            gaps.append(_gap("firewall", found))
            return
        batch.add(FIREWALL, found)
        if not found:
            rows.append(Finding(severity=Severity.WARNING, subject="firewall", what="firewall_none"))

    def _answered(self, batch: Batch, gaps: list[Gap], rows: list[Finding]) -> None:
        updates = self._answers.updates
        if updates is None:
            detail = "they are being asked for in the background; a later turn has them"
            gaps.append(Gap(what="updates", reason=Reason.UNANSWERED, detail=detail))
        elif isinstance(updates, Failure):
            gaps.append(_gap("updates", updates))
        else:
            batch.add(SECURITY_UPDATES, len(updates.security))
            batch.add(OTHER_UPDATES, updates.others)
            rows.extend(_update(one.package, one.wanted) for one in updates.security[:MOST_TOLD])
        for environment, known in self._answers.vulnerable.items():
            if isinstance(known, Failure):
                gaps.append(_gap(f"packages of {environment}", known))
            else:
                batch.add(VULNERABLE, len(known), environment)
                rows.extend(itertools.islice(_vulnerable(environment, known), MOST_TOLD))


def _look(proc: Path, settings: SecuritySettings) -> tuple[list[Listener], list[Listener], dict[str, str]]:
    """All listeners; those to be told; the programs of these."""
    found = listeners(proc)
    expected = settings.expected or ()
    told = [one for one in found if one.port not in expected and (settings.loopback or one.scope != "loopback")]
    return found, told, programs_by_inode(proc, {one.inode for one in told[:MOST_TOLD]})


def _waiting(root: Path, running: str) -> tuple[float | None, str]:
    return lists_renewed_at(root), reboot_wanted(root, running)


def _port(one: Listener, program: str, *, judged: bool) -> Finding:
    open_to_others = one.scope != "loopback"
    return Finding(
        severity=Severity.WARNING if judged and open_to_others else Severity.INFO,
        subject=f"port {one.port}",
        what="port_unexpected" if judged else "port_open",
        values={"address": one.address, "program": program or "?"},
    )


def _hidden(count: int) -> Gap:
    return Gap(
        what="programs of ports",
        reason=Reason.PRIVILEGE,
        count=count,
        detail="which program listens is seen by root and by its own user alone",
        hint="`ss -ltnp`, run as root, tells",
    )


def _update(package: str, wanted: str) -> Finding:
    return Finding(
        severity=Severity.WARNING, subject=printable(package), what="update_security", values={"version": wanted or "-"}
    )


def _vulnerable(environment: str, known: dict[str, str]) -> Iterator[Finding]:
    for package, told in known.items():
        values = {"environment": environment, "known": printable(told)}
        yield Finding(severity=Severity.WARNING, subject=printable(package), what="package_vulnerable", values=values)


def _failed(error: Exception) -> Failure:
    if isinstance(error, TimeoutError):
        return Failure(reason=Reason.TIMEOUT, detail="the program did not end in time and was ended")
    return Failure(reason=Reason.UNSUPPORTED, detail=printable(str(error))[:300] or type(error).__name__)


def _gap(what: str, failure: Failure) -> Gap:
    return Gap(what=what, reason=failure.reason, detail=printable(failure.detail), hint=failure.hint)
