"""`python -m bench.backups_beside`: what making backups does to whoever lives beside it.

How quickly `toban wal push` takes segments, beside `cp` and `sync`; how much the daemon's memory grows while it backs
up 1.5 GB; and what a base backup does to the slowest transactions of the application, beside pg_basebackup by hand.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median
from typing import Final

import yaml

from bench.backups import SCALE, Shop, shop
from bench.processes import memory
from bench.quantiles import percentile
from bench.subjects import TOBAN, free_port

SEGMENTS: Final = 40
PUSH_RATIO: Final = 2.0
PUSHES_A_SECOND: Final = 20.0
GROWTH_BYTES: Final = 20 * 10**6
SETTLE_SECONDS: Final = 20.0
LOAD_SECONDS: Final = 40
LOAD_RATE: Final = 200
LATENCY_RATIO: Final = 1.1  # two tails are never equal twice


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.backups_beside", description=__doc__)
    parser.add_argument("--scale", type=int, default=SCALE, help="smaller, for work on the bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--steps", nargs="+", choices=("push", "memory", "latency"), default=["push", "memory", "latency"]
    )
    options = parser.parse_args()
    steps = {"push": pushes, "memory": grown, "latency": beside}
    with shop("pgbench", options.scale) as there:
        verdicts = [steps[step](there, options.rounds) for step in options.steps]
    return 0 if all(verdicts) else 1


def pushes(there: Shop, rounds: int) -> bool:
    """One call a segment, as archive_command makes it, one after the other."""
    segments = _segments(there)
    config = _configuration(there, wal=True)
    asyncio.run(there.keeper.open())  # archiving begins no repository of its own
    bare, ours = [], []
    for number in range(rounds):
        copies = there.folder / f"copies{number}"
        copies.mkdir()
        bare.append(_each(segments, f"cp $1 {copies}/ && sync {copies}/$(basename $1) {copies}"))
        shutil.rmtree(there.folder / "repository" / "main" / "wal", ignore_errors=True)
        ours.append(_each(segments, f"{TOBAN} -c {config} wal push $1"))
    ratio, rate = median(ours) / median(bare), 1 / median(ours)
    well = ratio <= PUSH_RATIO or rate >= PUSHES_A_SECOND
    print(
        f"wal push, a segment of 16 MB: {median(ours) * 1000:.1f} ms ({rate:.1f} a second), cp and sync "
        f"{median(bare) * 1000:.1f} ms, ratio {ratio:.2f}; goal ≤ 2 or ≥ 20 a second: {_word(well)}",
        flush=True,
    )
    return well


def _each(segments: list[Path], script: str) -> float:
    """Seconds for one of them, on the average."""
    began = time.perf_counter()
    for one in segments:
        subprocess.run(["/bin/sh", "-c", script, "sh", one], check=True)
    return (time.perf_counter() - began) / len(segments)


def _segments(there: Shop) -> list[Path]:
    """Real ones, full of a real load's changes."""
    there.cluster.configure(wal_keep_size="8GB")
    there.cluster.psql("CREATE TABLE filled AS SELECT n, md5(n::text) FROM generate_series(1, 9000000) n", "bench")
    there.cluster.psql("SELECT pg_switch_wal(); CHECKPOINT")
    current = there.cluster.psql("SELECT pg_walfile_name(pg_current_wal_lsn())")
    found = sorted(one for one in (there.cluster.data_dir / "pg_wal").glob("0*") if one.name < current)
    return found[-SEGMENTS:]


