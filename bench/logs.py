"""`python -m bench.logs`: how quickly a backlog is read, beside `wc -l` of the same file, and what it costs the loop.

For each format a file is written whose lines look like real ones, then read from its start by the collector as the
daemon runs it: in a thread, a turn at a time, while the event loop tells how late it is woken.
"""

import argparse
import asyncio
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import uvloop

from bench.quantiles import percentile
from collectors.checkpoints import Checkpoints
from collectors.host.machine import HostMachine
from collectors.logs.collector import Logs
from collectors.logs.settings import LogsSettings
from toban.clock import SystemClock

PULSE_SECONDS = 0.002
MEGABYTE = 1_000_000
SAMPLE_LINES = 20_000
ENTRIES: dict[str, dict[str, Any]] = {
    "jsonl": {"value": "analysis_duration_seconds", "match": {"event": "analysis done"}},
    "text": {"patterns": ({"name": "slow", "match": r"finished in (?P<ms>99\d) ms", "contains": " in 99"},)},
    "combined": {},
    "postgresql": {},
    "csvlog": {"format": "postgresql"},
    "jsonlog": {"format": "postgresql"},
}
ENDINGS = {"csvlog": "csv", "jsonlog": "json"}  # by which the collector tells the forms of PostgreSQL's log apart


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.logs", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="the size of each file")
    parser.add_argument("--formats", nargs="+", choices=ENTRIES, default=list(ENTRIES))
    options = parser.parse_args()
    print("| format | Toban | a CPU second | wc -l | ratio | loop lag p99 | most | memory grows by |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for form in options.formats:
        with tempfile.TemporaryDirectory(prefix="toban-bench-") as folder:
            log = Path(folder, f"backlog.{ENDINGS.get(form, 'log')}")
            lines = _fill(log, form, options.megabytes * MEGABYTE)
            _print(form, log, lines)


def _print(form: str, log: Path, lines: int) -> None:
    theirs = min(_wc(log) for _ in range(3))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        began = process_time()
        seconds, counted, lags, grown = runner.run(_measured(log, form))
        busy = process_time() - began
    if counted != lines:
        raise SystemExit(f"{form}: {counted} lines counted, {lines} written")
    size = log.stat().st_size / MEGABYTE
    p99 = percentile(lags, 0.99)
    print(
        f"| {form} | {size / seconds:.0f} MB/s | {size / busy:.0f} MB | {size / theirs:.0f} MB/s | "
        f"{theirs / seconds:.2f} | {p99 * 1000:.1f} ms | {max(lags) * 1000:.1f} ms | {grown / MEGABYTE:.1f} MB |",
        flush=True,
    )


async def _measured(log: Path, form: str) -> tuple[float, float, list[float], int]:
    """Seconds at work, lines counted, every lag of the loop, and growth of resident memory."""
    written: dict[str, Any] = {"name": "bench", "path": str(log), "format": form, "from_start": True} | ENTRIES[form]
    machine = HostMachine(checkpoints=Checkpoints(log.with_name("checkpoints")))
    collector = Logs(machine, LogsSettings.model_validate(written), SystemClock())
    lags: list[float] = []
    pulse = asyncio.create_task(_pulse(lags))
    await asyncio.sleep(0.1)
    before, behind, counted, seconds, most = _resident(), 1.0, 0.0, 0.0, 0
    while behind:
        started = perf_counter()
        found = await collector.collect()
        seconds += perf_counter() - started
        most = max(most, _resident())
        behind = next(s.value for s in found.samples if s.metric.name == "toban_log_behind_bytes")
        counted = sum(s.value for s in found.samples if s.metric.name == "toban_log_lines_total")
    pulse.cancel()
    return seconds, counted, lags, most - before


async def _pulse(lags: list[float]) -> None:
    while True:
        started = perf_counter()
        await asyncio.sleep(PULSE_SECONDS)
        lags.append(max(0.0, perf_counter() - started - PULSE_SECONDS))


def _resident() -> int:
    """What is resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def _wc(log: Path) -> float:
    started = perf_counter()
    subprocess.run(["wc", "-l", str(log)], check=True, capture_output=True)
    return perf_counter() - started


def _fill(log: Path, form: str, size: int) -> int:
    sample = "".join(f"{line}\n" for line in _lines(form)).encode()
    times = max(1, size // len(sample))
    with log.open("wb") as file:
        for _ in range(times):
            file.write(sample)
    return times * sample.count(b"\n")


def _lines(form: str) -> Iterator[str]:
    """Lines as programs write them, of about the usual length."""
    for number in range(SAMPLE_LINES):
        second, level = f"10:{number // 1200:02}:{number // 20 % 60:02}", _level(number)
        if form == "jsonl":
            yield _json_line(number, second, level)
        elif form == "text":
            yield (
                f"2026-11-20 {second},{number % 1000:03} {level} app.orders: request {number:016x} finished in "
                f"{number % 1000} ms for user {number % 977} on /api/v1/orders"
            )
        elif form == "combined":
            yield (
                f'10.0.{number // 256 % 256}.{number % 256} - - [20/Nov/2026:{second} +0000] "GET /orders/{number} '
                f'HTTP/1.1" {401 if number % 500 == 0 else 200} {number % 9999} "https://shop.example/cart" '
                '"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"'
            )
        else:
            yield _postgresql_line(form, number, f"2026-11-20 {second}.{number % 1000:03} UTC")


def _postgresql_line(form: str, number: int, written: str) -> str:
    slow, user, pid, session = number % 50 == 0, f"app{number % 10}", number % 977, f"691ee2a0.{number % 977:x}"
    message = (
        f"duration: {number % 1000}.1 ms"
        if slow
        else f"connection authorized: user={user} database=shop application_name=orders"
    )
    if form == "csvlog":
        return (
            f'{written},"{user}","shop",{pid},"10.0.0.7:40312",{session},2,"SELECT",2026-11-20 10:00:00 UTC,3/17,0,LOG,'
            f'00000,"{message}",,,,,,,,,"orders","client backend",,0'
        )
    if form == "jsonlog":
        fields = {
            "timestamp": written,
            "user": user,
            "dbname": "shop",
            "pid": pid,
            "remote_host": "10.0.0.7",
            "remote_port": 40312,
            "session_id": session,
            "line_num": 2,
            "ps": "SELECT",
            "session_start": "2026-11-20 10:00:00 UTC",
            "vxid": "3/17",
            "txid": 0,
            "error_severity": "LOG",
            "message": message,
            "application_name": "orders",
            "backend_type": "client backend",
            "query_id": 0,
        }
        return json.dumps(fields, separators=(",", ":"))
    return f"{written} [{pid}] LOG:  {message}"


def _json_line(number: int, second: str, level: str) -> str:
    return json.dumps(
        {
            "timestamp": f"2026-11-20T{second}.{number % 1000:03}Z",
            "level": level,
            "logger": "app.orders",
            "event": "analysis done" if number % 50 == 0 else "request finished",
            "request_id": f"{number:016x}",
            "duration_ms": number % 997,
            "analysis_duration_seconds": number % 100 / 10,
            "path": f"/api/v1/orders/{number}",
        }
    )


def _level(number: int) -> str:
    return "ERROR" if number % 100 == 0 else "WARNING" if number % 25 == 0 else "DEBUG" if number % 6 == 0 else "INFO"


if __name__ == "__main__":
    main()
