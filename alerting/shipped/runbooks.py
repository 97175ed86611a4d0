"""The shipped rules' runbooks: the same pages that the manual has, at hand where there is no manual."""

from importlib import resources
from pathlib import Path
from typing import Final

import alerting
from alerting.shipped import shipped

FOLDER: Final = "docs/rules"
_INSTALLED: Final = "shipped/runbooks"


def is_shipped(runbook: str) -> bool:
    """Whether an alert's runbook is one of ours, and not somebody's own address."""
    return runbook.startswith(f"{FOLDER}/")


def runbook_of(rule: str) -> str | None:
    """The page of a shipped rule; None where there is none of that name."""
    if rule not in {one["name"] for one in shipped()}:
        return None
    installed = resources.files("alerting").joinpath(f"{_INSTALLED}/{rule}.md")
    checkout = Path(alerting.__file__).parents[1] / FOLDER / f"{rule}.md"
    return (installed if installed.is_file() else checkout).read_text(encoding="utf-8")
