"""The units of systemd: which are up, in what state, how often restarted, and how many have failed.

`systemctl show` is asked, the interface that systemd promises to keep for programs. Where systemd is not PID 1 nothing
is started at all.
"""

import asyncio
import os
import re
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.host.machine import HostMachine
from toban.config import Duration, misfit
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Type

BOOTED = Path("/run/systemd/system")  # is there exactly where systemd is PID 1: see sd_booted(3)
PROGRAM = "systemctl"
MOST_BYTES = 1024 * 1024
ANSWER_SHARE = 0.9  # of the timeout: there is time left to end the program and to say so
PARTING_SECONDS = 0.3
SHOWN_CHARACTERS = 200
_PROPERTIES = "Id,LoadState,ActiveState,NRestarts"
_UP = frozenset({"active", "reloading", "refreshing"})
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@*?\[\]!][A-Za-z0-9:_.\\@*?\[\]!-]*")
_SUFFIXES = (
    *(".service", ".socket", ".device", ".mount", ".automount", ".swap", ".target", ".path", ".timer", ".slice"),
    ".scope",
)

UNIT_UP = Metric(name="toban_unit_up", help="1 when the unit is active or reloading", labels=("unit",), kept=True)
UNIT_STATE = Metric(
    name="toban_unit_state", help="Always 1; the state of the unit, as systemd calls it", labels=("unit", "state")
)
RESTARTS = Metric(
    name="toban_unit_restarts_total",
    help="How often systemd itself has restarted the service since it was last started by hand",
    type=Type.COUNTER,
    labels=("unit",),
)
FAILED = Metric(name="toban_units_failed", help="Units of this machine that have failed", kept=True)


def _are_units(units: tuple[str, ...]) -> tuple[str, ...]:
    for place, unit in enumerate(units):
        if not _UNIT.fullmatch(unit):
            raise misfit(f"{unit!r} is no unit; write postgresql.service or postgresql@*", place)
    return units


class UnitsSettings(CollectorSettings):
    """Which units have series; patterns as in a shell are for units that systemd has loaded."""

    every: Duration = 30.0
    units: Annotated[tuple[str, ...], AfterValidator(_are_units)] = Field(default=(), max_length=100)
    top: int = Field(default=100, ge=1, le=1000)


class UnitsCollector(Collector[HostMachine, UnitsSettings]):
    """Asks systemd."""

    name = "units"
    purpose = "Whether the services that must run do run, and whether one restarts over and over."
    kind = Kind.HOST
    lane = "units"
    metrics: ClassVar = (UNIT_UP, UNIT_STATE, RESTARTS, FAILED)
    settings_model = UnitsSettings

    async def collect(self) -> Findings:
        """The units by name, and those of the whole machine that have failed."""
        if not os.path.isdir(BOOTED):  # noqa: ASYNC240, PTH112 - in memory, never on a disk that may hang
            raise FileNotFoundError("systemd is not running here")
        batch, gaps = Batch(self.clock.now()), list[Gap]()
        try:
            async with asyncio.timeout(self.settings.timeout * ANSWER_SHARE):
                manager = await show("--property=NFailedUnits")
                shown = await show(f"--property={_PROPERTIES}", "--", *self._patterns()) if self.settings.units else []
        except TimeoutError:
            hint = "is PID 1 or the system's bus stuck? `systemctl is-system-running` tells"
            return Findings(samples=(), gaps=(Gap(what="units", reason=Reason.TIMEOUT, detail="no answer", hint=hint),))
        except SystemctlError as error:
            return Findings(samples=(), gaps=(Gap(what="units", reason=error.reason, detail=str(error)),))
        for unit in manager:
            batch.add(FAILED, _whole(unit.get("NFailedUnits")))
        units = {unit["Id"]: unit for unit in shown if "Id" in unit}
        for name in sorted(units)[: self.settings.top]:
            gaps += _add(batch, name, units[name])
        gaps += self._missed(units)
        return Findings(samples=batch.samples, gaps=tuple(gaps))

    def _patterns(self) -> list[str]:
        """As systemctl itself completes them."""
        return [
            unit if unit.endswith(_SUFFIXES) or unit.endswith("*") else f"{unit}.service"
            for unit in self.settings.units
        ]

    def _missed(self, units: dict[str, dict[str, str]]) -> Iterator[Gap]:
        for pattern in self._patterns():
            if re.search(r"[*?\[]", pattern) and not any(fnmatchcase(name, pattern) for name in units):
                yield Gap(what=f"units {pattern}", reason=Reason.NOT_FOUND, detail="none is loaded that looks so")
        beyond = len(units) - self.settings.top
        if beyond > 0:
            hint = "name fewer, or raise `top` of `collect: units:`"
            yield Gap(what=f"units beyond {self.settings.top}", reason=Reason.FULL, count=beyond, hint=hint)


def _add(batch: Batch, name: str, unit: dict[str, str]) -> list[Gap]:
    missing = unit.get("LoadState") == "not-found"
    state = unit.get("ActiveState", "unknown")
    batch.add(UNIT_UP, state in _UP, name)
    batch.add(UNIT_STATE, 1, name, "not-found" if missing else state)
    batch.add(RESTARTS, None if missing else _whole(unit.get("NRestarts")), name)
    hint = "is its name right, in `units` of `collect: units:`?"
    return [Gap(what=f"unit {name}", reason=Reason.NOT_FOUND, detail="systemd knows no such unit", hint=hint)] * missing


def _whole(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdecimal() else None


class SystemctlError(Exception):
    """The program could not be started, or had nothing good to say."""

    def __init__(self, reason: Reason, said: str) -> None:
        super().__init__(" ".join(said.split())[:SHOWN_CHARACTERS])
        self.reason = reason


async def show(*words: str) -> list[dict[str, str]]:
    """What `systemctl show` says: for each unit its properties. The program is gone afterwards, however it went."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(PROGRAM, "show", "--no-pager", *words),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env={**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"},
        )
    except OSError as error:
        raise SystemctlError(Reason.UNSUPPORTED, f"{PROGRAM} cannot be started: {error.strerror}") from error
    try:
        said = await _bounded(process.stdout)
        complaint = await _bounded(process.stderr)  # a line; one that fills its pipe first is ended by the time limit
        status = await process.wait()
    finally:
        if process.returncode is None:
            await _end(process)
    if status != 0:
        raise SystemctlError(Reason.UNSUPPORTED, complaint or f"{PROGRAM} ended with status {status}")
    return [
        dict(line.partition("=")[::2] for line in block.splitlines()) for block in said.split("\n\n") if block.strip()
    ]


async def _end(process: Process) -> None:
    """Kill it, and take what is left in its pipes: asyncio calls a process ended only when they are."""
    process.kill()
    with suppress(TimeoutError):
        async with asyncio.timeout(PARTING_SECONDS):
            await process.communicate()


async def _bounded(stream: asyncio.StreamReader | None) -> str:
    """All of it; more than anybody means is a fault of the program's."""
    assert stream is not None  # noqa: S101 - both are pipes
    try:
        await stream.readexactly(MOST_BYTES)
    except asyncio.IncompleteReadError as error:
        return error.partial.decode(errors="replace")
    raise SystemctlError(Reason.UNSUPPORTED, f"{PROGRAM} says more than {MOST_BYTES} bytes")
