"""Probes: what a client of a service would see, from this machine. A service that is down is a value, not a failure."""

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from collectors.contract import Collector, Kind
from collectors.host.machine import HostMachine
from collectors.host.probing.attempt import DISTRUSTED, Attempt
from collectors.host.probing.clients import attempt_http, attempt_tcp, distrusted_certificate, ends_at, trust_of
from collectors.host.probing.settings import ProbesSettings
from toban.clock import Clock
from toban.samples import Batch, Findings, Metric, Type, Unit

if TYPE_CHECKING:
    import ssl

ANSWER_SHARE = 0.85  # of the timeout; the rest is for the certificate that was refused, and to say so
CERTIFICATE_SHARE = 0.1

UP = Metric(name="toban_probe_up", help="1 when the probe had the answer it wants", labels=("probe",), kept=True)
DURATION = Metric(
    name="toban_probe_duration_seconds",
    help="How long the last attempt took: connect (the name looked up too), tls, first_byte from the request on, total",
    unit=Unit.SECONDS,
    labels=("probe", "phase"),
    kept=True,
)
STATUS = Metric(name="toban_probe_status_code", help="The HTTP status of the last answer", labels=("probe",))
ATTEMPTS = Metric(
    name="toban_probe_attempts_total", help="Attempts since the start", type=Type.COUNTER, labels=("probe",)
)
ERRORS = Metric(
    name="toban_probe_errors_total",
    help="Attempts since the start that had no answer, or not the one that is wanted",
    type=Type.COUNTER,
    labels=("probe",),
)
ERROR_RATIO = Metric(
    name="toban_probe_error_ratio",
    help="Share of the last attempts, as many as the window of the probe, that failed",
    unit=Unit.RATIO,
    labels=("probe",),
    kept=True,
)
EXPIRES = Metric(
    name="toban_probe_certificate_expires_timestamp_seconds",
    help="When the certificate that the probe was shown ends, in seconds since 1970, be it trusted or not",
    unit=Unit.SECONDS,
    labels=("probe",),
)


class ProbesCollector(Collector[HostMachine, ProbesSettings]):
    """One address."""

    name = "probes"
    purpose = "Whether a service answers, how fast, and with what: as its clients see it."
    kind = Kind.HOST
    listed = True
    metrics: ClassVar = (UP, DURATION, STATUS, ATTEMPTS, ERRORS, ERROR_RATIO, EXPIRES)
    settings_model = ProbesSettings
    asks = False  # it asks a service, not the host

    def __init__(self, source: HostMachine, settings: ProbesSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self.lane = self.title  # a service that hangs keeps no other probe waiting
        self._trust: ssl.SSLContext | None = None
        self._attempts = 0
        self._errors = 0
        self._last: deque[bool] = deque(maxlen=settings.window)

    async def collect(self) -> Findings:
        """Attempt once."""
        attempt = await self._attempted()
        self._attempts += 1
        self._errors += attempt.fault is not None
        self._last.append(attempt.fault is not None)
        batch, name = Batch(self.clock.now()), self.settings.name
        batch.add(UP, attempt.fault is None, name)
        for phase, seconds in attempt.seconds.items():
            batch.add(DURATION, seconds, name, phase)
        batch.add(STATUS, attempt.status, name)
        batch.add(ATTEMPTS, self._attempts, name)
        batch.add(ERRORS, self._errors, name)
        batch.add(ERROR_RATIO, sum(self._last) / len(self._last), name)
        batch.add(EXPIRES, attempt.expires_at, name)
        return Findings(samples=batch.samples, gaps=() if attempt.fault is None else (attempt.fault.gap,))

    async def _attempted(self) -> Attempt:
        seconds = self.settings.timeout * ANSWER_SHARE
        if self.settings.url.parts.scheme == "tcp":
            attempt = Attempt(self.clock)
            await attempt_tcp(self.settings, attempt, seconds)
            return attempt
        if self._trust is None:
            make = partial(trust_of, self.settings)
            self._trust = await self.source.blocking.run(self.title, make, timeout_seconds=self.settings.timeout)
        attempt = Attempt(self.clock)
        await attempt_http(self.settings, self._trust, attempt, seconds)
        if attempt.fault is not None and attempt.fault.cause == DISTRUSTED:
            shown = await distrusted_certificate(self.settings, self.settings.timeout * CERTIFICATE_SHARE)
            attempt.expires_at = ends_at(shown) if shown else None
            self._trust = None  # its root may be new in the file since that was read
        return attempt
