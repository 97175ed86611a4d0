"""The rules that come with Toban, written as an operator would write them, and read from the files beside this one."""

from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

SUBJECTS: Final = (
    *("connections", "queries", "replication", "wal", "wraparound", "relations"),
    *("host", "files", "logs", "probes", "security"),
    *("pgbouncer", "mariadb", "sqlite", "backups", "toban"),
)
"""The files, in the order in which they are told."""
PRESETS: Final = {
    "standard": "the figures as they stand in the rules",
    "tuning": "those of a server that is being tuned: each look counts at once, long before the standard would tell",
    "dataset": "those of a store of large data sets: its disks may be fuller before that is critical",
}
"""What `preset:` takes. A rule says under `presets:` what is different in one of them."""


@cache
def by_subject() -> dict[str, tuple[dict[str, Any], ...]]:
    """Each file's rules, as they are written."""
    return {subject: _read(subject) for subject in SUBJECTS}


def shipped() -> tuple[dict[str, Any], ...]:
    """All of them."""
    return tuple(rule for rules in by_subject().values() for rule in rules)


def _read(subject: str) -> tuple[dict[str, Any], ...]:
    text = files(__name__).joinpath(f"{subject}.yaml").read_text(encoding="utf-8")
    return tuple(yaml.safe_load(text))
