"""What can be said of one entry under `collect: probes:`."""

import re
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, model_validator

from collectors.backtracking import hangs
from collectors.contract import EntrySettings
from toban.config import AbsolutePath, misfit
from toban.secrets import MASK, Secret

SCHEMES = ("http", "https", "tcp")
MOST_HEADERS = 20
_STATUS = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FOR_HTTP = ("method", "status", "body", "headers", "authorities", "insecure", "redirects")


class Url(Secret):
    """Where to ask. It prints without login and query, which often hold a token."""

    __slots__ = ()

    @property
    def parts(self) -> SplitResult:
        """The pieces."""
        return urlsplit(self._value)

    @property
    def host(self) -> str:
        """The host alone, an IPv6 address without its brackets."""
        return self.parts.hostname or ""

    @property
    def port(self) -> int:
        """Where none is written, the scheme's own."""
        return self.parts.port or (443 if self.parts.scheme == "https" else 80)

    @property
    def masked(self) -> str:
        """What may be shown."""
        parts = self.parts
        login, at, place = parts.netloc.rpartition("@")
        shown = f"{MASK}{at}{place}" if login else place
        return f"{parts.scheme}://{shown}{parts.path}{'?' + MASK if parts.query else ''}"

    @property
    def fault(self) -> str:
        """Why nobody could ask there, without quoting any of it."""
        wanted = "write https://host:port/path or tcp://host:port"
        if re.search(r"[\x00-\x20\x7f]", self._value):
            return "holds a blank, a line break or another control character"
        try:
            parts, port = self.parts, self.parts.port
        except ValueError:
            return f"has a host or port that is none; {wanted}"
        if parts.scheme not in SCHEMES or not parts.hostname:
            return f"is no address to probe; {wanted}"
        if parts.scheme == "tcp" and (
            port is None or parts.path not in ("", "/") or parts.query or "@" in parts.netloc
        ):
            return "is more or less than tcp://host:port"
        return "" if port != 0 else f"has a host or port that is none; {wanted}"


def _are_statuses(statuses: tuple[int | str, ...]) -> tuple[int | str, ...]:
    for place, status in enumerate(statuses):
        match = _STATUS.fullmatch(str(status))
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise misfit(f"{status!r} is no status; write 204 or 200-399", place)
    return statuses


def _is_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise misfit(f"is no regular expression: {error.msg}") from None
    if why := hangs(pattern):
        raise misfit(why)
    return pattern


def _are_headers(headers: dict[str, Secret]) -> dict[str, Secret]:
    if len(headers) > MOST_HEADERS:
        raise misfit(f"are more than {MOST_HEADERS}")
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            raise misfit("is no header's name", name)
        if re.search(r"[^\x20-\x7e\t]", value.reveal()):
            raise misfit("holds a line break or another character that no header may have", name)
    return headers


class ProbesSettings(EntrySettings):
    """One address, and what counts as an answer."""

    url: Url
    method: Literal["GET", "HEAD", "POST", "OPTIONS"] = "GET"
    status: Annotated[tuple[int | str, ...], AfterValidator(_are_statuses)] = Field(default=("200-399",), min_length=1)
    body: Annotated[str, AfterValidator(_is_pattern)] | None = None
    headers: Annotated[dict[str, Secret], AfterValidator(_are_headers)] = Field(default_factory=dict)
    authorities: AbsolutePath | None = None
    insecure: bool = False
    redirects: bool = False
    window: int = Field(default=20, ge=1, le=1000)

    @model_validator(mode="after")
    def _suits_its_scheme(self) -> "ProbesSettings":
        scheme = self.url.parts.scheme
        for key in _FOR_HTTP:
            if scheme == "tcp" and key in self.model_fields_set:
                raise misfit("is for http and https; tcp:// only connects", key)
        if scheme != "https" and self.insecure and not self.redirects:
            raise misfit("is for https", "insecure")
        if self.redirects and (self.headers or "@" in self.url.parts.netloc):
            raise misfit("would carry the headers or the login to wherever it is sent", "redirects")
        return self

    def wants(self, status: int) -> bool:
        """Whether this status is an answer."""
        for written in self.status:
            match = _STATUS.fullmatch(str(written))
            if match is not None and int(match[1]) <= status <= int(match[2] or match[1]):
                return True
        return False
