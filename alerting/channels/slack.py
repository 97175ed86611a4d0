"""Slack, by an incoming webhook or by a bot's token: one message an episode, kept up to date, the rest in its thread.

A webhook tells no `ts` and thus knows no thread. Mattermost and Rocket.Chat take the same webhooks.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from alerting.address import WebUrl
from alerting.channels.answers import document, not_taken, wait_seconds
from alerting.channels.http import HttpChannel, HttpSettings, Token
from alerting.channels.slack_blocks import blocks, plain
from alerting.messages import Letter
from alerting.web import Answer
from toban.alerts import Delivery, Outcome, What
from toban.config import misfit

REPLY_SHARE: Final = 0.6  # of the time for one notice; the rest is for bringing the first message up to date
UPDATE_SHARE: Final = 0.3
_ERROR = re.compile(r"[a-z_]{1,60}")
_TRANSIENT = frozenset(
    {
        *("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"),
        *("team_added_to_org", "org_login_required"),  # the workspace is being moved
    }
)
_LOUD = frozenset({What.WORSENED, What.ESCALATED, What.REPEATED, What.LAPSED, What.NO_DATA})
"""What is told in the channel besides its thread, where only those who follow the thread would hear of it."""


class SlackSettings(HttpSettings):
    """Either the `url` of an incoming webhook, or a bot's `token` and the `channel` it writes into."""

    kind: Literal["slack"] = "slack"
    url: WebUrl | None = None
    token: Token | None = None
    channel: str | None = Field(default=None, min_length=1, max_length=200)
    api_url: WebUrl = Field(default=WebUrl("https://slack.com/api"), description="Of Slack, or of what is like it.")

    @model_validator(mode="after")
    def _goes_one_way(self) -> "SlackSettings":
        if self.url is not None and self.token is not None:
            raise misfit("goes by url or by token, not by both", "token")
        if self.url is None and self.token is None:
            raise misfit("needs the url of an incoming webhook, or token and channel")
        if (self.token is None) != (self.channel is None):
            raise misfit("token and channel go together", "token" if self.channel is None else "channel")
        return self


class Slack(HttpChannel[SlackSettings]):
    """A channel of Slack's."""

    kind = "slack"
    settings_model = SlackSettings
    media_type: ClassVar[str] = "application/json; charset=utf-8"
    per_second: ClassVar[float] = 1.0
    burst: ClassVar[int] = 3
    answers_apart = True

    async def send(self, letter: Letter) -> Delivery:
        """Post once: by the webhook, or into the thread of the episode."""
        said = {"text": plain(letter.message), "blocks": blocks(letter)}
        if self.settings.url is not None:
            return self._of_webhook(await self.post(self.settings.url, said))
        return await self._by_token(letter, said)

    async def _by_token(self, letter: Letter, said: Mapping[str, Any]) -> Delivery:
        fresh = {"channel": self.settings.channel, "unfurl_links": False, "unfurl_media": False, **said}
        first = {} if letter.digest else letter.thread
        if not first.get("ts"):
            return await self._call("chat.postMessage", fresh, share=1.0)
        place = first.get("channel") or self.settings.channel
        reply = {**fresh, "channel": place, "thread_ts": first["ts"], "reply_broadcast": letter.notice.what in _LOUD}
        delivery = await self._call("chat.postMessage", reply, share=REPLY_SHARE)
        if delivery.outcome is Outcome.REFUSED and _ERROR.fullmatch(delivery.detail):
            # by Slack's own word: the thread is gone or closed, or the channel is another one by now
            return await self._call("chat.postMessage", fresh, share=UPDATE_SHARE)
        if delivery.outcome is not Outcome.SENT:
            return delivery
        update = {"channel": place, "ts": first["ts"], **said}
        renewed = await self._call("chat.update", update, share=UPDATE_SHARE)
        if renewed.outcome is Outcome.SENT:
            return delivery
        detail = f"the first message was not brought up to date: {renewed.detail}"
        return Delivery(outcome=Outcome.SENT, detail=detail, receipt=delivery.receipt)

    async def _call(self, method: str, said: Mapping[str, Any], *, share: float) -> Delivery:
        assert self.settings.token is not None  # noqa: S101 - the settings' own validator saw to it
        headers = {"Authorization": f"Bearer {self.settings.token.reveal()}"}
        answer = await self.post(self.settings.api_url.below(method), said, headers, share=share)
        return answer if isinstance(answer, Delivery) else self._of_api(answer)

    def _of_webhook(self, answer: Answer | Delivery) -> Delivery:
        if isinstance(answer, Delivery):
            return answer
        now = self.clock.now()
        refused = not_taken(answer, now)
        if refused is not None:
            return _with_error(refused, _error_of(answer.body))
        if answer.body.strip() == b"ok" or document(answer).get("success") is True:
            return Delivery(outcome=Outcome.SENT, detail="ok")
        error = _error_of(answer.body)
        if error and error not in _TRANSIENT:
            return Delivery(outcome=Outcome.REFUSED, detail=error)
        detail = error or f"status {answer.status}, but the answer is not Slack's"
        return Delivery(outcome=Outcome.RETRY, detail=detail, after_seconds=wait_seconds(answer, now), unsure=not error)

    def _of_api(self, answer: Answer) -> Delivery:
        """It says `ok`, or its own word for what is wrong, with whatever status."""
        now, said = self.clock.now(), document(answer)
        error = _error_of(str(said.get("error", "")).encode(errors="replace"))
        refused = not_taken(answer, now)
        if refused is not None:
            return _with_error(refused, error)
        if said.get("ok") is True:
            receipt = {name: str(said[name])[:100] for name in ("ts", "channel") if said.get(name)}
            return Delivery(outcome=Outcome.SENT, detail="ok", receipt=receipt)
        if said.get("ok") is not False:
            return Delivery(outcome=Outcome.RETRY, detail="the answer is not Slack's", unsure=True)
        if error and error not in _TRANSIENT:
            return Delivery(outcome=Outcome.REFUSED, detail=error)
        detail = error or "Slack says no, and not why"
        return Delivery(outcome=Outcome.RETRY, detail=detail, after_seconds=wait_seconds(answer, now))


def _with_error(delivery: Delivery, error: str) -> Delivery:
    detail = f"{delivery.detail}: {error}" if error else delivery.detail
    return Delivery(outcome=delivery.outcome, detail=detail, after_seconds=delivery.after_seconds)


def _error_of(body: bytes) -> str:
    """Slack's word for what is wrong, where it is a word: nothing else of an answer is ever shown."""
    match = _ERROR.fullmatch(body[:100].decode(errors="replace").strip())
    return match[0] if match and match[0] != "ok" else ""
