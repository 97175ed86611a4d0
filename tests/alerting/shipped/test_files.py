"""Rules about files, certificates, logs, probes, units and security: each fires and clears on the real thing.

systemd, a firewall and pip-audit are no part of a test machine: programs of their names speak as they do.
"""

import asyncio
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from alerting.own import COLLECTOR, EventCounts
from collectors.checkpoints import Checkpoints
from collectors.host import units
from collectors.host.certificates.collector import CertificatesCollector, CertificatesSettings
from collectors.host.files.collector import FilesCollector, FilesSettings
from collectors.host.machine import HostMachine
from collectors.host.units import UnitsCollector, UnitsSettings
from collectors.logs.collector import Logs
from collectors.logs.settings import LogsSettings
from tests.alerting.shipped.judging import Judging, Look, judging
from tests.authority import DAY_SECONDS, Authority
from tests.builders import START, ManualClock, a_collection
from tests.collectors.host.probing.services import OK, a_probe, service
from tests.collectors.host.test_guards import NFT
from tests.collectors.host.test_security import AUDIT, a_collector, a_program, says
from tests.collectors.host.tls_server import serving
from tests.collectors.logs.followed import write
from tests.parting import parted
from tests.ports import free_port
from toban.alerts import Severity
from toban.clock import SystemClock
from toban.config import WRITTEN

pytestmark = pytest.mark.integration


def looking(judge: Judging, collector: Any, before: Callable[[], Any] | None = None) -> Look:  # noqa: ANN401 - any collector
    """A look with it, after something that happens each time."""

    async def look() -> None:
        if before is not None:
            before()
        await judge.look(collector)

    return look


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A root of the test's own."""
    if shutil.which("openssl") is None:
        pytest.skip("this machine cannot: no openssl")
    (tmp_path / "authority").mkdir()
    return Authority(tmp_path / "authority")


@pytest.mark.parametrize("name", ["certificate", "certificate_ends"])
async def test_certificate_near_its_end_fires_and_clears(
    name: str, authority: Authority, tmp_path: Path, manual_clock: ManualClock
) -> None:
    """It ends in twenty days, or ended yesterday; it is renewed in place."""
    judge, severity, ends_in = {
        "certificate": (judging("certificate", manual_clock), Severity.WARNING, 20),
        "certificate_ends": (judging("certificate_ends", manual_clock), Severity.CRITICAL, -1),
    }[name]
    used = tmp_path / "used.pem"
    collector = CertificatesCollector(HostMachine(), CertificatesSettings(name="web", path=str(used)), manual_clock)
    look = looking(judge, collector)
    fine = authority.pair("web", ends_at=START + 300 * DAY_SECONDS).cert.read_text()
    used.write_text(fine)
    await judge.stays_quiet(look)
    old = authority.pair("web", ends_at=manual_clock.now() + ends_in * DAY_SECONDS)
    used.write_text(old.cert.read_text())
    await judge.fires(look, severity, "web", str(used), "web")
    used.write_text(fine)
    await judge.clears(look)


async def test_certificate_that_nobody_trusts_fires_and_clears(authority: Authority, manual_clock: ManualClock) -> None:
    """A live server shows one that signed itself, and then one that the root has signed."""
    own = authority.self_signed("/CN=own")
    ends_at = int(SystemClock().now()) + 100 * DAY_SECONDS
    fine = authority.pair("fine", ends_at=ends_at)
    judge = judging("certificate_untrusted", manual_clock)

    def at(port: int) -> CertificatesCollector:
        settings = CertificatesSettings(name="web", endpoint=f"127.0.0.1:{port}", authorities=authority.cert)
        return CertificatesCollector(HostMachine(), settings, manual_clock)

    with serving(own) as port:
        await judge.fires(looking(judge, at(port)), Severity.WARNING, "web", f"127.0.0.1:{port}")
    with serving(fine) as port:
        await judge.clears(looking(judge, at(port)))


