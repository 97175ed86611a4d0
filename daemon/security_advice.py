"""Findings as advice: the gravest first."""

from collections.abc import Iterable, Iterator

from toban.advice import Advice
from toban.findings import Finding, Severity

COLLECTORS_OF_SECURITY = ("files", "certificates", "security", "server_security")
_GRAVEST_FIRST = {severity: place for place, severity in enumerate(Severity)}


def security_advice(found: Iterable[tuple[str, Finding]]) -> Iterator[Advice]:
    """What the findings of each target come to. How grave each is stands among its values."""
    for target, finding in sorted(found, key=lambda one: (_GRAVEST_FIRST[one[1].severity], one[0], one[1].subject)):
        yield Advice(
            target=target,
            subject=finding.subject,
            action="alter" if finding.run else "check",
            reason=finding.what,
            values={**finding.values, "severity": str(finding.severity)},
            database=finding.database,
            run=finding.run,
        )
