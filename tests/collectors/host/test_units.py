"""Units of systemd, by a program that speaks as `systemctl show` does; and by the machine's own, where that refuses."""

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from collectors.host import units
from collectors.host.machine import HostMachine
from collectors.host.units import FAILED, RESTARTS, UNIT_STATE, UNIT_UP, UnitsCollector, UnitsSettings, show
from tests.builders import ManualClock
from toban.outcomes import Gap, Reason
from toban.samples import Findings, Metric

Systemctl = Callable[[str], Path]

# As systemd 252 prints it: a block for each unit, an empty line between two, properties in its own order.
SHOWN = """\
Id=postgresql@16-main.service
LoadState=loaded
ActiveState=active
NRestarts=2

Id=toban.service
LoadState=loaded
ActiveState=failed
NRestarts=5

Id=toban.timer
LoadState=loaded
ActiveState=active

Id=cron.service
LoadState=loaded
ActiveState=activating
NRestarts=0

Id=gone.service
LoadState=not-found
ActiveState=inactive
NRestarts=0
"""


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    """Puts a program of that name first on PATH: a shell script, which notes what it was asked."""
    (tmp_path / "booted").mkdir()
    monkeypatch.setattr(units, "BOOTED", tmp_path / "booted")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def write(script: str) -> Path:
        program, asked = tmp_path / "systemctl", tmp_path / "asked"
        program.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n{script}\n')
        program.chmod(0o755)
        return asked

    return write


def speaking(shown: str, failed: str = "NFailedUnits=1") -> str:
    """A script that answers both questions."""
    return f"case $* in *NFailedUnits*) echo '{failed}';; *) cat <<'END'\n{shown}END\n;; esac"


async def measured(**given: object) -> Findings:
    """One turn."""
    return await UnitsCollector(HostMachine(), UnitsSettings.model_validate(given), ManualClock()).collect()


def series(found: Findings, metric: Metric) -> dict[tuple[str, ...], float]:
    """All series of a metric."""
    return {sample.labels: sample.value for sample in found.samples if sample.metric is metric}


async def test_units_are_told_as_systemd_sees_them(systemctl: Systemctl) -> None:
    """Up or not, in which state, how often restarted; and how many of the machine have failed."""
    asked = systemctl(speaking(SHOWN))
    found = await measured(units=["postgresql@*", "toban.service", "toban.timer", "cron", "gone"])
    up = {name: value for (name,), value in series(found, UNIT_UP).items()}
    assert up == {
        "postgresql@16-main.service": 1.0,
        "toban.service": 0.0,
        "toban.timer": 1.0,
        "cron.service": 0.0,
        "gone.service": 0.0,
    }
    assert series(found, UNIT_STATE) == {
        ("postgresql@16-main.service", "active"): 1.0,
        ("toban.service", "failed"): 1.0,
        ("toban.timer", "active"): 1.0,
        ("cron.service", "activating"): 1.0,
        ("gone.service", "not-found"): 1.0,
    }
    assert series(found, RESTARTS) == {
        ("postgresql@16-main.service",): 2.0,
        ("toban.service",): 5.0,
        ("cron.service",): 0.0,
    }
    assert series(found, FAILED) == {(): 1.0}
    hint = "is its name right, in `units` of `collect: units:`?"
    assert found.gaps == (
        Gap(what="unit gone.service", reason=Reason.NOT_FOUND, detail="systemd knows no such unit", hint=hint),
    )
    wanted = "postgresql@* toban.service toban.timer cron.service gone.service"
    assert asked.read_text().splitlines() == [
        "show --no-pager --property=NFailedUnits",
        f"show --no-pager --property=Id,LoadState,ActiveState,NRestarts -- {wanted}",
    ]


async def test_failed_units_are_counted_by_default(systemctl: Systemctl) -> None:
    """One question, and no series of a unit."""
    asked = systemctl(speaking(SHOWN, "NFailedUnits=3"))
    found = await measured()
    assert [(s.metric, s.value) for s in found.samples] == [(FAILED, 3.0)]
    assert found.gaps == ()
    assert len(asked.read_text().splitlines()) == 1


