"""`python -m bench.backups`: what backups, restores and proofs cost beside the bare tools with the same flags.

Turn about, on the same server and the same disk: the bare tool and `sync`, then Toban, round after round; medians are
compared. Both data sets are of at least 1.5 GB: pgbench's, which packs well, and one that does not pack at all.
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

from backup.children import Children
from backup.engines.contract import Origin, Surroundings
from backup.keeper import Keeper
from backup.plan import planned
from backup.programs import Programs, as_account
from backup.repository.repository import Repository
from backup.restore import restorer_of
from backup.restore.restoring import Order, restoring
from backup.settings import Backups
from bench.machine import facts
from tests.clusters import Cluster
from tests.installations import installations
from toban.backups import BackupRecord, Progress, Verdict
from toban.clock import SystemClock
from toban.config import WRITTEN
from toban.secrets import Dsn

MAJOR: Final = 15
SCALE: Final = 105  # pgbench's: 1.57 GB with its indexes
NOISE_ROWS: Final = 210_000
NOISE_BYTES: Final = 7_600  # a row: one page each
LIMITS: Final = {"dump": 1.05, "base": 1.05, "restore dump": 1.05, "restore base": 1.05, "proof": 1.15}
SETTINGS: Final = {"shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "30min", "fsync": "on"}
DUMP: Final = {"name": "dump", "target": "main", "method": "dump", "databases": ["bench"], "verify": False, "nice": 0}
BASE: Final = {"name": "base", "target": "main", "method": "base", "verify": False, "nice": 0}
BY_HAND: Final = """
rm -rf scratch; mkdir -m 700 scratch
trap 'pg_ctl -D scratch/data -m immediate stop >/dev/null 2>&1; rm -rf scratch' EXIT
initdb -D scratch/data -U postgres -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
cat >>scratch/data/postgresql.conf <<'SETTINGS'
listen_addresses = ''
fsync = off
full_page_writes = off
synchronous_commit = off
shared_buffers = 256MB
wal_level = minimal
max_wal_senders = 0
max_wal_size = 8GB
SETTINGS
pg_ctl -D scratch/data -w -l scratch/log -o "-k $PWD/scratch" start >/dev/null
export PGHOST=$PWD/scratch PGUSER=postgres
createdb bench
zstd -qdc proof.zst | pg_restore -e -d bench
psql -qX -d bench -c 'create extension amcheck'
pg_amcheck --heapallindexed --parent-check -d bench
"""
Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The server, and both ways of keeping it."""

    cluster: Cluster
    folder: Path
    keeper: Keeper
    shell: "Shell"

    @property
    def around(self) -> Surroundings:
        """The world as the keeper has it."""
        return self.keeper.around


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """Programs as a person calls them, in a folder to throw away."""

    folder: Path
    bin_dir: Path

    def __call__(self, script: str) -> None:
        """Run a script; where it fails, so does the bench."""
        path = f"{self.bin_dir}:{os.environ['PATH']}"
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder, env={**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"}, check=False,
            capture_output=True, text=True, **as_account(),
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"bench: {script}\n{done.stderr[-2000:]}")


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.backups", description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=("pgbench", "noise"), default=["pgbench", "noise"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", nargs="+", choices=tuple(LIMITS), default=list(LIMITS))
    parser.add_argument("--scale", type=int, default=SCALE, help="smaller, for work on the bench")
    options = parser.parse_args()
    for name, value in facts(installations()[MAJOR].bin_dir, "/bin/true").items():
        print(f"- {name}: {value}")
    print("\n| data | what | bare | Toban | ratio | goal | |\n|---|---|---|---|---|---|---|", flush=True)
    well = True
    for kind in options.kinds:
        with shop(kind, options.scale) as there:
            well &= asyncio.run(_measured(there, kind, options.steps, options.rounds))
    return 0 if well else 1


