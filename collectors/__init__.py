"""What is measured: one module a collector, its SQL beside it in `queries/`."""

from typing import Any

from collectors.contract import Collector
from collectors.host.cpu import CpuCollector
from collectors.host.disk_io import DiskIoCollector
from collectors.host.disks import DisksCollector
from collectors.host.memory import MemoryCollector
from collectors.host.network import NetworkCollector
from collectors.host.processes import ProcessesCollector
from collectors.postgresql.activity import Activity
from collectors.postgresql.databases import DatabaseActivity
from collectors.postgresql.identity import Identity
from collectors.postgresql.locks import Locks
from collectors.postgresql.relations import Relations
from collectors.postgresql.replication import Replication
from collectors.postgresql.settings import Settings
from collectors.postgresql.sizes import Sizes
from collectors.postgresql.statements import Statements
from collectors.postgresql.wal import Wal
from collectors.sqlite.check import SqliteCheckCollector
from collectors.sqlite.database import SqliteCollector

COLLECTORS: tuple[type[Collector[Any, Any]], ...] = (
    Identity,
    Activity,
    DatabaseActivity,
    Locks,
    Replication,
    Wal,
    Settings,
    Sizes,
    Statements,
    Relations,
    SqliteCollector,
    SqliteCheckCollector,
    CpuCollector,
    MemoryCollector,
    DiskIoCollector,
    NetworkCollector,
    DisksCollector,
    ProcessesCollector,
)
"""Every collector there is. A module that is not listed here does not exist."""
