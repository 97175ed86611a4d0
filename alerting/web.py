"""HTTP towards receivers: one request, bounded in time and size, without redirects, and no secret in any error.

The address is resolved once a request and pinned; the certificate is still checked against the name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

MOST_ANSWER_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the receiver said: at most `MOST_ANSWER_BYTES` of it."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class WebError(Exception):
    """No answer could be had. `detail` is for people and holds no secret: no path, no query of a URL.

    `final` says that trying again is of no use: the address itself is at fault. `unsure` says that the request was on
    its way when things went wrong: it may have arrived.
    """

    def __init__(self, detail: str, *, final: bool = False, unsure: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.final = final
        self.unsure = unsure


class Web(Protocol):
    """What the channels ask of HTTP."""

    async def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str] = ..., timeout_seconds: float = ...
    ) -> Answer:
        """POST once. Raises `WebError` where there is no answer; any status is an answer."""
        ...

    async def get(self, url: str, *, timeout_seconds: float = ...) -> Answer:
        """GET once, likewise."""
        ...


class TrustingWeb(Web, Protocol):
    """A web that can be told of further authorities than the system's."""

    def trusting(self, authorities: Path) -> Web:
        """The same, which takes certificates of these as well."""
        ...
