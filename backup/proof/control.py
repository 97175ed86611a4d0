"""What a data directory says of itself: pg_controldata's lines, as far as a server that starts on it needs them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backup.children import Command
from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.programs import account, becoming
from toban.backups import Trouble

SECONDS: Final = 60.0
VERSION_FILE: Final = "PG_VERSION"
_LINE = re.compile(r"^([^:]+):\s+(.*)$", re.MULTILINE)
_SETTING: Final = " setting"
# What a server wants at least as much of as the one had whose WAL it replays.
LIMITS: Final = {
    "max_connections": "max_connections",
    "max_worker_processes": "max_worker_processes",
    "max_wal_senders": "max_wal_senders",
    "max_prepared_transactions": "max_prepared_xacts",
    "max_locks_per_transaction": "max_locks_per_xact",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The control file of a data directory."""

    state: str
    system_identifier: str
    timeline: int
    has_checksums: bool
    limits: dict[str, int]


def major_of(data_dir: Path) -> int:
    """The major version whose files these are."""
    try:
        return int((data_dir / VERSION_FILE).read_text(encoding="ascii").split(".")[0])
    except (OSError, ValueError) as error:
        raise BackupError(str(data_dir), "is no data directory of PostgreSQL", trouble=Trouble.DAMAGED) from error


async def control_of(data_dir: Path, bin_dir: Path, around: Surroundings) -> Control:
    """Ask pg_controldata. A control file that cannot be read is damage."""
    words = (*becoming(account()), str(bin_dir / "pg_controldata"), "-D", str(data_dir))
    output = await around.children.run(Command(words=words), within_seconds=SECONDS)
    if not output.ok or "checksum" in output.ended[0].said or "WARNING" in output.text:
        raise BackupError("control file", output.ended[0].why, trouble=Trouble.DAMAGED)
    return read_control(output.text)


def read_control(text: str) -> Control:
    """Its answer."""
    found = {name.strip(): value.strip() for name, value in _LINE.findall(text)}
    return Control(
        state=found.get("Database cluster state", ""),
        system_identifier=found.get("Database system identifier", ""),
        timeline=int(found.get("Latest checkpoint's TimeLineID", "1")),
        has_checksums=found.get("Data page checksum version", "0") != "0",
        limits={
            ours: int(found[f"{theirs}{_SETTING}"]) for ours, theirs in LIMITS.items() if f"{theirs}{_SETTING}" in found
        },
    )
