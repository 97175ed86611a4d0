"""Claims about how well the machine is guarded. Ports and apt are real; programs that are not here are scripts."""

import asyncio
import json
import os
import shutil
import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from collectors.host.machine import HostMachine
from collectors.host.programs import Programs
from collectors.host.security import collector as security
from collectors.host.security.collector import (
    FIREWALL,
    LISTS_AGE,
    OTHER_UPDATES,
    PORTS,
    REBOOT,
    SECURITY_UPDATES,
    UNEXPECTED,
    UNEXPECTED_INFO,
    VULNERABLE,
    SecurityCollector,
    SecuritySettings,
)
from tests.builders import START, ManualClock
from tests.collectors.host.test_guards import APT, DNF, IPTABLES, NFT, TCP
from tests.waiting import eventually_sync
from toban.findings import Finding, Severity
from toban.outcomes import Reason
from toban.samples import Findings, Metric

DAY_SECONDS = 86400.0
AUDIT = {
    "dependencies": [
        {
            "name": "flask",
            "version": "0.5",
            "vulns": [
                {"id": "PYSEC-2019-179", "fix_versions": ["1.0"], "aliases": ["CVE-2019-1010083"], "description": "x"},
                {"id": "PYSEC-2018-66", "fix_versions": [], "aliases": [], "description": "y"},
            ],
        },
        {"name": "jinja2", "version": "3.0.2", "vulns": []},
        {"name": "local", "skip_reason": "not found"},
    ],
    "fixes": [],
}


def a_program(folder: Path, name: str, body: str) -> None:
    """A script in the place of a program; built-in words of the shell alone, since nothing else is on its PATH."""
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def says(text: str, *, status: int = 0, to: int = 1) -> str:
    """A script's body that prints this."""
    return f"while IFS= read -r line; do printf '%s\\n' \"$line\" >&{to}; done <<'END'\n{text}\nEND\nexit {status}"


def a_collector(folder: Path, clock: ManualClock, **settings: object) -> SecurityCollector:
    """A collector that finds only the programs of this folder, and whose root is there too."""
    found = SecurityCollector(HostMachine(), SecuritySettings.model_validate(settings), clock)
    found.programs, found.root, found.patience_seconds = Programs((str(folder),)), folder, 60.0
    return found


async def collected(folder: Path, clock: ManualClock, **settings: object) -> Findings:
    """One turn."""
    return await a_collector(folder, clock, **settings).collect()


def value(findings: Findings, metric: Metric, *labels: str) -> float | None:
    """The value of one series."""
    found = [sample.value for sample in findings.samples if sample.metric is metric and sample.labels == labels]
    assert len(found) <= 1
    return found[0] if found else None


def reasons(findings: Findings) -> dict[str, Reason]:
    """The gaps by what they are about."""
    return {gap.what: gap.reason for gap in findings.gaps}


def rows(findings: Findings, what: str) -> dict[str, tuple[Severity, dict[str, str]]]:
    """The findings of a kind by subject."""
    found = [row for row in findings.rows if isinstance(row, Finding) and row.what == what]
    return {row.subject: (row.severity, dict(row.values)) for row in found}


@pytest.mark.integration
async def test_unexpected_port_is_found_with_its_program(tmp_path: Path, manual_clock: ManualClock) -> None:
    """This process listens on one port that is expected and on one that is not."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        expected, port = one.getsockname()[1], other.getsockname()[1]
        findings = await collected(tmp_path, manual_clock, expected=[expected], loopback=True)
        quiet = await collected(tmp_path, manual_clock, expected=[expected])
    name = Path("/proc/self/comm").read_text().strip()  # noqa: ASYNC240 - the kernel's memory
    assert value(findings, UNEXPECTED_INFO, str(port), "127.0.0.1", name) == 1
    told = rows(findings, "port_unexpected")
    assert told[f"port {port}"] == (Severity.INFO, {"address": "127.0.0.1", "program": name})
    assert f"port {expected}" not in told
    assert (value(findings, UNEXPECTED) or 0) >= 1
    assert (value(findings, PORTS, "loopback") or 0) >= 2
    assert f"port {port}" not in rows(quiet, "port_unexpected")


@pytest.mark.integration
async def test_ports_are_told_and_not_judged_unless_some_are_expected(
    tmp_path: Path, manual_clock: ManualClock
) -> None:
    """Nobody has said what is right: no number to raise an alert on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        findings = await collected(tmp_path, manual_clock, loopback=True)
        subject = f"port {listener.getsockname()[1]}"
    assert rows(findings, "port_open")[subject][0] is Severity.INFO
    assert value(findings, UNEXPECTED) is None
    assert not [sample for sample in findings.samples if sample.metric is UNEXPECTED_INFO]


