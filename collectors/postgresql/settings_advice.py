"""What to set on a PostgreSQL server: the figures for its machine against what it has. Pure.

Nothing is said of a value that will do. What waits for a restart is not judged before it is in force.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from collectors.postgresql.settings import convert
from collectors.postgresql.settings_figures import (
    GB,
    KB,
    MB,
    Disk,
    Figure,
    Machine,
    Workload,
    bearable_connections,
    figures,
)
from collectors.postgresql.sql import quote_literal
from toban.advice import Advice
from toban.samples import Unit
from toban.units import size_text

CONNECTIONS = "max_connections"
OF_OTHERS = frozenset({"client", "session", "user", "database", "database user"})  # says nothing of the server
ON_PRIMARY_FIRST = frozenset({CONNECTIONS, "max_worker_processes"})  # a standby must not have less than its primary
_SPANS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (0.001, "ms"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of pg_settings."""

    name: str
    setting: str
    unit: str
    vartype: str
    source: str
    context: str
    minimum: float | None
    maximum: float | None
    pending_restart: bool
    shown: str

    @property
    def value(self) -> float:
        """In bytes, seconds, or as it is; a switch is 0 or 1."""
        return convert(self.setting, self.unit, self.vartype)[0]

    @property
    def needs_restart(self) -> bool:
        """Whether a change takes effect with a restart alone."""
        return self.context == "postmaster"

    def within(self, wanted: float) -> float:
        """The nearest value that the server takes."""
        least = wanted if self.minimum is None else self._scaled(self.minimum)
        most = wanted if self.maximum is None else self._scaled(self.maximum)
        return min(max(wanted, least), most)

    def written(self, wanted: float) -> str:
        """As a person would write it."""
        if self.vartype == "bool":
            return "on" if wanted else "off"
        unit = convert("1", self.unit, self.vartype)[1]
        if unit is Unit.BYTES:
            return _size(int(wanted))
        return _span(wanted) if unit is Unit.SECONDS else f"{wanted:g}"

    def _scaled(self, bound: float) -> float:
        return convert(str(bound), self.unit, self.vartype)[0]


def settings_of(rows: list[Any]) -> dict[str, Setting]:
    """The rows that the server has given, by name."""
    return {row["name"]: Setting(**row) for row in rows}


def names() -> list[str]:
    """What has to be asked for, whatever the machine."""
    any_machine = Machine(memory_bytes=GB, cpus=1, disk=Disk.SSD, workload=Workload.DW)
    return [*figures(any_machine), CONNECTIONS, "wal_segment_size", "allow_alter_system", "data_directory"]


def advise(
    target: str,
    machine: Machine,
    settings: Mapping[str, Setting],
    *,
    asked_connections: bool = False,
    standby: bool = False,
) -> list[Advice]:
    """What to change, with the statement; last how it comes into force. `asked_connections`: a person named them."""
    judge = _Judge(target, machine, settings)
    found = list(judge.connections(asked=asked_connections and not standby))
    for name, figure in figures(machine).items():
        if name in settings and not (standby and name in ON_PRIMARY_FIRST):
            found += judge.one(settings[name], figure)
    return [*found, *judge.ending(found)]


class _Judge:
    """One server's settings under judgement."""

    def __init__(self, target: str, machine: Machine, settings: Mapping[str, Setting]) -> None:
        self.target = target
        self.machine = machine
        self.settings = settings
        system = settings.get("allow_alter_system")
        self.by_file = system is not None and system.setting == "off"

    def connections(self, *, asked: bool) -> Iterator[Advice]:
        """As many as were asked for; and a word where the memory does not bear them."""
        present = self.settings.get(CONNECTIONS)
        if present is None:
            return
        if asked and not present.pending_restart and present.value != self.machine.connections:
            yield self._set(present, f"{self.machine.connections}")
        bearable = bearable_connections(self.machine)
        if self.machine.connections > bearable:
            values = {"connections": str(self.machine.connections), "bearable": str(bearable)}
            reason = "settings.too_many_connections"
            yield self._advice(CONNECTIONS, "check", reason, present=present.shown, **values)

    def one(self, setting: Setting, figure: Figure) -> Iterator[Advice]:
        """Nothing, where the setting will do."""
        if setting.pending_restart or setting.source in OF_OTHERS:
            return
        if isinstance(figure.wanted, str):
            if figure.good is None or not figure.good(setting.setting):
                yield self._set(setting, figure.wanted)
            return
        wanted = setting.within(figure.wanted)
        if wanted == setting.value or _will_do(setting, figure):
            return
        yield self._set(setting, setting.written(wanted))

    def ending(self, found: list[Advice]) -> Iterator[Advice]:
        """What brings it all into force."""
        changed = [self.settings[advice.subject] for advice in found if advice.action == "set"]
        if changed:
            yield self._advice("pg_reload_conf", "reload", "settings.reload", run="SELECT pg_reload_conf();")
        waiting = [s.name for s in changed if s.needs_restart]
        waiting += [s.name for s in self.settings.values() if s.pending_restart]
        if waiting:
            yield self._advice("postgresql", "restart", "settings.restart", names=", ".join(waiting))

    def _set(self, setting: Setting, wanted: str) -> Advice:
        name = setting.name
        literal = quote_literal(wanted)
        line = f"{name} = {literal}" if self.by_file else f"ALTER SYSTEM SET {name} = {literal};"
        return self._advice(
            name,
            "set",
            f"settings.{name}",
            run=line,
            present=setting.shown,
            wanted=wanted,
            restart="yes" if setting.needs_restart else "no",
        )

    def _advice(
        self, subject: str, action: str, reason: str, *, run: str = "", present: str = "", wanted: str = "", **also: str
    ) -> Advice:
        machine = self.machine
        values = {
            "memory": size_text(machine.memory_bytes),
            "cpus": str(machine.cpus),
            "disk": machine.disk.upper(),
            "connections": str(machine.connections),
            **also,
        }
        return Advice(
            target=self.target,
            subject=subject,
            action=action,
            reason=reason,
            values=values,
            run=run,
            present=present,
            wanted=wanted,
        )


def _will_do(setting: Setting, figure: Figure) -> bool:
    if setting.source == "default":
        return figure.fit
    return figure.lowest <= setting.value <= figure.highest


def _size(size_bytes: int) -> str:
    """As PostgreSQL writes sizes: whole units of 1024."""
    for unit, name in ((GB, "GB"), (MB, "MB")):
        if size_bytes >= unit and size_bytes % unit == 0:
            return f"{size_bytes // unit}{name}"
    return f"{size_bytes // KB}kB"


def _span(seconds: float) -> str:
    for unit, name in _SPANS[:-1]:
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:g}{name}"
    unit, name = _SPANS[-1]
    return f"{seconds / unit:g}{name}"
