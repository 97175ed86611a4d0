"""Text messages and calls through Twilio, and through what speaks its interface.

It knows no idempotency key: the SID is kept as the receipt, and a message lives for minutes, not hours.
"""

import base64
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import urlencode
from xml.sax.saxutils import escape, quoteattr

import structlog
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from alerting.address import WebUrl
from alerting.channels.answers import document, not_taken
from alerting.channels.fitting import fitted
from alerting.channels.http import HttpChannel, HttpSettings
from alerting.channels.sms import sms
from alerting.channels.taken import Taken, patient
from alerting.messages import Letter, Message
from alerting.web import Answer
from toban.alerts import Delivery, Outcome
from toban.catalogue import say
from toban.config import Duration, misfit
from toban.language import Language
from toban.secrets import Secret

MOST_RECEIVERS: Final = 10
MOST_SPOKEN_LETTERS: Final = 600
LONGEST_VALIDITY_SECONDS: Final = 14_400.0
_VOICES = {Language.EN: "en-US", Language.JA: "ja-JP"}
_TELEPHONE = r"^\+[1-9][0-9]{6,14}$"
_SENDER = r"^(\+[1-9][0-9]{6,14}|[A-Za-z0-9 ]{1,11}|[0-9]{3,8})$"
_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")
_UNSPOKEN = re.compile(r"[^\w\s.,:%()/-]+")

logger = structlog.get_logger(__name__)


def _as_several(value: Any) -> Any:  # noqa: ANN401 - whatever YAML held
    return (value,) if isinstance(value, str) else value


class TwilioSettings(HttpSettings):
    """The account, who calls, and whom."""

    model_config = ConfigDict(serialize_by_alias=True)  # `from` is no name that Python takes

    kind: Literal["twilio"] = "twilio"
    via: Literal["sms", "voice"] = "sms"
    account_sid: str = Field(pattern=r"^AC[0-9a-fA-F]{32}$")
    auth_token: Secret | None = None
    api_key: str | None = Field(default=None, pattern=r"^SK[0-9a-fA-F]{32}$", description="Instead of auth_token.")
    api_secret: Secret | None = None
    sender: str | None = Field(default=None, alias="from", pattern=_SENDER)
    messaging_service: str | None = Field(default=None, pattern=r"^MG[0-9a-fA-F]{32}$", description="Instead of from.")
    to: Annotated[
        tuple[Annotated[str, Field(pattern=_TELEPHONE)], ...],
        BeforeValidator(_as_several),
        Field(min_length=1, max_length=MOST_RECEIVERS),
    ]
    validity: Duration = Field(
        default=600.0, ge=60.0, le=LONGEST_VALIDITY_SECONDS, description="A text message that waits longer is void."
    )
    twiml: str | None = Field(default=None, max_length=4000, description="Of a call, instead of what Toban says.")
    gather: WebUrl | None = Field(default=None, description="Where a call posts the key that was pressed.")
    api_url: WebUrl = Field(default=WebUrl("https://api.twilio.com"), description="Of Twilio, or of what is like it.")

    @model_validator(mode="after")
    def _is_whole(self) -> "TwilioSettings":
        if (self.api_key is None) != (self.api_secret is None):
            raise misfit("api_key and api_secret go together", "api_key" if self.api_key else "api_secret")
        if (self.auth_token is None) == (self.api_key is None):
            raise misfit("needs auth_token, or api_key with api_secret, and not both")
        if (self.sender is None) == (self.messaging_service is None):
            raise misfit("needs from or messaging_service, and not both")
        if self.via == "voice" and self.sender is None:
            raise misfit("a call needs from", "messaging_service")
        return self