async def test_port_open_to_others_is_graver_and_its_program_may_be_hidden(
    tmp_path: Path, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's table names no process that we may look at; and no more are told than anybody reads."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(TCP)
    collector = a_collector(tmp_path, manual_clock, expected=[22])
    collector.source.proc = tmp_path
    findings = await collector.collect()
    assert rows(findings, "port_unexpected") == {
        "port 443": (Severity.WARNING, {"address": "192.168.1.10", "program": "?"}),
        "port 5432": (Severity.WARNING, {"address": "0.0.0.0", "program": "?"}),  # noqa: S104 - as above
    }
    assert value(findings, UNEXPECTED) == 2
    assert reasons(findings)["programs of ports"] is Reason.PRIVILEGE
    monkeypatch.setattr(security, "MOST_TOLD", 1)
    assert len(rows(await collector.collect(), "port_unexpected")) == 1


async def test_kernel_without_a_table_is_a_gap(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Without IPv6 there is one table; without any nothing is known."""
    collector = a_collector(tmp_path, manual_clock)
    collector.source.proc = tmp_path
    findings = await collector.collect()
    assert reasons(findings)["listening ports"] is Reason.UNSUPPORTED
    assert value(findings, PORTS, "any") is None


@pytest.mark.integration
async def test_apt_of_this_machine_says_what_waits(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Simulated, without a lock and without root; Toban counts the lines that apt counts."""
    apt = shutil.which("apt-get")
    if apt is None:
        pytest.skip("this machine cannot: no apt-get")
    a_program(tmp_path, "apt-get", f'{apt} "$@" | /usr/bin/tee {tmp_path}/said')
    collector = a_collector(tmp_path, manual_clock)
    collector.programs = Programs((str(tmp_path), "/usr/sbin", "/usr/bin", "/sbin", "/bin"))
    collector.patience_seconds = 60.0
    findings = await collector.collect()
    lines = [line for line in (tmp_path / "said").read_text().splitlines() if line.startswith("Inst ")]
    secure = [line for line in lines if "security" in line.lower().partition("(")[2]]
    assert value(findings, SECURITY_UPDATES) == len(secure)
    assert value(findings, OTHER_UPDATES) == len(lines) - len(secure)
    assert len(rows(findings, "update_security")) == min(len(secure), 50)


async def test_machine_without_any_of_the_programs_says_so(tmp_path: Path, manual_clock: ManualClock) -> None:
    """No package manager, no firewall, no pip-audit: three reasons, no zero that would look like good news."""
    findings = await collected(tmp_path, manual_clock, environments=["toban"])
    expected = dict.fromkeys(("updates", "firewall", "packages of toban"), Reason.UNSUPPORTED)
    assert expected.items() <= reasons(findings).items()
    assert value(findings, SECURITY_UPDATES) is value(findings, FIREWALL) is value(findings, LISTS_AGE) is None
    assert value(findings, REBOOT) == 0


async def test_dnf_is_asked_where_there_is_no_apt(tmp_path: Path, manual_clock: ManualClock) -> None:
    """It tells of security alone; when it fails, its words are told."""
    a_program(tmp_path, "dnf", says(DNF))
    findings = await collected(tmp_path, manual_clock)
    assert (value(findings, SECURITY_UPDATES), value(findings, OTHER_UPDATES)) == (2, None)
    assert list(rows(findings, "update_security")) == ["openssl-libs-3.2.2-1.fc40.x86_64", "vim-9.1-1.fc40.x86_64"]
    for name in ("dnf", "apt-get"):
        a_program(tmp_path, name, says("cache is empty", status=1, to=2))
        (gap,) = [gap for gap in (await collected(tmp_path, manual_clock)).gaps if gap.what == "updates"]
        assert (gap.reason, gap.detail) == (Reason.UNSUPPORTED, f"{name} ended with 1: cache is empty")


async def test_dear_questions_are_asked_once_a_day(tmp_path: Path, manual_clock: ManualClock) -> None:
    """In between their answers are remembered."""
    a_program(tmp_path, "apt-get", f"printf x >> {tmp_path}/asked; {says(APT)}")
    collector = a_collector(tmp_path, manual_clock)
    for _ in range(23):
        assert value(await collector.collect(), SECURITY_UPDATES) == 2
        manual_clock.advance(3600)
    assert (tmp_path / "asked").read_text() == "x"
    manual_clock.advance(3600)
    await collector.collect()
    assert (tmp_path / "asked").read_text() == "xx"


async def test_turn_waits_for_no_errand_and_the_source_takes_it_along(
    tmp_path: Path, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is still to come, which is told; closing the source ends the program with all its children."""
    a_program(tmp_path, "apt-get", f"printf $$ > {tmp_path}/number; /bin/sleep 300 & wait")
    collector = a_collector(tmp_path, manual_clock)
    collector.patience_seconds = 0.01
    monkeypatch.setattr(security, "REST_SECONDS", 0)
    assert reasons(await collector.collect())["updates"] is Reason.UNANSWERED
    await asyncio.to_thread(
        eventually_sync, lambda: (tmp_path / "number").exists() and (tmp_path / "number").read_text()
    )
    manual_clock.advance(2 * DAY_SECONDS)
    assert reasons(await collector.collect())["updates"] is Reason.UNANSWERED
    number = int((tmp_path / "number").read_text())
    await collector.source.close()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    assert not collector.source.errands


async def test_program_that_fails_to_answer_is_a_gap(
    tmp_path: Path, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in its own words: too late, too much, not to be run."""
    monkeypatch.setattr("collectors.host.security.updates.TIMEOUT_SECONDS", 0.05)
    a_program(tmp_path, "apt-get", "/bin/sleep 300")
    a_program(tmp_path, "nft", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done")
    (tmp_path / "pip-audit").write_text("#!/no/such/interpreter\n")
    (tmp_path / "pip-audit").chmod(0o755)
    monkeypatch.setattr("collectors.host.programs.MOST_BYTES", 1000)
    found = reasons(await collected(tmp_path, manual_clock, environments=["toban"]))
    assert found["updates"] is Reason.TIMEOUT
    assert found["firewall"] is found["packages of toban"] is Reason.UNSUPPORTED


async def test_old_lists_and_a_reboot_are_told(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Nine days: what came out since is not known. A package asked for a reboot."""
    (tmp_path / "var/lib/apt/lists/partial").mkdir(parents=True)
    os.utime(tmp_path / "var/lib/apt/lists/partial", (START - 9 * DAY_SECONDS,) * 2)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/reboot-required").touch()
    findings = await collected(tmp_path, manual_clock)
    assert value(findings, LISTS_AGE) == 9 * DAY_SECONDS
    assert value(findings, REBOOT) == 1
    assert rows(findings, "lists_old") == {"updates": (Severity.WARNING, {"days": "9"})}
    assert rows(findings, "reboot_package") == {"reboot": (Severity.WARNING, {})}


@pytest.mark.parametrize(
    ("program", "output", "rules"), [("nft", NFT, 5), ("iptables-save", IPTABLES, 2), ("nft", "", 0)]
)
async def test_firewall_is_asked(
    tmp_path: Path, manual_clock: ManualClock, program: str, output: str, rules: int
) -> None:
    """Without a single rule everybody comes in, and that is told."""
    a_program(tmp_path, program, says(output))
    findings = await collected(tmp_path, manual_clock)
    assert value(findings, FIREWALL) == rules
    assert bool(rows(findings, "firewall_none")) is (rules == 0)


@pytest.mark.parametrize(
    ("program", "complaint", "reason"),
    [
        ("nft", "Operation not permitted (you must be root)", Reason.PRIVILEGE),
        ("iptables-save", "Permission denied (you must be root)", Reason.PRIVILEGE),
        ("iptables-save", "", Reason.UNSUPPORTED),
    ],
)
async def test_firewall_that_cannot_be_asked_is_a_gap(
    tmp_path: Path, manual_clock: ManualClock, program: str, complaint: str, reason: Reason
) -> None:
    """Its rules are for root's eyes."""
    a_program(tmp_path, program, says(complaint, status=4, to=2))
    findings = await collected(tmp_path, manual_clock)
    assert reasons(findings)["firewall"] is reason
    assert value(findings, FIREWALL) is None


def an_environment(folder: Path) -> Path:
    """A virtual environment, as far as pip-audit is shown it."""
    (folder / "lib/python3.11/site-packages").mkdir(parents=True)
    return folder


async def test_vulnerable_packages_are_counted_and_named(tmp_path: Path, manual_clock: ManualClock) -> None:
    """As pip-audit's documentation has its JSON; it ends with 1 when it found something."""
    a_program(tmp_path, "pip-audit", f'echo "$@" > {tmp_path}/asked; {says(json.dumps(AUDIT), status=1)}')
    environment = an_environment(tmp_path / "venv")
    findings = await collected(tmp_path, manual_clock, environments=[str(environment)])
    assert value(findings, VULNERABLE, str(environment)) == 1
    known = "PYSEC-2019-179 (1.0), PYSEC-2018-66 (-)"
    assert rows(findings, "package_vulnerable") == {
        "flask 0.5": (Severity.WARNING, {"environment": str(environment), "known": known})
    }
    asked = f"--format json --progress-spinner off --path {environment}/lib/python3.11/site-packages\n"
    assert (tmp_path / "asked").read_text() == asked


async def test_audit_that_fails_is_a_gap(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Without a network its last words are told; a folder that is no environment is not asked about."""
    a_program(tmp_path, "pip-audit", says("ConnectionError: no route to host", status=1, to=2))
    findings = await collected(tmp_path, manual_clock, environments=["toban", str(tmp_path)])
    told = {gap.what: (gap.reason, gap.detail) for gap in findings.gaps}
    assert told["packages of toban"] == (
        Reason.UNREACHABLE,
        "pip-audit ended with 1: ConnectionError: no route to host",
    )
    assert told[f"packages of {tmp_path}"] == (Reason.NOT_FOUND, f"{tmp_path} is no virtual environment")


@pytest.mark.parametrize("settings", [{"expected": [0]}, {"expected": [70000]}, {"expected": ["ssh"]}])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    """A port is a number of sixteen bits."""
    with pytest.raises(ValidationError):
        SecuritySettings.model_validate(settings)
