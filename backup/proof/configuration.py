"""The settings of a scratch server, beside what its files bring along to recover by.

Nothing else that came with them is followed: no archiving, no log elsewhere, no subscription, no TLS, no library loaded
that may do work of its own (a scheduler of jobs, say). What stands in a server's words beats every file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from backup.programs import account
from backup.proof.place import socket_folder

PORT: Final = 5432  # a part of the socket's name alone
SETTINGS: Final[Mapping[str, str]] = {
    "port": str(PORT),
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "ssl": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "synchronous_standby_names": "",
    "autovacuum": "off",
    "archive_mode": "off",
    "hot_standby": "off",
    "restart_after_crash": "off",
    "zero_damaged_pages": "off",  # what cannot be read is to be seen, whatever the server was told to bear with
    "ignore_checksum_failure": "off",
    "ignore_invalid_pages": "off",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "shared_buffers": "128MB",
    "huge_pages": "off",
    "dynamic_shared_memory_type": "mmap",
    "max_logical_replication_workers": "0",  # its subscriptions are another server's
    "max_parallel_maintenance_workers": "2",
    "maintenance_work_mem": "256MB",
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "local_preload_libraries": "",
    "external_pid_file": "",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_checkpoints": "off",
    "log_line_prefix": "",
    "lc_messages": "C",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "bonjour": "off",
}
# Of newer versions: nothing runs at a login, nothing is kept for others, nothing is asked of this machine's kernel.
NEWER: Final[Mapping[int, Mapping[str, str]]] = {
    17: {"event_triggers": "off", "summarize_wal": "off"},
    18: {"io_method": "worker"},
}
# Of our sessions, against what roles and databases bring along: nobody else is there to be disturbed, the whole has its
# time limit, and no damage is to be passed over.
PATIENT: Final[Mapping[str, str]] = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "zero_damaged_pages": "off",
    "ignore_checksum_failure": "off",
    "session_preload_libraries": "",
    "local_preload_libraries": "",
}
HBA: Final = "local all all trust\n"


def newer_settings(major: int) -> dict[str, str]:
    """What a server of this version is told beside what all are."""
    return {name: value for since, more in NEWER.items() if major >= since for name, value in more.items()}


def server_folder(place: Path) -> Path:
    """The private folder of the server's sockets, and of its few settings beside those in its words."""
    folder = socket_folder(place, account())
    for name, text in (("postgresql.conf", ""), ("pg_hba.conf", HBA), ("pg_ident.conf", "")):
        (folder / name).write_text(text, encoding="ascii")
        (folder / name).chmod(0o644)  # the folder is closed; its owner has to read them
    return folder