class Twilio(HttpChannel[TwilioSettings]):
    """A text message or a call for each new trouble; that somebody is at it, or that it is over, wakes nobody."""

    kind = "twilio"
    settings_model = TwilioSettings
    media_type: ClassVar[str] = "application/x-www-form-urlencoded"
    per_second: ClassVar[float] = 1.0
    burst: ClassVar[int] = 3
    acks = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on
        super().__init__(*args, **kwargs)
        self._taken = Taken()

    async def send(self, letter: Letter) -> Delivery:
        """To one after the other; who has it already is not told again because another one could not be."""
        took, failed = dict.fromkeys(self._taken.by(letter.key), ""), []
        waiting = [number for number in self.settings.to if number not in took]
        for number in waiting:
            delivery = await self._tell(number, letter, share=1 / len(waiting))
            if delivery.outcome is Outcome.SENT:
                took[number] = delivery.receipt.get("sid", "")
            else:
                failed.append(delivery)
        return self._settled(letter, took, failed)

    def _settled(self, letter: Letter, took: Mapping[str, str], failed: list[Delivery]) -> Delivery:
        self._taken.forget(letter.key)
        if not failed:
            return _sent("taken", took)
        later = next((one for one in failed if one.outcome is Outcome.RETRY), None)
        first = later or failed[0]
        several = len(self.settings.to) > 1
        detail = f"{len(failed)} of {len(self.settings.to)} receivers: {first.detail}" if several else first.detail
        if took and (later is None or not patient(letter, self.clock)):
            logger.warning("receivers_refused", channel=self.name, why=detail)  # else nobody would look there
            return _sent(detail, took)
        if later is not None:
            self._taken.remember(letter.key, frozenset(took))
        unsure = bool(took) or any(one.unsure for one in failed)
        return Delivery(
            outcome=first.outcome,
            detail=detail,
            after_seconds=first.after_seconds,
            unsure=unsure,
            partly=bool(took),
        )

    async def _tell(self, number: str, letter: Letter, *, share: float) -> Delivery:
        settings = self.settings
        resource = "Messages" if settings.via == "sms" else "Calls"
        url = settings.api_url.below(f"2010-04-01/Accounts/{settings.account_sid}/{resource}.json")
        form = self._text(letter) if settings.via == "sms" else self._call(letter)
        sender = {"From": settings.sender} if settings.sender else {"MessagingServiceSid": settings.messaging_service}
        body = urlencode({"To": number, **sender, **form}, errors="replace").encode()
        return self._read(await self.post_bytes(url, body, {"Authorization": self._login()}, share=share))

    def _text(self, letter: Letter) -> dict[str, str]:
        body = sms(letter.message, repeat=letter.possible_repeat)
        return {"Body": body, "ValidityPeriod": f"{self.settings.validity:.0f}"}

    def _call(self, letter: Letter) -> dict[str, str]:
        said = twiml(letter.message, self.settings.gather, repeat=letter.possible_repeat)
        return {"Twiml": self.settings.twiml or said}

    def _login(self) -> str:
        settings = self.settings
        secret = settings.auth_token or settings.api_secret
        assert secret is not None  # noqa: S101 - the settings' own validator saw to it
        user = settings.api_key or settings.account_sid
        return "Basic " + base64.b64encode(f"{user}:{secret.reveal()}".encode()).decode()

    def _read(self, answer: Answer | Delivery) -> Delivery:
        if isinstance(answer, Delivery):
            return answer
        said = document(answer)
        refused = not_taken(answer, self.clock.now())
        if refused is not None:
            code = said.get("code")
            detail = f"{refused.detail}: error {code}" if isinstance(code, int) else refused.detail
            return Delivery(outcome=refused.outcome, detail=detail, after_seconds=refused.after_seconds)
        sid = str(said.get("sid", ""))
        if not _SID.fullmatch(sid):
            told = f"status {answer.status}, but the answer is not Twilio's"
            return Delivery(outcome=Outcome.RETRY, detail=told, unsure=True)
        return Delivery(outcome=Outcome.SENT, detail=str(said.get("status", ""))[:20], receipt={"sid": sid})


def _sent(detail: str, took: Mapping[str, str]) -> Delivery:
    return Delivery(outcome=Outcome.SENT, detail=detail, receipt={"sid": ",".join(filter(None, took.values()))})


def twiml(message: Message, gather: WebUrl | None = None, *, repeat: bool = False) -> str:
    """What is said on the telephone, twice; where a key can be told to somebody, one ends it."""
    mark = f"{say('channel.repeat', message.language)}. " if repeat else ""
    spoken = _UNSPOKEN.sub(" ", fitted(f"{mark}{message.title}. {message.summary}", MOST_SPOKEN_LETTERS))
    verb = f'<Say language="{_VOICES[message.language]}" loop="2">{escape(" ".join(spoken.split()))}</Say>'
    if gather is not None:
        verb = f'<Gather numDigits="1" timeout="10" action={quoteattr(gather.reveal())}>{verb}</Gather>'
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{verb}</Response>'
