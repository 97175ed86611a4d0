"""The configuration tree: every section as a frozen model, the collectors' own settings among them."""

import ipaddress
import re
from datetime import UTC, tzinfo
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, create_model, field_validator, model_validator

from alerting.channels import ChannelConfiguration
from alerting.rules.written import Alerts
from backup.settings import Backups
from collectors import COLLECTORS
from collectors.contract import Collector, CollectorSettings, EntrySettings, Kind
from daemon.configuration.targets import Target
from toban.config import EMPTY_IS_DEFAULT, NONE_LISTED, AbsolutePath, Model, Name, misfit
from toban.secrets import Secret

_LISTEN = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9.-]+)):(?P<port>[0-9]{1,5})")
_PUBLIC = re.compile(
    r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[\w./~-]*)?|https?://\[[0-9a-fA-F:.]+\](?::[0-9]{1,5})?/?"
)
_SQLITE = "sqlite://"
_PORT_MAX = 65535
_STATE_MAX_BYTES = 100  # a Unix socket's path ends at 107


class Address(NamedTuple):
    """Where the HTTP server listens. Port 0 lets the system choose."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def parse_listen(text: str) -> Address:
    """`127.0.0.1:8432` or `[::1]:8432` as an address."""
    match = _LISTEN.fullmatch(text)
    if match is None or int(match["port"]) > _PORT_MAX or not _is_host(match["v6"] or match["host"]):
        raise ValueError(f"{text!r} is no address to listen on; write 127.0.0.1:8432, [::1]:8432, or null for none")
    return Address(host=match["v6"] or match["host"], port=int(match["port"]))


def _is_host(text: str) -> bool:
    if not re.fullmatch(r"[0-9.]+|.*:.*", text):
        return True  # a name; the resolver knows
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class Tls(Model):
    """The certificate of the HTTP server."""

    cert: AbsolutePath
    key: AbsolutePath


class Http(Model):
    """Where `/metrics`, the API and the pages are served."""

    listen: str | None = "127.0.0.1:8432"
    tls: Tls | None = None
    metrics_token: Secret | None = None
    public_url: str | None = Field(default=None, description="How people reach it; messages link to it.")

    @property
    def address(self) -> Address | None:
        """Where to listen, if anywhere."""
        return None if self.listen is None else parse_listen(self.listen)

    @field_validator("listen")
    @classmethod
    def _is_address(cls, listen: str | None) -> str | None:
        if listen:
            parse_listen(listen)
        return listen or None

    @field_validator("public_url")
    @classmethod
    def _is_public(cls, url: str | None) -> str | None:
        if url and not _PUBLIC.fullmatch(url):
            raise misfit("is no address for a browser; write https://toban.example.org")
        return url.rstrip("/") if url else None

    @model_validator(mode="after")
    def _is_guarded(self) -> "Http":
        if self.address is not None and not self.address.loopback and self.metrics_token is None:
            raise misfit("is reachable from other machines; set http.metrics_token, or listen on 127.0.0.1", "listen")
        return self


class Log(Model):
    """What the daemon says about itself."""

    format: Literal["json", "console", "auto"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"
    file: AbsolutePath | None = None


if TYPE_CHECKING:

    class Collect(Model):
        """What the type checker knows of the collectors' settings; `settings_of` gives one collector's."""

else:
    _SECTIONS: dict[str, Any] = {
        collector.name: (Annotated[tuple[collector.settings_model, ...], NONE_LISTED], ())
        if collector.listed
        else (Annotated[collector.settings_model, EMPTY_IS_DEFAULT], collector.settings_model())
        for collector in COLLECTORS
    }
    Collect = create_model("Collect", __base__=Model, __doc__="How each collector works.", **_SECTIONS)


class Configuration(Model):
    """Everything that can be said. The defaults here are fixed; `load` puts the machine's own in their place."""

    node: str = Field(default="localhost", min_length=1, description="This node's name; by default the host's.")
    timezone: str = Field(default="UTC", description="For schedules and reports; by default the system's.")
    language: Literal["en", "ja"] = "en"
    state: str = Field(
        default="sqlite:///var/lib/toban/state.db",
        description="Where Toban remembers; by default in systemd's StateDirectory, else the user's state folder.",
    )
    http: Annotated[Http, EMPTY_IS_DEFAULT] = Http()
    log: Annotated[Log, EMPTY_IS_DEFAULT] = Log()
    targets: Annotated[tuple[Target, ...], NONE_LISTED] = ()
    collect: Annotated[Collect, EMPTY_IS_DEFAULT] = Collect()
    channels: Annotated[dict[Name, ChannelConfiguration], EMPTY_IS_DEFAULT] = Field(
        default_factory=dict, description="The ways to reach people, by the names that rules call them."
    )
    alerts: Annotated[Alerts, EMPTY_IS_DEFAULT] = Alerts()
    backups: Annotated[Backups, EMPTY_IS_DEFAULT] = Backups()

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        if not is_zone(name):
            near = get_close_matches(name, available_timezones(), n=1)
            raise ValueError(
                f"{name!r} is no time zone; " + (f"did you mean {near[0]}?" if near else "write Asia/Tokyo")
            )
        return name

    @field_validator("state")
    @classmethod
    def _is_state(cls, state: str) -> str:
        if state.startswith(("postgresql:", "postgres:")):
            raise misfit("a state shared in PostgreSQL is not in this version; write sqlite:///var/lib/toban/state.db")
        if not state.startswith(f"{_SQLITE}/") or state.endswith("/"):
            raise misfit("is no sqlite:// and an absolute path; write sqlite:///var/lib/toban/state.db")
        if len(state.removeprefix(_SQLITE).encode()) > _STATE_MAX_BYTES:
            raise misfit(
                f"is longer than {_STATE_MAX_BYTES} bytes; the daemon's socket stands beside it and would not fit"
            )
        return state

    @property
    def chosen_language(self) -> str | None:
        """The language, where one is written; else whoever types brings it with the locale."""
        return self.language if "language" in self.model_fields_set else None

    @property
    def zone(self) -> tzinfo:
        """The time zone itself."""
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)

    @property
    def state_path(self) -> Path:
        """The file that holds the state."""
        return Path(self.state.removeprefix(_SQLITE))

    @property
    def socket_path(self) -> Path:
        """Where the daemon answers the command line: beside its state, since whoever knows the one finds the other."""
        return self.state_path.with_suffix(".sock")

    def settings_of(self, collector: str) -> CollectorSettings:
        """One collector's settings, by its name."""
        settings = getattr(self.collect, collector)
        assert isinstance(settings, CollectorSettings)  # noqa: S101 - `Collect` is made of nothing else
        return settings

    def entries_of(self, collector: str) -> tuple[EntrySettings, ...]:
        """The entries of a collector that is a list, by its name."""
        entries: tuple[EntrySettings, ...] = getattr(self.collect, collector)
        return entries

    @model_validator(mode="after")
    def _entries_are_told_apart(self) -> "Configuration":
        for collector in COLLECTORS:
            if collector.listed:
                _check_entries(self, collector)
        return self


