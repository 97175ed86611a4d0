"""Python packages that are known to be vulnerable: asked of pip-audit, which asks a service on the network."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from collectors.host.programs import Programs, Ran
from toban.outcomes import Failure, Reason

TIMEOUT_SECONDS = 300.0
OWN = "toban"  # the environment that Toban itself runs in
HINT = "install pip-audit where Toban's user finds it, and let it reach the network"


async def vulnerable_packages(programs: Programs, environment: str) -> dict[str, str] | Failure:
    """Each vulnerable package with what is known against it and where it is mended."""
    audit = programs.find("pip-audit")
    if audit is None:
        return Failure(reason=Reason.UNSUPPORTED, detail="pip-audit is not installed", hint=HINT)
    root = Path(sys.prefix if environment == OWN else environment)
    folders = _packages(root)
    if not folders:
        return Failure(reason=Reason.NOT_FOUND, detail=f"{root} is no virtual environment")
    paths = [word for folder in folders for word in ("--path", folder)]
    command = (audit, "--format", "json", "--progress-spinner", "off", *paths)
    ran = await programs.run(*command, timeout_seconds=TIMEOUT_SECONDS)
    return _understood(ran)


def _packages(root: Path) -> list[str]:
    return sorted(str(folder) for folder in root.glob("lib/python3*/site-packages"))


def _understood(ran: Ran) -> dict[str, str] | Failure:
    """It ends with 1 both when it found something and when it failed: its words decide."""
    try:
        return dict(_vulnerable(json.loads(ran.output)))
    except (ValueError, TypeError, KeyError, AttributeError):
        said = " ".join((ran.complaint or ran.output).split())[-200:]
        return Failure(reason=Reason.UNREACHABLE, detail=f"pip-audit ended with {ran.status}: {said}", hint=HINT)


def _vulnerable(report: dict[str, list[dict[str, list[dict[str, list[str]]]]]]) -> Iterator[tuple[str, str]]:
    for package in report["dependencies"]:
        known = package.get("vulns", [])  # what was skipped has none
        if known:
            told = ", ".join(f"{one['id']} ({' '.join(one.get('fix_versions') or ['-'])})" for one in known[:5])
            yield f"{package['name']} {package['version']}", told