def files(path: Path, clock: ManualClock, **settings: object) -> FilesCollector:
    """An entry called `some`."""
    found = FilesSettings.model_validate({"name": "some", "path": str(path), **settings})
    return FilesCollector(HostMachine(), found, clock)


@pytest.mark.parametrize("name", ["files_large", "files_permissions", "files_secrets"])
async def test_file_that_is_not_as_it_should_be_fires_and_clears(
    name: str, tmp_path: Path, manual_clock: ManualClock
) -> None:
    """A log of 101 MB, a key that others read, a password in a configuration; then it is mended."""
    folder = tmp_path / "some"
    folder.mkdir()
    file = folder / "app.conf"
    file.write_text("[app]\nlevel = info\n")
    file.chmod(0o600)

    def spoil() -> None:
        if name == "files_large":
            os.truncate(file, 101 * 1024**2)
        elif name == "files_permissions":
            file.chmod(0o666)
        else:
            file.write_text("[app]\npassword = hunter2hunter2\n")

    cases: dict[str, tuple[Judging, dict[str, Any]]] = {
        "files_large": (judging("files_large", manual_clock), {}),
        "files_permissions": (judging("files_permissions", manual_clock), {"mode": "0640"}),
        "files_secrets": (judging("files_secrets", manual_clock), {"secrets": True}),
    }
    judge, settings = cases[name]
    look = looking(judge, files(file, manual_clock, **settings))
    await judge.stays_quiet(look)
    spoil()
    await judge.fires(look, Severity.WARNING, "some")
    file.write_text("[app]\nlevel = info\n")
    file.chmod(0o600)
    await judge.clears(look)


