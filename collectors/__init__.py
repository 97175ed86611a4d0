"""What is measured: one module a collector, its SQL beside it in `queries/`."""

from typing import Any

from collectors.contract import Collector
from collectors.custom.collector import Custom
from collectors.host.certificates.collector import CertificatesCollector
from collectors.host.cpu import CpuCollector
from collectors.host.disk_io import DiskIoCollector
from collectors.host.disks import DisksCollector
from collectors.host.files.collector import FilesCollector
from collectors.host.memory import MemoryCollector
from collectors.host.network import NetworkCollector
from collectors.host.probing.collector import ProbesCollector
from collectors.host.processes import ProcessesCollector
from collectors.host.security.collector import SecurityCollector
from collectors.host.units import UnitsCollector
from collectors.logs.collector import Logs
from collectors.mariadb.digests import MariadbDigests
from collectors.mariadb.replication import MariadbReplication
from collectors.mariadb.settings import MariadbSettings
from collectors.mariadb.sizes import MariadbSizes
from collectors.mariadb.status import MariadbStatus
from collectors.pgbouncer.databases import PgBouncerDatabases
from collectors.pgbouncer.pools import Pools
from collectors.pgbouncer.process import Process
from collectors.postgresql.activity import Activity
from collectors.postgresql.bloat import BloatCollector
from collectors.postgresql.databases import DatabaseActivity
from collectors.postgresql.identity import Identity
from collectors.postgresql.indexes import Indexes
from collectors.postgresql.io import Io
from collectors.postgresql.locks import Locks
from collectors.postgresql.progress import ProgressCollector
from collectors.postgresql.relations import Relations
from collectors.postgresql.replication import Replication
from collectors.postgresql.security import PgSecurity
from collectors.postgresql.sequences import Sequences
from collectors.postgresql.settings import Settings
from collectors.postgresql.sizes import Sizes
from collectors.postgresql.statements import Statements
from collectors.postgresql.wal import Wal
from collectors.sqlite.check import SqliteCheckCollector
from collectors.sqlite.database import SqliteCollector
from collectors.trends import Trends

COLLECTORS: tuple[type[Collector[Any, Any]], ...] = (
    Identity,
    Activity,
    DatabaseActivity,
    Locks,
    Replication,
    Wal,
    Io,
    ProgressCollector,
    Settings,
    Sizes,
    Statements,
    Relations,
    Indexes,
    Sequences,
    PgSecurity,
    BloatCollector,
    SqliteCollector,
    SqliteCheckCollector,
    Process,
    Pools,
    PgBouncerDatabases,
    MariadbStatus,
    MariadbReplication,
    MariadbSettings,
    MariadbSizes,
    MariadbDigests,
    CpuCollector,
    MemoryCollector,
    DiskIoCollector,
    NetworkCollector,
    DisksCollector,
    ProcessesCollector,
    Trends,
    ProbesCollector,
    UnitsCollector,
    FilesCollector,
    CertificatesCollector,
    SecurityCollector,
    Custom,
    Logs,
)
"""Every collector there is. A module that is not listed here does not exist."""
