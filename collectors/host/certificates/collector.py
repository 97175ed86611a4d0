"""When certificates end: those in files, and those that live servers show. An expired one is read like any other."""

import glob
import itertools
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from collectors.blocking import StuckError
from collectors.contract import Collector, EntrySettings, Kind
from collectors.host.certificates.handshake import NoTlsError, mistrust, shown_certificate
from collectors.host.certificates.x509 import NoCertificateError, Read, read_certificates
from collectors.host.files.walking import read_start
from collectors.host.machine import HostMachine
from toban.config import AbsolutePath, Duration, misfit
from toban.findings import Finding, Severity
from toban.outcomes import Failure, Gap, Reason
from toban.printable import printable
from toban.samples import Batch, Findings, Metric, Unit

MOST_FILES = 200
MOST_BYTES = 4 * 1024 * 1024
MOST_LETTERS = 100  # of a subject
PORT_MAX = 65535
DAY_SECONDS = 86400.0
_LABELS = ("certificate", "source", "subject")

EXPIRES_AT = Metric(
    name="toban_certificate_expires_timestamp_seconds",
    help="When the certificate ends, in seconds since 1970",
    unit=Unit.SECONDS,
    labels=_LABELS,
)
EXPIRES_IN = Metric(
    name="toban_certificate_expires_in_seconds",
    help="Time until the certificate ends; below zero once it has ended",
    unit=Unit.SECONDS,
    labels=_LABELS,
    kept=True,
)
TRUSTED = Metric(
    name="toban_certificate_trusted",
    help="1 when a client would trust what the live server shows: its chain and its name",
    labels=("certificate", "source"),
)
FOUND = Metric(
    name="toban_certificates",
    help="Certificates that were read; the soonest to end have series",
    labels=("certificate",),
)


