"""Which updates wait, by the system's own package manager, and whether a reboot does. Nothing is changed."""

import re
from dataclasses import dataclass
from pathlib import Path

from collectors.host.programs import Programs, Ran
from toban.outcomes import Failure, Reason

TIMEOUT_SECONDS = 120.0
APT = ("-s", "-o", "Debug::NoLocking=1", "--with-new-pkgs", "upgrade")
DNF = ("-q", "-C", "updateinfo", "list", "--security")
_APT_LINE = re.compile(r"^Inst (\S+) (?:\[(?P<present>\S+)\] )?\((?P<wanted>\S+) (?P<origins>[^)\[]*)")
_DNF_LINE = re.compile(r"^(?P<advisory>\S+)\s+(?:security\s+)?\S+\s+(?P<package>\S+)(?:\s.*)?$")
_ADVISORY = re.compile(r"[A-Z]+[A-Z0-9-]*-\d{4}[:-]\S+")
_LISTS = (
    ("var/lib/apt/periodic", "update-success-stamp"),
    ("var/lib/apt/lists", "partial"),
    ("var/cache/dnf", "*.solv"),
    ("var/cache/libdnf5", "*/solv/*.solv"),
)
_NUMBERS = re.compile(r"\d+")
_RELEASE = re.compile(r"[\d.+~-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One package that waits."""

    package: str
    wanted: str
    is_security: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Updates:
    """What waits. dnf is asked for security updates only: then the others are not known."""

    security: tuple[Update, ...]
    others: int | None


async def pending_updates(programs: Programs) -> Updates | Failure:
    """What the first package manager that is installed says."""
    apt, dnf = programs.find("apt-get"), programs.find("dnf")
    if apt:
        ran = await programs.run(apt, *APT, timeout_seconds=TIMEOUT_SECONDS)
        return _refusal("apt-get", ran) if ran.status else parse_apt(ran.output)
    if dnf:
        ran = await programs.run(dnf, *DNF, timeout_seconds=TIMEOUT_SECONDS)
        return _refusal("dnf", ran) if ran.status else parse_dnf(ran.output)
    return Failure(reason=Reason.UNSUPPORTED, detail="neither apt-get nor dnf is installed")


def parse_apt(output: str) -> Updates:
    """The lines of a simulated upgrade: `Inst NAME [PRESENT] (WANTED ORIGIN, ORIGIN [ARCHITECTURE])`."""
    found = [
        Update(package=match[1], wanted=match["wanted"], is_security="security" in match["origins"].lower())
        for match in map(_APT_LINE.match, output.splitlines())
        if match
    ]
    security = tuple(update for update in found if update.is_security)
    return Updates(security=security, others=len(found) - len(security))


def parse_dnf(output: str) -> Updates:
    """The lines of `updateinfo list`; a package of two advisories counts once.

    `ADVISORY SEVERITY/Sec. PACKAGE` is dnf's, `ADVISORY security SEVERITY PACKAGE ISSUED` dnf5's.
    """
    found = dict.fromkeys(
        match["package"]
        for match in map(_DNF_LINE.match, output.splitlines())
        if match and _ADVISORY.fullmatch(match["advisory"])
    )
    return Updates(security=tuple(Update(package=name, wanted="", is_security=True) for name in found), others=None)


def lists_renewed_at(root: Path) -> float | None:
    """When the package lists were last renewed; None where there are none."""
    times = []
    for folder, pattern in _LISTS:
        for place in (root / folder).glob(pattern):
            try:
                times.append(place.stat().st_mtime)
            except OSError:
                continue  # being renewed just now
    return max(times, default=None)


def reboot_wanted(root: Path, running: str) -> str:
    """Why a reboot is wanted: a package asked for it, or a newer kernel than the running one is installed."""
    if any((root / place).exists() for place in ("run/reboot-required", "var/run/reboot-required")):
        return "package"
    prefix = "vmlinuz-"
    installed = [place.name.removeprefix(prefix) for place in (root / "boot").glob(f"{prefix}[0-9]*")]
    if running not in installed:
        return ""  # a container, or a kernel from elsewhere: nothing to compare with
    return "kernel" if _version(running) < max(map(_version, installed)) else ""


def _version(release: str) -> tuple[int, ...]:
    """The numbers up to where a distribution's own words begin: 5.14.0-362.8.1 of 5.14.0-362.8.1.el9_3.x86_64."""
    return tuple(map(int, _NUMBERS.findall(_RELEASE.match(release)[0])))  # type: ignore[index]  # it matches nothing too


def _refusal(program: str, ran: Ran) -> Failure:
    said = " ".join((ran.complaint or ran.output).split())[:200]
    return Failure(reason=Reason.UNSUPPORTED, detail=f"{program} ended with {ran.status}: {said}")