def grown(there: Shop, _rounds: int) -> bool:
    """The daemon's own memory, before and at its most while it makes a dump and a base backup."""
    config = _configuration(there)
    with subprocess.Popen([TOBAN, "-c", config, "run"], stderr=subprocess.DEVNULL) as daemon:
        try:
            time.sleep(SETTLE_SECONDS)
            before, most, over = memory(daemon.pid).own_bytes, [0], threading.Event()

            def watch() -> None:
                while not over.wait(0.2):
                    most[0] = max(most[0], memory(daemon.pid).own_bytes)

            watching = threading.Thread(target=watch, daemon=True)
            watching.start()
            for job in ("dump", "base"):
                subprocess.run([TOBAN, "-c", config, "backup", "run", job], check=True, stdout=subprocess.DEVNULL)
            over.set()
            watching.join()
        finally:
            daemon.terminate()
    growth = most[0] - before
    well = growth <= GROWTH_BYTES
    print(
        f"memory: {before / 1e6:.0f} MB before, {growth / 1e6:+.1f} MB at the most; goal ≤ 20 MB: {_word(well)}",
        flush=True,
    )
    return well


def beside(there: Shop, rounds: int) -> bool:
    """The 99th percentile of the application's transactions while a base backup is made, turn about."""
    dsn, config, by_hand = there.cluster.dsn(), _configuration(there), there.folder / "by-hand"
    flags = "-Ft -X stream -c fast --manifest-checksums=SHA256 --compress=client-zstd:1"
    ways = {
        "alone": "sleep 1",
        "pg_basebackup": f"rm -rf {by_hand}; {there.cluster.bin_dir}/pg_basebackup -D {by_hand} -d '{dsn}' {flags}",
        "Toban": f"{TOBAN} -c {config} backup run base >/dev/null",
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, command in ways.items():
            found[name].append(asyncio.run(_loaded(there, command)))
    ratio = median(found["Toban"]) / median(found["pg_basebackup"])
    well = ratio <= LATENCY_RATIO
    told = ", ".join(f"{name} {median(values):.1f} ms" for name, values in found.items())
    print(f"p99 of the application: {told}; ratio {ratio:.2f}, goal ≤ {LATENCY_RATIO}: {_word(well)}", flush=True)
    return well


async def _loaded(there: Shop, command: str) -> float:
    """The p99 in milliseconds of a steady load of which most has a backup beside it."""
    log = there.folder / "latency"
    shutil.rmtree(log, ignore_errors=True)
    log.mkdir()
    words = ["-n", "-c", "4", "-R", str(LOAD_RATE), "-T", str(LOAD_SECONDS), "-l", "--log-prefix", str(log / "log")]
    load = await asyncio.create_subprocess_exec(
        str(there.cluster.bin_dir / "pgbench"), *words, there.cluster.dsn("bench"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    await asyncio.sleep(2)
    again = f"end=$(($(date +%s) + {LOAD_SECONDS - 6})); while [ $(date +%s) -lt $end ]; do {command}; done"
    busy = await asyncio.create_subprocess_exec("/bin/sh", "-c", again, stderr=subprocess.DEVNULL)
    await load.wait()
    await busy.wait()
    lines = [line for file in log.iterdir() for line in file.read_text().splitlines()]
    return percentile([int(line.split()[2]) / 1000 for line in lines], 0.99)


def _configuration(there: Shop, *, wal: bool = False) -> Path:
    """A configuration file that leads to the same server and repository."""
    jobs = [one.model_dump(mode="json", exclude_unset=True, by_alias=True) for one in there.keeper.plan.jobs]
    if wal:
        jobs.append({"name": "wal", "target": "main", "method": "wal", "mode": "archive"})
    tree = {
        "state": f"sqlite://{there.folder}/state/state.db",
        "http": {"listen": f"127.0.0.1:{free_port()}"},
        "targets": [{"name": "main", "kind": "postgresql", "dsn": there.cluster.dsn()}],
        "backups": {"repository": str(there.folder / "repository"), "jobs": jobs},
    }
    (there.folder / "state").mkdir(exist_ok=True)  # the daemon's, which keeps there what makes `wal push` quick
    path = there.folder / "config.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(tree))))
    os.chmod(path, 0o644)  # noqa: PTH101 - it holds no secret
    return path


def _word(well: bool) -> str:  # noqa: FBT001 - a verdict
    return "met" if well else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
