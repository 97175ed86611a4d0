"""Pressure stall information (PSI): the share of time in which work waited for processor, memory or disk.

Kernels before 4.20, those built without it and those started with `psi=0` have none.
"""

from collectors.host.machine import HostMachine
from toban.outcomes import Gap
from toban.samples import Batch, Metric, Type, Unit

RESOURCES = ("cpu", "io", "memory")

PRESSURE_RATIO = Metric(
    name="toban_host_pressure_ratio",
    help="Share of the last ten seconds in which some or all work waited for the resource.",
    unit=Unit.RATIO,
    labels=("resource", "kind"),
)
PRESSURE_SECONDS = Metric(
    name="toban_host_pressure_seconds_total",
    help="Time in which some or all work waited for the resource.",
    type=Type.COUNTER,
    unit=Unit.SECONDS,
    labels=("resource", "kind"),
)


def add_pressure(batch: Batch, machine: HostMachine) -> Gap | None:
    """Every resource's pressure, or why there is none."""
    for resource in RESOURCES:
        try:
            text = machine.read(f"pressure/{resource}")
        except OSError as error:
            return machine.gap("pressure", error)
        for line in text.splitlines():
            kind, ratio, seconds = parse_line(line)
            if (resource, kind) == ("cpu", "full"):
                continue  # undefined for a whole machine; the kernel prints zeros
            batch.add(PRESSURE_RATIO, ratio, resource, kind)
            batch.add(PRESSURE_SECONDS, seconds, resource, kind)
    return None


def parse_line(line: str) -> tuple[str, float, float]:
    """`some avg10=1.50 avg60=… avg300=… total=2000000` as kind, ratio and seconds."""
    kind, *pairs = line.split()
    values = dict(pair.split("=", 1) for pair in pairs)
    return kind, float(values["avg10"]) / 100, int(values["total"]) / 1e6
