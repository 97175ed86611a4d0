"""Claims about processes whose memory only grows."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from collectors.host.growth import SPANS, Growth, Held
from collectors.host.machine import HostMachine
from collectors.host.processes import (
    PROCESS_GROWTH,
    TRACKED_FROM_BYTES,
    ProcessesCollector,
    ProcessesSettings,
    census,
    parse_started,
)
from tests.builders import ManualClock
from toban.samples import Findings

HOUR = 3600.0
MB = 1024**2


def a_process(size_mb: float, *, number: int = 7, started: int = 100, name: str = "leaky") -> Held:
    """One process at one moment."""
    return Held(number=number, started=started, name=name, size_bytes=int(size_mb * MB))


def after(sizes_mb: list[float], *, growth: Growth | None = None) -> dict[str, float]:
    """The rates after one look an hour."""
    found = growth or Growth(HOUR)
    for hour, size in enumerate(sizes_mb):
        found.note(hour * HOUR, [a_process(size)])
    return found.rates()


def test_growth_is_told_in_bytes_a_second() -> None:
    """100 MB, then 10 MB more each hour: the first hour is its start, six complete ones follow."""
    sizes = [100 + 10.0 * hour for hour in range(SPANS + 2)]
    assert after(sizes) == {"leaky": 50 * MB / (5 * HOUR)}
    assert after(sizes[:-1]) == {}


def test_growth_goes_on_being_told_by_the_latest_spans() -> None:
    """It leaked 10 MB an hour, and leaks 40 now: the last six hours count."""
    sizes = [100 + 10.0 * hour for hour in range(10)] + [190 + 40.0 * hour for hour in range(1, 8)]
    assert after(sizes) == {"leaky": 40 * MB / HOUR}


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([100, 110, 120, 115, 130, 140, 150, 160], id="fell once"),
        pytest.param([100, 110, 120, 120, 130, 140, 150, 160], id="stood once"),
        pytest.param([100, 101, 102, 103, 104, 105, 106, 107], id="a few megabytes"),
        pytest.param([4000, 4010, 4020, 4030, 4040, 4050, 4060, 4070], id="a hundredth of it"),
        pytest.param([500, 400, 300, 200, 100, 90, 80, 70], id="shrinks"),
    ],
)
def test_memory_that_does_not_only_grow_is_no_growth(sizes: list[float]) -> None:
    """It is watched, and fine."""
    assert after(sizes) == {"leaky": 0.0}


def test_swings_hide_no_growth() -> None:
    """It doubles and falls back within each hour; what is left rises hour by hour."""
    growth = Growth(HOUR)
    for hour in range(SPANS + 2):
        for minute, swing in ((0, 200), (20, 0), (40, 100)):
            growth.note(hour * HOUR + minute * 60, [a_process(100 + 20 * hour + swing)])
    assert growth.rates() == {"leaky": 100 * MB / (5 * HOUR)}


def test_process_of_the_same_number_is_another_one() -> None:
    """Numbers are given again: what started later has its own row."""
    growth = Growth(HOUR)
    for hour in range(SPANS + 2):
        growth.note(hour * HOUR, [a_process(100 + 10 * hour, started=100 if hour < 4 else 200)])
    assert growth.rates() == {}


def test_hours_that_nobody_looked_at_begin_the_row_anew() -> None:
    """The machine slept: what happened meanwhile is not known."""
    growth = Growth(HOUR)
    for hour in (0, 1, 2, 3, 4, 9, 10, 11, 12):
        growth.note(hour * HOUR, [a_process(100 + 10 * hour)])
    assert growth.rates() == {}
    for hour in range(13, 17):
        growth.note(hour * HOUR, [a_process(100 + 10 * hour)])
    assert growth.rates() == {"leaky": 10 * MB / HOUR}


def test_quickest_process_stands_for_its_program() -> None:
    """Of several of one name the worst is told."""
    growth = Growth(HOUR)
    for hour in range(SPANS + 2):
        growth.note(
            hour * HOUR, [a_process(100 + 10 * hour), a_process(100 + 30 * hour, number=8), a_process(100, number=9)]
        )
    assert growth.rates() == {"leaky": 30 * MB / HOUR}


@pytest.mark.parametrize(
    "stat", [b"7 (leaky) S 1 " + b"0 " * 17 + b"4711 0", b"7 (a) b (c) S 1 " + b"0 " * 17 + b"4711 0"]
)
def test_start_is_read_behind_any_name(stat: bytes) -> None:
    """Also one with blanks and brackets."""
    assert parse_started(stat) == 4711


@pytest.mark.integration
def test_large_process_of_this_machine_is_followed() -> None:
    """A real one of 50 MB is known by its number and its start, which agrees with the kernel's."""
    code = "import sys; own = bytearray(50 << 20); print('ready', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        found = {held.number: held for held in census(Path("/proc")).held}
        expected = parse_started(Path(f"/proc/{process.pid}/stat").read_bytes())
        process.communicate(b"\n", timeout=120)
    assert found[process.pid].started == expected
    assert found[process.pid].size_bytes >= 50 * MB
    assert all(held.size_bytes >= TRACKED_FROM_BYTES for held in found.values())


async def test_growing_process_has_a_series(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Seen by the collector over seven hours: 64 MB, and 6 MB more each hour. One that ended meanwhile is none."""
    (tmp_path / "1").mkdir()
    (tmp_path / "1/stat").write_text("1 (leaky) S 0 " + "0 " * 17 + "5 0")
    (tmp_path / "2").mkdir()
    (tmp_path / "2/status").write_text(f"Name:\tgone\nState:\tS (sleeping)\nRssAnon:\t{64 * 1024} kB\n")
    collector = ProcessesCollector(HostMachine(proc=tmp_path), ProcessesSettings(), manual_clock)
    manual_clock.advance(HOUR - manual_clock.monotonic() % HOUR)

    async def look(size_mb: int) -> Findings:
        (tmp_path / "1/status").write_text(f"Name:\tleaky\nState:\tS (sleeping)\nRssAnon:\t{size_mb * 1024} kB\n")
        return await collector.collect()

    for size_mb in itertools.islice(itertools.count(64, 6), SPANS + 1):
        findings = await look(size_mb)
        assert [s for s in findings.samples if s.metric is PROCESS_GROWTH] == []
        manual_clock.advance(HOUR)
    findings = await look(200)
    (sample,) = [s for s in findings.samples if s.metric is PROCESS_GROWTH]
    assert (sample.value, sample.labels) == (6 * MB / HOUR, ("leaky",))
