"""A finding: something that is not as it should be, seen while looking at files, certificates, ports or settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How much it matters; the gravest first."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding. It travels among a collection's `rows`, whose target it is about. It carries no secret.

    `what` names a sentence of the catalogue (`advice.WHAT`), told with `values`. `subject` is what it is about: a
    file and a line of it, a certificate, a port, a role, a setting. `run` is the statement or command that mends it.
    """

    severity: Severity
    subject: str
    what: str
    values: Mapping[str, str] = field(default_factory=dict)
    database: str = ""
    run: str = ""