async def test_changed_file_fires_and_clears_by_itself(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Its event is counted as the daemon does it; an hour later it is history."""
    file, counts = tmp_path / "postgresql.conf", EventCounts()
    file.write_text("work_mem = 4MB\n")
    judge = judging("files_changed", manual_clock)
    collector = files(file, manual_clock, changes=True)

    async def look() -> None:
        found = await judge.look(collector)
        counts.note(a_collection(target="main", collector="files:some", rows=found.rows))
        own = counts.samples("main", manual_clock.now())
        judge.hear(a_collection(*own, target="main", collector=COLLECTOR, taken_at=manual_clock.now()))

    await judge.stays_quiet(look)
    file.write_text("work_mem = 64MB\n")
    await judge.fires(look, Severity.WARNING, "file_changed")
    await judge.clears(look)


def log(folder: Path, clock: ManualClock, **settings: object) -> Logs:
    """A log called `app`."""
    folder.mkdir(exist_ok=True)
    (folder / "app.log").touch()
    written = {"name": "app", "path": str(folder / "app.log"), **settings}
    machine = HostMachine(checkpoints=Checkpoints(folder / "checkpoints", "host"))
    return Logs(machine, LogsSettings.model_validate(written, context=WRITTEN), clock)


async def test_errors_in_a_log_fire_and_clear_by_themselves(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Sixty at once; ten minutes later they are history."""
    judge = judging("log_errors", manual_clock)
    collector = log(tmp_path / "logs", manual_clock, level=r"^\[(\w+)\]", from_start=True)
    write(tmp_path / "logs/app.log", "[error] the first\n")
    look = looking(judge, collector)
    await judge.stays_quiet(look)
    write(tmp_path / "logs/app.log", "[error] no answer\n" * 60)
    await judge.fires(look, Severity.WARNING, "error", "app")
    await judge.clears(look)


async def test_panic_in_a_log_fires_and_clears_by_itself(tmp_path: Path, manual_clock: ManualClock) -> None:
    """One line, of a level that this log never had; a day later it is history."""
    judge = judging("log_panic", manual_clock)
    judge.step_seconds = 3600.0
    collector = log(tmp_path / "logs", manual_clock, format="postgresql", from_start=True)
    look = looking(judge, collector)
    await judge.stays_quiet(look)
    at = datetime.fromtimestamp(manual_clock.now(), UTC).strftime("%Y-%m-%d %H:%M:%S.000 UTC")
    write(tmp_path / "logs/app.log", f"{at} [7] PANIC:  could not locate a valid checkpoint record\n")
    write(tmp_path / "logs/app.log", f"{at} [7] LOG:  startup process was terminated by signal 6\n")
    await judge.fires(look, Severity.CRITICAL, "panic", "app")
    await judge.clears(look)


async def test_attack_on_a_login_fires_and_clears(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Twenty times 401 from one address; a day later it is history."""
    judge = judging("brute_force", manual_clock)
    judge.step_seconds = 3600.0
    collector = log(tmp_path / "logs", manual_clock, format="combined", from_start=True, logins={"path": "*/login"})
    look = looking(judge, collector)
    await judge.stays_quiet(look)

    def line(second: int) -> str:
        at = datetime.fromtimestamp(manual_clock.now() + second, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
        return f'203.0.113.7 - - [{at}] "POST /login HTTP/1.1" 401 12 "-" "curl"\n'

    write(tmp_path / "logs/app.log", "".join(line(second) for second in range(20)))
    await judge.fires(look, Severity.WARNING, "app")
    await judge.clears(look)


@pytest.mark.parametrize("name", ["probe_down", "probe_errors"])
async def test_service_that_is_down_fires_and_clears(name: str, manual_clock: ManualClock) -> None:
    """It answers, then nobody is there, then it answers again; on one port all the time."""
    judge = {
        "probe_down": judging("probe_down", manual_clock),
        "probe_errors": judging("probe_errors", manual_clock),
    }[name]
    port = free_port()
    probe = a_probe(f"http://127.0.0.1:{port}/health", manual_clock)
    look = looking(judge, probe)
    async with answering(port, OK):
        await judge.stays_quiet(look)
    await judge.fires(look, Severity.CRITICAL, "api")
    async with answering(port, OK):
        for _ in range(25):
            await look()
        await judge.clears(look)


@asynccontextmanager
async def answering(port: int, says: bytes) -> AsyncIterator[None]:
    """A service on a port that is known beforehand."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(says)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", port)
    yield
    await parted(server)


async def test_service_that_is_slow_fires_and_clears(manual_clock: ManualClock) -> None:
    """It takes three seconds by the test's clock, which goes on while it answers; then no time."""
    judge = judging("probe_slow", manual_clock)
    takes = {"seconds": 0.0}

    async def pause(*_: object) -> None:
        manual_clock.advance(takes["seconds"])

    async with service(pause, OK) as one:
        look = looking(judge, a_probe(f"http://127.0.0.1:{one.port}/", manual_clock))
        await judge.stays_quiet(look)
        takes["seconds"] = 3.0
        await judge.fires(look, Severity.WARNING, "total", "api")
        takes["seconds"] = 0.0
        await judge.clears(look)


class Systemd:
    """A program that speaks as `systemctl show` does, for one unit."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._program = folder / "systemctl"
        (folder / "booted").mkdir()
        monkeypatch.setattr(units, "BOOTED", folder / "booted")
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        self.say()

    def say(self, *, state: str = "active", restarts: int = 0, failed: int = 0) -> None:
        """How it stands."""
        unit = f"Id=shop.service\\nLoadState=loaded\\nActiveState={state}\\nNRestarts={restarts}\\n"
        body = f"case $* in *NFailedUnits*) echo NFailedUnits={failed};; *) printf '{unit}';; esac"
        self._program.write_text(f"#!/bin/sh\n{body}\n")
        self._program.chmod(0o755)


@pytest.mark.parametrize("name", ["unit_down", "unit_restarting", "units_failed"])
async def test_unit_in_trouble_fires_and_clears(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manual_clock: ManualClock
) -> None:
    """It failed, or is started over and over; then it runs."""
    systemd = Systemd(tmp_path, monkeypatch)
    cases: dict[str, tuple[Judging, Severity, tuple[str, ...], dict[str, Any], dict[str, Any]]] = {
        "unit_down": (
            judging("unit_down", manual_clock), Severity.CRITICAL, ("shop.service",), {"state": "failed"}, {}),
        "unit_restarting": (
            judging("unit_restarting", manual_clock), Severity.WARNING, ("shop.service",), {"restarts": 5},
            {"restarts": 5}),
        "units_failed": (judging("units_failed", manual_clock), Severity.WARNING, (), {"failed": 2}, {}),
    }  # fmt: skip
    judge, severity, labels, trouble, mended = cases[name]
    look = looking(judge, UnitsCollector(HostMachine(), UnitsSettings(units=("shop.service",)), manual_clock))
    await judge.stays_quiet(look)
    systemd.say(**trouble)
    await judge.fires(look, severity, *labels)
    systemd.say(**mended)
    await judge.clears(look)


async def test_unexpected_port_fires_and_clears(tmp_path: Path, manual_clock: ManualClock) -> None:
    """This process listens where nobody expects it; then it stops."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = str(door.getsockname()[1])
        judge = judging("unexpected_port", manual_clock, where={"port": port})
        collector = a_collector(tmp_path, manual_clock, expected=[1], loopback=True)
        program = Path("/proc/self/comm").read_text().strip()  # noqa: ASYNC240 - the kernel's memory
        await judge.fires(looking(judge, collector), Severity.WARNING, "127.0.0.1", port, program)
    await judge.clears(looking(judge, collector))


UPDATES = "Inst libssl3 [3.0.1-1] (3.0.2-1 Debian-Security:12/stable-security [amd64])"


@pytest.mark.parametrize("name", ["security_updates", "firewall", "vulnerable_packages", "reboot_required"])
async def test_machine_that_is_badly_guarded_fires_and_clears(
    name: str, tmp_path: Path, manual_clock: ManualClock
) -> None:
    """An update waits, the firewall is open, a package is vulnerable, a reboot is due; then it is mended."""
    safe: dict[str, list[str]] = {"dependencies": [], "fixes": []}
    judge, severity, labels, bad, good = {
        "security_updates": (
            judging("security_updates", manual_clock), Severity.WARNING, (), ("apt-get", UPDATES), ("apt-get", "")),
        "firewall": (
            judging("firewall", manual_clock), Severity.WARNING, (), ("nft", ""), ("nft", NFT)),
        "vulnerable_packages": (
            judging("vulnerable_packages", manual_clock), Severity.WARNING, (str(tmp_path / "venv"),),
            ("pip-audit", json.dumps(AUDIT)), ("pip-audit", json.dumps(safe))),
        "reboot_required": (judging("reboot_required", manual_clock), Severity.INFO, (), ("", ""), ("", "")),
    }[name]  # fmt: skip
    (tmp_path / "venv/lib/python3.11/site-packages").mkdir(parents=True)
    settings = {"environments": [str(tmp_path / "venv")]} if name == "vulnerable_packages" else {}
    collector = a_collector(tmp_path, manual_clock, questions="1s", **settings)
    wanted = tmp_path / "var/run/reboot-required"
    wanted.parent.mkdir(parents=True)

    def set_to(program: tuple[str, str], *, reboot: bool) -> None:
        if program[0]:
            a_program(tmp_path, program[0], says(program[1]))
        if name == "reboot_required":
            wanted.touch() if reboot else wanted.unlink(missing_ok=True)

    set_to(good, reboot=False)
    look = looking(judge, collector)
    await judge.stays_quiet(look)
    set_to(bad, reboot=True)
    await judge.fires(look, severity, *labels)
    set_to(good, reboot=False)
    await judge.clears(look)