async def _measured(there: Shop, kind: str, steps: list[str], rounds: int) -> bool:
    await there.keeper.open()
    well = True
    try:
        for step in steps:
            bare, ours = await STEPS[step](there, rounds)
            ratio, limit = median(ours) / median(bare), LIMITS[step]
            well &= ratio <= limit
            verdict = "met" if ratio <= limit else "**missed**"
            cells = (
                kind,
                step,
                f"{median(bare):.2f} s",
                f"{median(ours):.2f} s",
                f"{ratio:.2f}",
                f"≤ {limit}",
                verdict,
            )
            print("| " + " | ".join(cells) + " |", flush=True)
    finally:
        await there.around.children.close()
    return well


async def _turn_about(rounds: int, bare: Work, ours: Work, *gone: Path) -> tuple[list[float], list[float]]:
    """The seconds of each, without the removal of what the last ones left. Who begins changes from round to round."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        both = [(0, bare), (1, ours)]
        for place, work in both if number % 2 == 0 else reversed(both):
            for folder in gone:
                shutil.rmtree(folder, ignore_errors=True)
            os.sync()
            began = perf_counter()
            await work()
            taken[place].append(perf_counter() - began)
    return taken


# --- the steps -------------------------------------------------------------------------------------------------------


async def dumps(there: Shop, rounds: int) -> tuple[list[float], list[float]]:
    """pg_dump 15 has no zstd: by hand it is piped, too. Toban counts the rows of every table in the same snapshot."""
    words = f"pg_dump -Fc -Z0 -d '{there.cluster.dsn('bench')}' | zstd -q -c"

    async def bare() -> None:
        await asyncio.to_thread(there.shell, f"rm -f dump.zst; {words} > dump.zst; sync dump.zst .")

    return await _turn_about(rounds, bare, lambda: _made(there, "dump"))


async def bases(there: Shop, rounds: int) -> tuple[list[float], list[float]]:
    """The same flags; pg_basebackup syncs by itself."""
    words = "-Ft -X stream -c fast --manifest-checksums=SHA256 --compress=client-zstd:1 -P"

    async def bare() -> None:
        script = f"pg_basebackup -D base -d '{there.cluster.dsn()}' {words} 2>/dev/null"
        await asyncio.to_thread(there.shell, script)

    return await _turn_about(rounds, bare, lambda: _made(there, "base"), there.folder / "base")


async def restored_dumps(there: Shop, rounds: int) -> tuple[list[float], list[float]]:
    """Into a new database of the same server."""
    record, server = await _newest(there, "dump"), there.cluster.dsn()
    restore = f"zstd -qdc again.zst | pg_restore -e -d '{there.cluster.dsn('bare')}'"
    script = f"createdb --maintenance-db='{server}' bare; {restore}"
    file = next(Path(record.place) / one.path for one in record.manifest.files if ".dump" in one.path)
    readable = there.folder / "again.zst"
    shutil.copy(file, readable)
    readable.chmod(0o644)

    async def bare() -> None:
        await asyncio.to_thread(there.shell, script)
        there.cluster.psql("DROP DATABASE bare WITH (FORCE)")

    async def ours() -> None:
        await _back(there, Order(backup=record.id, database="bench", into=Dsn(server), rename="ours", verify=False))
        there.cluster.psql("DROP DATABASE ours WITH (FORCE)")

    return await _turn_about(rounds, bare, ours)


async def restored_bases(there: Shop, rounds: int) -> tuple[list[float], list[float]]:
    """Unpacked, WAL and all, and synced."""
    record = await _newest(there, "base")
    place = there.folder / "packed"
    place.mkdir()
    for name in ("base.tar.zst", "pg_wal.tar.zst"):
        shutil.copyfile(Path(record.place) / name, place / name)
        (place / name).chmod(0o644)

    async def bare() -> None:
        script = (
            "mkdir -m 700 bare; zstd -qdc packed/base.tar.zst | tar x -C bare;"
            "zstd -qdc packed/pg_wal.tar.zst | tar x -C bare/pg_wal; sync -f bare"
        )
        await asyncio.to_thread(there.shell, script)

    into = there.folder / "ours"
    order = Order(backup=record.id, data_dir=into, verify=False)
    return await _turn_about(rounds, bare, lambda: _back(there, order), there.folder / "bare", into)


async def proofs(there: Shop, rounds: int) -> tuple[list[float], list[float]]:
    """A dump restored into a server to throw away, and every index held against its table."""
    record = await _newest(there, "dump")
    file = next(Path(record.place) / one.path for one in record.manifest.files if ".dump" in one.path)
    readable = there.folder / "proof.zst"
    shutil.copy(file, readable)
    readable.chmod(0o644)
    script = BY_HAND

    async def bare() -> None:
        await asyncio.to_thread(there.shell, script)

    async def ours() -> None:
        proof = await there.keeper.prove(record, _silent)
        if proof.verdict is not Verdict.PROVEN:
            raise SystemExit(f"bench: the proof came to {proof.verdict}: {proof.reason}")

    return await _turn_about(rounds, bare, ours)


STEPS: Final = {
    "dump": dumps,
    "base": bases,
    "restore dump": restored_dumps,
    "restore base": restored_bases,
    "proof": proofs,
}


async def _made(there: Shop, job: str) -> BackupRecord:
    return await there.keeper.run(job, _silent)


async def _newest(there: Shop, job: str) -> BackupRecord:
    return await there.keeper.newest(job) or await _made(there, job)


async def _back(there: Shop, order: Order) -> None:
    around = there.around
    async with restoring(there.keeper.repository, around, order, zone=UTC, restorer_of=restorer_of) as prepared:
        await prepared.restore(_silent)


def _silent(_: Progress) -> None:
    """Nobody looks."""


# --- the scene -------------------------------------------------------------------------------------------------------


@contextmanager
def shop(kind: str, scale: int) -> Iterator[Shop]:
    """A server with one of the data sets, a repository, and a keeper of both."""
    cluster = Cluster(installations()[MAJOR], settings=SETTINGS)
    folder = Path(tempfile.mkdtemp(prefix="toban-bench-"))
    try:
        cluster.start()
        cluster.psql("CREATE DATABASE bench")
        _fill(cluster, kind, scale)
        folder.chmod(0o777)
        settings = Backups.model_validate(
            {"repository": str(folder / "repository"), "jobs": [DUMP, BASE]}, context=WRITTEN
        )
        plan = planned(settings, [Origin(name="main", kind="postgresql", dsn=Dsn(cluster.dsn()))])
        workspace = folder / "workspace"
        workspace.mkdir(mode=0o711)
        around = Surroundings(clock=SystemClock(), children=Children(), programs=Programs(), workspace=workspace)
        keeper = Keeper(plan, Repository(folder / "repository", around=around), around, zone=UTC)
        yield Shop(cluster=cluster, folder=folder, keeper=keeper, shell=Shell(folder=folder, bin_dir=cluster.bin_dir))
    finally:
        cluster.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _fill(cluster: Cluster, kind: str, scale: int) -> None:
    if kind == "pgbench":
        subprocess.run(
            [cluster.bin_dir / "pgbench", "-i", "-q", "-s", str(scale), cluster.dsn("bench")],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    else:
        cluster.psql("CREATE TABLE noise (id int PRIMARY KEY, data bytea)", "bench")
        cluster.psql("ALTER TABLE noise ALTER data SET STORAGE PLAIN", "bench")
        asyncio.run(_pour(cluster, NOISE_ROWS * scale // SCALE))
    cluster.psql("VACUUM ANALYZE", "bench")
    cluster.psql("CHECKPOINT")


async def _pour(cluster: Cluster, rows: int) -> None:
    """Random bytes, which nothing packs."""
    connection = await cluster.connect("bench")
    for first in range(0, rows, 5000):
        records = [(number, os.urandom(NOISE_BYTES)) for number in range(first, min(first + 5000, rows))]
        await connection.copy_records_to_table("noise", records=records)
    await connection.close()


if __name__ == "__main__":
    sys.exit(main())
