"""What goes over the network interfaces, and what is lost there."""

from typing import ClassVar

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.host.machine import HostMachine
from collectors.host.patterns import any_of
from toban.clock import Clock
from toban.printable import printable
from toban.samples import Batch, Findings, Metric, Type, Unit

VIRTUAL = ("lo", "veth*", "docker*", "br-*", "virbr*", "vnet*", "tap*", "cali*", "cni*", "flannel*", "dummy*", "ifb*")
HEADER_LINES = 2


def _counter(what: str, help_text: str, unit: Unit = Unit.NONE) -> Metric:
    return Metric(
        name=f"toban_host_network_{what}_total", help=help_text, type=Type.COUNTER, unit=unit, labels=("interface",)
    )


# In the order of /proc/net/dev: four counters of what came in, and eight further on four of what went out.
RECEIVED = (
    _counter("received_bytes", "Bytes that came in.", Unit.BYTES),
    _counter("received_packets", "Packets that came in."),
    _counter("received_errors", "Packets that came in broken."),
    _counter("received_drops", "Packets that came in and were dropped."),
)
SENT = (
    _counter("sent_bytes", "Bytes that went out.", Unit.BYTES),
    _counter("sent_packets", "Packets that went out."),
    _counter("sent_errors", "Packets that could not be sent."),
    _counter("sent_drops", "Packets that were dropped before they were sent."),
)
SENT_OFFSET = 8


class NetworkSettings(CollectorSettings):
    """Interfaces that are left out; patterns as in a shell."""

    exclude: tuple[str, ...] = VIRTUAL


class NetworkCollector(Collector[HostMachine, NetworkSettings]):
    """Every interface that is not purely virtual."""

    name = "network"
    purpose = "Whether a link is full or loses packets; what replication and backups move."
    kind = Kind.HOST
    lane = "kernel"
    metrics: ClassVar = (*RECEIVED, *SENT)
    settings_model = NetworkSettings

    def __init__(self, source: HostMachine, settings: NetworkSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._exclude = any_of(settings.exclude)

    async def collect(self) -> Findings:
        """Measure once."""
        batch = Batch(self.clock.now())
        for line in self.source.read("net/dev").splitlines()[HEADER_LINES:]:
            name, _, counters = line.rpartition(":")  # an alias has a colon of its own
            interface = printable(name.strip())
            if self._exclude.match(interface):
                continue
            values = [int(word) for word in counters.split()]
            for metric, value in zip(RECEIVED, values, strict=False):
                batch.add(metric, value, interface)
            for metric, value in zip(SENT, values[SENT_OFFSET:], strict=False):
                batch.add(metric, value, interface)
        return Findings(samples=batch.samples)