def _check_entries(configuration: Configuration, collector: type[Collector[Any, Any]]) -> None:
    """Each entry has a name of its own; one that names a target names one that there is, of a kind that can do it."""
    kinds = {target.name: Kind(target.kind) for target in configuration.targets}
    seen: set[str] = set()
    for place, entry in enumerate(configuration.entries_of(collector.name)):
        at = ("collect", collector.name, place)
        if entry.name in seen:
            raise misfit(f"another entry is called {entry.name} too", *at, "name")
        seen.add(entry.name)
        target = getattr(entry, "target", None)
        if target is None:
            continue
        if target not in kinds:
            near = get_close_matches(target, kinds, n=1)
            raise misfit("no such target" + (f"; did you mean {near[0]}?" if near else ""), *at, "target")
        if not collector.serves(kinds[target]):
            raise misfit(f"{target} is of kind {kinds[target]}, which takes no {collector.name}", *at, "target")
    for place, why in collector.clashes(configuration.entries_of(collector.name)):
        raise misfit(why, "collect", collector.name, place, "name")


def is_zone(name: str) -> bool:
    """Whether there is such a time zone; UTC there is even without a zone database."""
    try:
        return name == "UTC" or ZoneInfo(name) is not None
    except (KeyError, ValueError, OSError):
        return False
