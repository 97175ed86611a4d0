"""Claims about systemd/: judged by systemd's own tools, offline."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.skips import IMPOSSIBLE

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason=f"{IMPOSSIBLE}systemd is not installed"),
]
FOLDER = Path(__file__).parents[2] / "systemd"
UNIT = FOLDER / "toban.service"
MOST_EXPOSURE = 2.0


def verified(unit: Path) -> subprocess.CompletedProcess[str]:
    """What `systemd-analyze verify` makes of a unit, without the units around it."""
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def exposure(unit: Path) -> float:
    """The overall exposure, from the weights of the single findings as systemd sums them up."""
    threshold = f"--threshold={MOST_EXPOSURE * 10:.0f}"
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", threshold, str(unit)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    overall = next(line for line in ended.stdout.splitlines() if "Overall exposure level" in line)
    assert (ended.returncode == 0) == (float(overall.split(":")[1].split()[0]) <= MOST_EXPOSURE)
    return float(overall.split(":")[1].split()[0])


def settings() -> dict[str, list[str]]:
    """The unit's settings, by name."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def changed(tmp_path: Path, before: str, after: str) -> Path:
    """A copy of the unit that differs in one place."""
    text = UNIT.read_text()
    assert before in text
    copy = tmp_path / "toban.service"
    copy.write_text(text.replace(before, after, 1))
    return copy


def test_unit_leaves_verify_nothing_to_say() -> None:
    """The shipped file as it is; `env` is what it starts, so this holds where Toban is not installed too."""
    ended = verified(UNIT)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_verify_would_find_an_unknown_setting(tmp_path: Path) -> None:
    """The check above can fail."""
    assert "NoSuchSetting" in verified(changed(tmp_path, "Type=notify\n", "Type=notify\nNoSuchSetting=1\n")).stderr


def test_unit_is_exposed_at_most_2_of_10() -> None:
    """What systemd itself thinks of the hardening."""
    assert exposure(UNIT) <= MOST_EXPOSURE


def test_exposure_would_find_a_missing_protection(tmp_path: Path) -> None:
    """The check above can fail."""
    assert exposure(changed(tmp_path, "CapabilityBoundingSet=\n", "")) > MOST_EXPOSURE


def test_unit_lets_toban_do_its_work() -> None:
    """Hardening that costs what Toban is for would be a mistake that no tool finds."""
    unit = settings()
    assert unit["ProtectProc"] == ["default"]  # all processes, for the largest by memory
    assert unit["ProtectHome"] == ["read-only"]  # SQLite files and mounts there
    assert unit["ReadWritePaths"] == ["-/var/backups/toban"]
    assert set(unit["RestrictAddressFamilies"][0].split()) >= {"AF_UNIX", "AF_INET", "AF_INET6"}
    assert "PrivateNetwork" not in unit


def test_unit_brings_a_dead_or_hung_daemon_back() -> None:
    """Always restarted, without a limit of attempts, but not over a configuration that is wrong (exit status 2)."""
    unit = settings()
    assert unit["Restart"] == ["always"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert int(unit["WatchdogSec"][0]) > 0
    assert "2" in unit["RestartPreventExitStatus"][0].split()
    assert int(unit["TimeoutStopSec"][0]) > 10


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason=f"{IMPOSSIBLE}no systemd-sysusers")
def test_account_of_the_service_is_made_by_the_shipped_file(tmp_path: Path) -> None:
    """`User=` of the unit is the account that sysusers.conf makes."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "toban.conf").write_text((FOLDER / "sysusers.conf").read_text())
    command = ["systemd-sysusers", f"--root={tmp_path}", str(tmp_path / "toban.conf")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    accounts = [line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()]
    assert [account[0] for account in accounts] == settings()["User"]
    assert accounts[0][5] == "/var/lib/toban"