async def test_pattern_that_finds_nothing_is_a_gap(systemctl: Systemctl) -> None:
    """Systemd does not say so by itself."""
    systemctl(speaking(SHOWN))
    found = await measured(units=["redis*", "toban*"])
    assert [(gap.what, gap.reason) for gap in found.gaps if gap.what.startswith("units")] == [
        ("units redis*", Reason.NOT_FOUND)
    ]


async def test_units_are_bounded(systemctl: Systemctl) -> None:
    """A pattern may find hundreds."""
    systemctl(speaking(SHOWN))
    found = await measured(units=["*"], top=2)
    assert set(series(found, UNIT_UP)) == {("cron.service",), ("gone.service",)}
    assert [(gap.what, gap.count) for gap in found.gaps] == [("unit gone.service", 1), ("units beyond 2", 3)]


async def test_answer_without_a_number_leaves_no_sample(systemctl: Systemctl) -> None:
    """A systemd too old to know the property, or a newer one that puts it otherwise."""
    systemctl(speaking("Id=a.service\nNRestarts=[not set]\n", "SomethingElse=1"))
    found = await measured(units=["a"])
    assert [(s.metric, s.labels, s.value) for s in found.samples] == [
        (UNIT_UP, ("a.service",), 0.0),
        (UNIT_STATE, ("a.service", "unknown"), 1.0),
    ]


async def test_machine_without_systemd_is_told_and_nothing_started(systemctl: Systemctl, tmp_path: Path) -> None:
    """As in a container: unsupported, no error and no process."""
    asked = systemctl(speaking(SHOWN))
    (tmp_path / "booted").rmdir()
    with pytest.raises(FileNotFoundError) as error:
        await measured(units=["cron"])
    failure = HostMachine().explain(error.value)
    assert (failure.reason, failure.detail) == (Reason.UNSUPPORTED, "systemd is not running here")
    assert not asked.exists()


async def test_program_that_hangs_is_ended(systemctl: Systemctl) -> None:
    """In time, and it is gone."""
    asked = systemctl("echo $$ >> $0.pid; exec sleep 600")
    found = await measured(timeout=2.0)
    assert [(gap.what, gap.reason, gap.detail) for gap in found.gaps] == [("units", Reason.TIMEOUT, "no answer")]
    assert found.samples == ()
    pid = int(asked.with_name("systemctl.pid").read_text())
    assert not psutil.pid_exists(pid)


async def test_program_that_floods_is_ended(systemctl: Systemctl) -> None:
    """A megabyte is more than anybody means."""
    systemctl("exec yes")
    found = await measured(timeout=30.0)
    assert [(gap.reason, gap.detail) for gap in found.gaps] == [
        (Reason.UNSUPPORTED, "systemctl says more than 1048576 bytes")
    ]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'Failed to connect to bus: Host is down' >&2; exit 1", "Failed to connect to bus: Host is down"),
        ("exit 4", "systemctl ended with status 4"),
    ],
)
async def test_program_that_refuses_is_quoted(systemctl: Systemctl, script: str, said: str) -> None:
    """In its own words, where it has some."""
    systemctl(script)
    found = await measured()
    assert [(gap.what, gap.reason, gap.detail) for gap in found.gaps] == [("units", Reason.UNSUPPORTED, said)]


async def test_program_that_is_missing_is_told(
    systemctl: Systemctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Systemd runs, but not for this PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    found = await measured()
    assert [(gap.reason, gap.detail) for gap in found.gaps] == [
        (Reason.UNSUPPORTED, "systemctl cannot be started: No such file or directory")
    ]


@pytest.mark.integration
async def test_machines_own_systemctl_takes_the_question() -> None:
    """The real one: it answers where systemd is PID 1, and elsewhere says that it is not."""
    if not any((Path(folder) / "systemctl").exists() for folder in os.environ["PATH"].split(":")):
        pytest.skip("this machine cannot: no systemctl")
    if units.BOOTED.is_dir():
        (manager,) = await show("--property=NFailedUnits")
        assert manager["NFailedUnits"].isdecimal()
    else:
        with pytest.raises(units.SystemctlError, match=r"systemd|bus"):
            await show("--property=NFailedUnits")
