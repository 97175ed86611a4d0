"""Which PostgreSQL the demonstration starts: the system's newest, else the one of the demo extra."""

from dataclasses import dataclass
from pathlib import Path

from backup import programs as finding
from toban.errors import UnavailableError

STATEMENTS_CONTROL = "extension/pg_stat_statements.control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The server programs of one installation."""

    folder: Path
    has_statements: bool  # pg_stat_statements can be loaded


def find_programs() -> Programs:
    """The best installation there is: one with contrib before one without, the newest among equals."""
    folders = [folder for folder in finding.postgresql_folders() if (folder / "postgres").exists()]
    if not folders:
        raise UnavailableError(
            "demo",
            "no PostgreSQL server programs on this machine",
            "apt install postgresql, or pip install toban[demo]",
        )
    found = [Programs(folder=folder, has_statements=_has_statements(folder)) for folder in folders]
    return max(found, key=lambda programs: (programs.has_statements, _major(programs.folder)))


def enterable(programs: Programs, copy_to: Path) -> Programs:
    """The same programs where the server's account may run them."""
    folder = finding.enterable(programs.folder, copy_to)
    return Programs(folder=folder, has_statements=programs.has_statements)


def _major(folder: Path) -> int:
    return finding.version_of(folder / "postgres") or 0


def _has_statements(folder: Path) -> bool:
    shares = (
        Path("/usr/share/postgresql") / folder.parent.name,
        folder.parent / "share",
        folder.parent / "share/postgresql",
    )
    return any((share / STATEMENTS_CONTROL).exists() for share in shares)
