"""The defaults that come from the machine: its name, its time zone, and where the state belongs."""

from collections.abc import Mapping
from pathlib import Path

from daemon.configuration.tree import is_zone

LOCALTIME = Path("/etc/localtime")
TIMEZONE = Path("/etc/timezone")
SERVICE_STATE = Path("/var/lib/toban/state.db")  # the shipped unit's StateDirectory


def defaults(environment: Mapping[str, str], *, host_name: str, zone: str) -> dict[str, str]:
    """What is in force where the files are silent."""
    return {"node": host_name or "localhost", "timezone": zone, "state": f"sqlite://{state_path(environment)}"}


def state_path(environment: Mapping[str, str]) -> Path:
    """In systemd's StateDirectory, else where the user's programs keep their state."""
    given = environment.get("STATE_DIRECTORY", "").split(":")[0]
    if given.startswith("/"):
        return Path(given) / "state.db"
    folder = environment.get("XDG_STATE_HOME", "")
    if not folder.startswith("/"):
        folder = str(Path(environment.get("HOME", "")) / ".local" / "state")
    return Path("/", folder, "toban", "state.db")


def state_to_read(configured: Path, environment: Mapping[str, str], *, service: Path = SERVICE_STATE) -> Path:
    """The state a reading command means: the configured one, else whichever there is, a running daemon's first.

    Where no `state` is written the service has its own place and a shell another; whoever asks wants the service's.
    """
    if configured != state_path(environment):
        return configured
    for suffix in (".sock", ".db"):
        for path in (configured, service):
            if _is_there(path.with_suffix(suffix)):
                return path
    return configured


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # not ours to see
        return False


def system_zone(environment: Mapping[str, str], localtime: Path = LOCALTIME, named: Path = TIMEZONE) -> str:
    """$TZ, else what /etc/localtime points to, else what Debian's /etc/timezone names, else UTC."""
    told = environment.get("TZ", "").removeprefix(":")
    zones = (told, _pointed(localtime), _first_line(named))
    return next((zone for zone in zones if zone and is_zone(zone)), "UTC")


def _pointed(link: Path) -> str:
    try:
        return str(link.readlink()).rpartition("zoneinfo/")[2]
    except OSError:  # a file of its own, as containers are given it
        return ""


def _first_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""
