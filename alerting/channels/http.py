"""What the channels over HTTP share: an address that is asked, with a document, within the channel's time."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, TypeVar

from pydantic import AfterValidator, Field

from alerting.address import WebUrl
from alerting.channels.answers import missed
from alerting.channels.contract import Channel, ChannelSettings
from alerting.web import Answer, WebError
from toban.alerts import Delivery
from toban.config import AbsolutePath, misfit
from toban.secrets import Secret

TIME_SHARE: Final = 0.85  # of the channel's timeout; the rest is for the end of an answer, and to say what it was
MOST_HEADERS: Final = 20
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NO_HEADER_VALUE = re.compile(r"[^\x20-\x7e]")


def _are_headers(headers: dict[str, Secret]) -> dict[str, Secret]:
    if len(headers) > MOST_HEADERS:
        raise misfit(f"are more than {MOST_HEADERS}")
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            raise misfit("is no header's name", name)
        if _NO_HEADER_VALUE.search(value.reveal()):
            raise misfit("holds a line break or another character that no header may have", name)
    return headers


def _is_token(token: Secret) -> Secret:
    if _NO_HEADER_VALUE.search(token.reveal()) or " " in token.reveal():
        raise misfit("holds a blank, a line break or another character that no token has")
    return token


Headers = Annotated[dict[str, Secret], AfterValidator(_are_headers)]
Token = Annotated[Secret, AfterValidator(_is_token)]


class HttpSettings(ChannelSettings):
    """What can be said of any channel over HTTP."""

    ca: AbsolutePath | None = Field(default=None, description="Further authorities whose certificates are taken.")


HttpSettingsT = TypeVar("HttpSettingsT", bound=HttpSettings)


class HttpChannel(Channel[HttpSettingsT]):
    """A channel that posts documents."""

    media_type: ClassVar[str] = "application/json"

    async def post(
        self,
        url: WebUrl,
        document: object,
        headers: Mapping[str, str] | None = None,
        *,
        share: float = 1.0,
    ) -> Answer | Delivery:
        """The answer; where there is none, what became of it. `share` is of the channel's time."""
        return await self.post_bytes(url, encoded(document), headers, share=share)

    async def post_bytes(
        self, url: WebUrl, body: bytes, headers: Mapping[str, str] | None = None, *, share: float = 1.0
    ) -> Answer | Delivery:
        """The same, of what is encoded already."""
        seconds = self.settings.timeout * TIME_SHARE * share
        try:
            return await self.web.post(
                url.reveal(),
                body=body,
                headers={**(headers or {}), "Content-Type": self.media_type},
                timeout_seconds=seconds,
            )
        except WebError as error:
            return missed(error)


def encoded(document: object) -> bytes:
    """As JSON in UTF-8. A lone surrogate, which no encoding takes, becomes a question mark."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(errors="replace")