class CertificatesSettings(EntrySettings):
    """Where certificates are: in files, or at an endpoint."""

    every: Duration = 3600.0
    timeout: Duration = 20.0
    path: str | None = Field(default=None, pattern="^/")
    endpoint: str | None = None
    server_name: str | None = None
    starttls: Literal["none", "postgresql", "smtp", "imap", "pop3", "ftp"] = "none"
    authorities: AbsolutePath | None = None
    soon: Duration = 30 * DAY_SECONDS
    top: int = Field(default=20, ge=1, le=500)

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "CertificatesSettings":
        if (self.path is None) == (self.endpoint is None):
            raise misfit("wants either `path` or `endpoint`")
        if self.endpoint is not None and _place(self.endpoint) is None:
            raise misfit("is no host:port; write db1:5432 or [::1]:5432", "endpoint")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One certificate and where it is."""

    source: str
    read: Read


class CertificatesCollector(Collector[HostMachine, CertificatesSettings]):
    """One entry of `certificates`."""

    name = "certificates"
    purpose = "How long certificates are still good, in files and at live servers, and whether they are trusted."
    kind = Kind.HOST
    listed = True
    lane = "certificates"
    metrics: ClassVar = (EXPIRES_AT, EXPIRES_IN, TRUSTED, FOUND)
    settings_model = CertificatesSettings

    async def collect(self) -> Findings:
        """Read what is there, in a thread: a name server, a server and a disk may all be slow."""
        settings = self.settings
        look = self._shown if settings.endpoint is not None else self._in_files
        try:
            seen, gaps, trusted = await self.source.blocking.run(
                self.title, look, timeout_seconds=settings.timeout * 0.9
            )
        except (TimeoutError, StuckError) as error:
            return Findings(samples=(), gaps=(self._gap(settings.endpoint or settings.path or "", error),))
        return self._findings(seen, gaps, trusted)

    def _findings(self, seen: list[Seen], gaps: list[Gap], trusted: bool | None) -> Findings:  # noqa: FBT001 - what was found
        batch, name = Batch(self.clock.now()), self.settings.name
        batch.add(FOUND, len(seen), name)
        soonest: dict[tuple[str, str], Seen] = {}
        for one in sorted(seen, key=lambda one: one.read.ends_at):
            soonest.setdefault((one.source, _short(one.read.subject)), one)
        for (source, subject), one in itertools.islice(soonest.items(), self.settings.top):
            batch.add(EXPIRES_AT, one.read.ends_at, name, source, subject)
            batch.add(EXPIRES_IN, one.read.ends_at - batch.taken_at, name, source, subject)
        batch.add(TRUSTED, trusted, name, self.settings.endpoint or "")
        rows = itertools.islice(self._endings(list(soonest.values()), batch.taken_at), self.settings.top)
        return Findings(samples=batch.samples, gaps=tuple(gaps), rows=tuple(rows))

    def _endings(self, seen: list[Seen], now: float) -> Iterator[Finding]:
        for one in seen:
            left = one.read.ends_at - now
            values = {"source": one.source, "days": f"{abs(left) / DAY_SECONDS:.0f}"}
            subject = _short(one.read.subject)
            if one.read.begins_at > now:
                yield Finding(severity=Severity.WARNING, subject=subject, what="certificate_early", values=values)
            if left <= 0:
                yield Finding(severity=Severity.CRITICAL, subject=subject, what="certificate_ended", values=values)
            elif left < self.settings.soon:
                yield Finding(severity=Severity.WARNING, subject=subject, what="certificate_ends", values=values)

    def _in_files(self) -> tuple[list[Seen], list[Gap], None]:
        paths = sorted(itertools.islice(glob.iglob(self.settings.path or ""), MOST_FILES + 1))  # noqa: PTH207 - a pattern from the root
        seen, gaps = list[Seen](), list[Gap]()
        for path in paths[:MOST_FILES]:
            try:
                found, unreadable = read_certificates(read_start(path, MOST_BYTES))
                seen += [Seen(source=printable(path), read=read) for read in found]
                gaps += [_unreadable(path, unreadable)] * bool(unreadable)
            except (NoCertificateError, OSError) as error:
                gaps.append(self._gap(path, error))
        if not paths:
            detail = "no file is called so, or Toban's user may not see it"
            gaps.append(Gap(what=printable(self.settings.path or ""), reason=Reason.NOT_FOUND, detail=detail))
        if len(paths) > MOST_FILES:
            detail = f"the pattern names more than {MOST_FILES} files"
            gaps.append(Gap(what="files", reason=Reason.UNSUPPORTED, detail=detail, hint="narrow `path`"))
        return seen, gaps, None

    def _shown(self) -> tuple[list[Seen], list[Gap], bool | None]:
        settings, place = self.settings, self.settings.endpoint or ""
        host, port = _place(place) or ("", 0)
        name = settings.server_name or host
        ask = {"starttls": settings.starttls, "server_name": name, "timeout_seconds": settings.timeout / 3}
        try:
            (read,), _ = read_certificates(shown_certificate(host, port, **ask))  # type: ignore[arg-type]  # all by name
        except (NoTlsError, NoCertificateError, OSError, ValueError) as error:  # the last: a host that none can have
            return [], [self._gap(place, error)], None
        seen = [Seen(source=place, read=read)]
        try:
            why_not = mistrust(host, port, **ask, authorities=settings.authorities)  # type: ignore[arg-type]  # likewise
        except (NoTlsError, OSError) as error:  # when it ends is known all the same
            return seen, [self._gap(f"trust in {place}", error)], None
        gaps = [_distrusted(place, why_not)] if why_not else []
        if not read.is_for(name):
            made_out = f"it is made out to {', '.join(read.names[:5]) or 'no name at all'}, not to {name}"
            gaps.append(_distrusted(place, printable(made_out)))
        return seen, gaps, not gaps

    def _gap(self, what: str, error: Exception) -> Gap:
        failure = self._explain(error)
        return Gap(what=printable(what), reason=failure.reason, detail=failure.detail, hint=failure.hint)

    def _explain(self, error: Exception) -> Failure:
        """The network's reasons are not those of the kernel's files."""
        detail = printable(str(error))[:300] or type(error).__name__
        if isinstance(error, NoCertificateError):
            return Failure(reason=Reason.CORRUPT, detail=detail)
        if isinstance(error, NoTlsError | ssl.SSLError):
            return Failure(reason=Reason.UNSUPPORTED, detail=detail, hint="is `starttls` right for this port?")
        if isinstance(error, FileNotFoundError):
            missing = f"there is no file {self.settings.authorities}; is `authorities` right?"
            return Failure(reason=Reason.NOT_FOUND, detail=detail if self.settings.endpoint is None else missing)
        if self.settings.endpoint is None or isinstance(error, StuckError):
            return self.source.explain(error)
        if isinstance(error, TimeoutError):
            return Failure(reason=Reason.UNANSWERED, detail=detail, hint="is `starttls` right for this port?")
        return Failure(reason=Reason.UNREACHABLE, detail=detail, hint="is the server running, and `endpoint` right?")


def _place(endpoint: str) -> tuple[str, int] | None:
    """Host and port of `db1:5432` or `[::1]:5432`."""
    host, _, port = endpoint.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    bare = ":" in host and not endpoint.startswith("[")
    if not host or bare or not port.isascii() or not port.isdigit() or not 0 < int(port) <= PORT_MAX:
        return None
    return host, int(port)


def _unreadable(path: str, count: int) -> Gap:
    detail = "they cannot be read; the others of the same file are"
    return Gap(what=f"certificates in {printable(path)}", reason=Reason.CORRUPT, count=count, detail=detail)


def _distrusted(place: str, detail: str) -> Gap:
    return Gap(
        what=f"trust in {place}",
        reason=Reason.AUTHENTICATION,
        detail=detail,
        hint="renew the certificate, or name who signed it in `authorities` and the host in `server_name`",
    )


def _short(subject: str) -> str:
    return printable(subject)[:MOST_LETTERS]
