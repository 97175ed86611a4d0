"""What each setting had best be on a machine of some memory, cores and disks: figures alone, whatever is set. Pure.

For 8 GB, four cores and an SSD these are the figures that handbooks have; other machines are scaled from there.
docs/decisions/ says where Toban departs from them, and why.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import inf

KB, MB, GB = 1024, 1024**2, 1024**3
LEAST_WORK_MEM = 64 * KB
USUAL_WORK_MEM = 4 * MB
MOST_WORK_MEM = 1 * GB
MOST_SHARED_BUFFERS = 64 * GB
MOST_MAINTENANCE = 2 * GB
_MINUTE = 60.0


class Disk(StrEnum):
    """What the data lies on."""

    SSD = "ssd"
    HDD = "hdd"


class Workload(StrEnum):
    """What the server is for."""

    OLTP = "oltp"  # many short transactions
    DW = "dw"  # few long queries
    MIXED = "mixed"


# How many work_mem a connection is reckoned to use at once, and how the room for WAL is scaled.
_SHARES = {Workload.OLTP: 6.0, Workload.MIXED: 3.0, Workload.DW: 1.5}
_WAL_FACTORS = {Workload.OLTP: 2, Workload.MIXED: 1, Workload.DW: 4}
_MOST_PER_GATHER = {Workload.OLTP: 2, Workload.MIXED: 4, Workload.DW: 16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the server runs on, and for whom."""

    memory_bytes: int
    cpus: int
    disk: Disk
    connections: int = 100
    workload: Workload = Workload.MIXED
    autovacuum_workers: int = 3
    segment_bytes: int = 16 * MB
    version: int = 160000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What a setting had best be, in bytes, seconds or as it is written, and what else is as good.

    What a person has chosen is left alone within `lowest` and `highest`. A default was chosen by nobody for this
    machine, so that it is left alone only where it is `fit` for any.
    """

    wanted: float | str
    lowest: float = -inf
    highest: float = inf
    fit: bool = False
    good: Callable[[str], bool] | None = None
    """For text: whether it will do."""


def figures(machine: Machine) -> dict[str, Figure]:
    """Every setting that Toban has an opinion on."""
    groups = (_memory, _wal, _planner, _parallel, _autovacuum, _logging)
    return {name: figure for group in groups for name, figure in group(machine)}


def shared_buffers(machine: Machine) -> int:
    """A quarter of the memory."""
    return min(rounded(machine.memory_bytes // 4), MOST_SHARED_BUFFERS)


def bearable_connections(machine: Machine) -> int:
    """How many connections there is memory for, at the usual work_mem."""
    room = machine.memory_bytes - shared_buffers(machine)
    return max(1, int(room / (_SHARES[machine.workload] * USUAL_WORK_MEM)))


def rounded(size: int) -> int:
    """Down to a size that people would write: four significant binary digits."""
    step = 1 << max(0, size.bit_length() - 4)
    return size // step * step


def _memory(machine: Machine) -> Iterator[tuple[str, Figure]]:
    buffers = shared_buffers(machine)
    yield "shared_buffers", Figure(wanted=buffers, lowest=0.6 * buffers, highest=0.42 * machine.memory_bytes)
    cache = rounded(machine.memory_bytes * 3 // 4)
    yield "effective_cache_size", Figure(wanted=cache, lowest=0.66 * cache, highest=1.25 * cache)
    work = _work_mem(machine)
    yield "work_mem", Figure(wanted=work, lowest=0.5 * work, highest=2.0 * work)
    maintenance = _maintenance_work_mem(machine)
    yield "maintenance_work_mem", Figure(wanted=maintenance, lowest=0.5 * maintenance, highest=2.0 * maintenance)


def _work_mem(machine: Machine) -> int:
    """Such that all connections at work leave the memory unspent; a power of two."""
    room = machine.memory_bytes - shared_buffers(machine)
    share = int(room / (machine.connections * _SHARES[machine.workload]))
    return min(max(1 << max(0, share.bit_length() - 1), LEAST_WORK_MEM), MOST_WORK_MEM)


def _maintenance_work_mem(machine: Machine) -> int:
    """A sixteenth of the memory; less for each where more than three autovacuum workers may take it at once."""
    share = machine.memory_bytes * 3 // 16 // max(3, machine.autovacuum_workers)
    return min(max(rounded(share), MB), MOST_MAINTENANCE)


def _wal(machine: Machine) -> Iterator[tuple[str, Figure]]:
    factor = _WAL_FACTORS[machine.workload]
    half = 1 << (machine.memory_bytes // 2).bit_length() - 1
    most = max(min(max(half, GB), 4 * GB) * factor, 8 * machine.segment_bytes)
    buffers = min(max(shared_buffers(machine) // 32, 64 * KB), 16 * MB)
    yield "wal_buffers", Figure(wanted=buffers, lowest=buffers, fit=True)  # by default it follows shared_buffers
    yield "checkpoint_completion_target", Figure(wanted=0.9, lowest=0.8)
    yield "min_wal_size", Figure(wanted=most // 4, lowest=most / 8)
    yield "max_wal_size", Figure(wanted=most, lowest=most / 2)
    yield "checkpoint_timeout", Figure(wanted=15 * _MINUTE, lowest=5 * _MINUTE, highest=60 * _MINUTE, fit=True)
    yield "fsync", Figure(wanted=1.0, lowest=1.0)
    yield "full_page_writes", Figure(wanted=1.0, lowest=1.0)


def _planner(machine: Machine) -> Iterator[tuple[str, Figure]]:
    if machine.disk is Disk.SSD:
        yield "random_page_cost", Figure(wanted=1.1, lowest=1.0, highest=2.0)
        asynchronous = machine.version >= 180000  # noqa: PLR2004 - reads ahead by itself, and its default is 16
        yield "effective_io_concurrency", Figure(wanted=200, lowest=16, fit=asynchronous)
    else:
        yield "random_page_cost", Figure(wanted=4.0, lowest=3.0, highest=6.0)
        yield "effective_io_concurrency", Figure(wanted=2, highest=16, fit=True)
    if machine.workload is Workload.DW:
        yield "default_statistics_target", Figure(wanted=500, lowest=200)


def _parallel(machine: Machine) -> Iterator[tuple[str, Figure]]:
    half = (machine.cpus + 1) // 2 if machine.cpus > 1 else 0
    gather = min(half, _MOST_PER_GATHER[machine.workload])
    workers = min(machine.cpus, 1024)
    yield "max_worker_processes", Figure(wanted=max(8, workers + 4), lowest=workers, fit=workers <= 8)  # noqa: PLR2004 - its default
    yield "max_parallel_workers", Figure(wanted=workers, lowest=workers / 2, highest=workers * 2)
    yield "max_parallel_workers_per_gather", Figure(wanted=gather, lowest=gather / 2, highest=gather * 2)


def _autovacuum(_: Machine) -> Iterator[tuple[str, Figure]]:
    yield "track_counts", Figure(wanted=1.0, lowest=1.0)
    yield "autovacuum", Figure(wanted=1.0, lowest=1.0)
    yield "autovacuum_max_workers", Figure(wanted=3, lowest=3, fit=True)
    yield "autovacuum_naptime", Figure(wanted=_MINUTE, highest=5 * _MINUTE, fit=True)
    yield "autovacuum_vacuum_cost_delay", Figure(wanted=0.002, highest=0.005, fit=True)
    yield "autovacuum_vacuum_scale_factor", Figure(wanted=0.1, highest=0.2, fit=True)


def _logging(_: Machine) -> Iterator[tuple[str, Figure]]:
    yield "log_min_duration_statement", Figure(wanted=1.0, lowest=0)
    yield "log_checkpoints", Figure(wanted=1.0, lowest=1.0)
    yield "log_lock_waits", Figure(wanted=1.0, lowest=1.0)
    yield "log_temp_files", Figure(wanted=10 * MB, lowest=0)
    yield "log_autovacuum_min_duration", Figure(wanted=10 * _MINUTE, lowest=0)
    prefix = "%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h "
    yield "log_line_prefix", Figure(wanted=prefix, good=_tells_who)


def _tells_who(prefix: str) -> bool:
    """Whether a line of the log says when, which process, who and in which database."""
    return any(when in prefix for when in ("%m", "%t", "%n")) and all(who in prefix for who in ("%p", "%u", "%d"))
