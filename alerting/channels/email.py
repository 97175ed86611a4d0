"""Mail, by SMTP: encrypted unless told otherwise, one mail for each notice, and whoever took it is not asked again."""

import re
from contextlib import suppress
from email.headerregistry import Address
from email.utils import parseaddr
from typing import Annotated, Any, ClassVar, Final, Literal

import structlog
from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPException,
    SMTPHeloError,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponse,
    SMTPResponseException,
    SMTPServerDisconnected,
)
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from alerting.channels.contract import Channel, ChannelSettings
from alerting.channels.mail_form import mail
from alerting.channels.taken import Taken, patient
from alerting.lines import one_line
from alerting.messages import Letter
from toban.alerts import Delivery, Outcome
from toban.config import AbsolutePath, misfit
from toban.secrets import Secret, blot

PORTS: Final = {"starttls": 587, "implicit": 465, "none": 25}
COMMAND_SHARE: Final = 0.85  # of the channel's timeout, for each command; the dispatcher bounds the whole
PARTING_SECONDS: Final = 0.5
MOST_RECIPIENTS: Final = 100
MOST_DETAIL_LETTERS: Final = 300
_PERMANENT = 500
_MAY_BE_MENDED = frozenset({530, 534, 535, 538})  # a login that is missing or wrong
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")

logger = structlog.get_logger(__name__)


def _is_mailbox(text: str) -> str:
    name, mailbox = parseaddr(text)
    if not text.isprintable() or not _MAILBOX.fullmatch(mailbox) or not (mailbox == text.strip() or "<" in text):
        raise misfit(f"{one_line(text)!r} is no mail address; write dba@example.org or Name <dba@example.org>")
    address_of(text)
    return text if name else mailbox


def _as_several(value: Any) -> Any:  # noqa: ANN401 - whatever YAML held
    return (value,) if isinstance(value, str) else value


def address_of(text: str) -> Address:
    """`Name <mailbox>` taken apart."""
    name, mailbox = parseaddr(text)
    user, _, domain = mailbox.rpartition("@")
    return Address(display_name=name, username=user, domain=domain)


Mailbox = Annotated[str, AfterValidator(_is_mailbox)]


class EmailSettings(ChannelSettings):
    """A mail server, who writes, and to whom."""

    model_config = ConfigDict(serialize_by_alias=True)  # `from` is no name that Python takes

    kind: Literal["email"] = "email"
    host: str = Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_-]+$")
    port: int | None = Field(default=None, ge=1, le=65535, description="Default: 587, implicit TLS 465, none 25.")
    tls: Literal["starttls", "implicit", "none"] | None = Field(
        default=None, description="Default: starttls, and that the server must have it; implicit on port 465."
    )
    ca: AbsolutePath | None = Field(default=None, description="Further authorities whose certificates are taken.")
    username: str | None = Field(default=None, min_length=1, max_length=500)
    password: Secret | None = None
    sender: Mailbox = Field(alias="from")
    to: Annotated[tuple[Mailbox, ...], BeforeValidator(_as_several), Field(min_length=1, max_length=MOST_RECIPIENTS)]

    @model_validator(mode="after")
    def _keeps_its_password(self) -> "EmailSettings":
        if (self.username is None) != (self.password is None):
            raise misfit("username and password go together", "password" if self.password else "username")
        if self.password is not None and self.encryption == "none" and self.host not in _LOCAL:
            raise misfit("would send the password in the clear; use starttls or implicit", "tls")
        return self

    @property
    def encryption(self) -> Literal["starttls", "implicit", "none"]:
        """As written, else by the port."""
        return self.tls or ("implicit" if self.port == PORTS["implicit"] else "starttls")

    @property
    def where(self) -> int:
        """The port as written, else by the encryption."""
        return self.port or PORTS[self.encryption]


class Email(Channel[EmailSettings]):
    """Mail to everyone in `to`."""

    kind = "email"
    settings_model = EmailSettings
    per_second: ClassVar[float] = 1.0
    burst: ClassVar[int] = 10

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on
        super().__init__(*args, **kwargs)
        self._taken = Taken()

    async def send(self, letter: Letter) -> Delivery:
        """One mail to all who have not taken it yet."""
        sender = address_of(self.settings.sender)
        to = tuple(map(address_of, self.settings.to))
        form = mail(letter, sender=sender, to=to, now=self.clock.now()).as_bytes()
        took = self._taken.by(letter.key)
        waiting = [one.addr_spec for one in to if one.addr_spec not in took]
        server = self._server(sender.domain)
        try:
            await server.connect()
            refused, said = await server.sendmail(sender.addr_spec, waiting, form)
            await _part(server)
        except (SMTPException, OSError, TimeoutError) as error:
            return self._failed(error, handed=server.handed)
        finally:
            server.close()
        now_took = took | frozenset(waiting).difference(refused)
        return self._settled(letter, now_took, dict(refused), said)

    def _server(self, name: str) -> "_Server":
        settings = self.settings
        return _Server(
            hostname=settings.host,
            port=settings.where,
            use_tls=settings.encryption == "implicit",
            start_tls=settings.encryption == "starttls",
            cert_bundle=str(settings.ca) if settings.ca else None,
            username=settings.username,
            password=settings.password.reveal() if settings.password else None,
            local_hostname=name,
            timeout=settings.timeout * COMMAND_SHARE,
        )

    def _settled(self, letter: Letter, took: frozenset[str], refused: dict[str, Any], said: str) -> Delivery:
        """Sent, though some may never take it; later, where some only put it off, and not for ever."""
        self._taken.forget(letter.key)
        detail = self._told(said)
        later = [answer for answer in refused.values() if answer.code < _PERMANENT]
        if refused:
            code, words = next(iter(later or refused.values()))
            detail = self._told(f"{len(refused)} of {len(self.settings.to)} recipients refused it: {code} {words}")
        if later and (not took or patient(letter, self.clock)):
            self._taken.remember(letter.key, took)
            return Delivery(outcome=Outcome.RETRY, detail=detail, unsure=bool(took), partly=bool(took))
        if refused:
            logger.warning("recipients_refused", channel=self.name, why=detail)  # else nobody would look there
        return Delivery(outcome=Outcome.SENT, detail=detail, receipt={"answer": self._told(said)})

    def _failed(self, error: Exception, *, handed: bool) -> Delivery:
        """What no recipient has taken, as far as is known: where it was handed over, it may have arrived."""
        if isinstance(error, SMTPRecipientsRefused):
            return self._all_refused(error.recipients)
        if isinstance(error, SMTPResponseException):
            detail = self._told(f"{error.code} {error.message}")
            return Delivery(outcome=_outcome(error), detail=detail)
        if isinstance(error, TimeoutError):
            why = "no answer in time"
        elif isinstance(error, SMTPServerDisconnected):
            why = "the server hung up"
        else:
            detail = self._told(str(error) or type(error).__name__)
            return Delivery(outcome=Outcome.RETRY, detail=detail, unsure=handed)
        where = f"{self.settings.host}:{self.settings.where}"
        return Delivery(outcome=Outcome.RETRY, detail=f"{where}: {why}", unsure=handed)

    def _all_refused(self, refusals: list[SMTPRecipientRefused]) -> Delivery:
        later = [one for one in refusals if one.code < _PERMANENT]
        first = (later or refusals)[0]
        count = f"{len(refusals)} of {len(self.settings.to)} recipients refused it"
        detail = self._told(f"{count}: {first.code} {first.message}")
        return Delivery(outcome=Outcome.RETRY if later else Outcome.REFUSED, detail=detail)

    def _told(self, text: str) -> str:
        """A server's words, without what is secret, on one line."""
        return one_line(blot(text, *(one.reveal() for one in self.secrets(self.settings))), MOST_DETAIL_LETTERS)


class _Server(SMTP):
    """A connection that knows whether the mail itself was handed over."""

    handed = False

    async def data(self, message: str | bytes, /, **options: Any) -> SMTPResponse:  # noqa: ANN401 - handed on
        self.handed = True
        return await super().data(message, **options)


def _outcome(error: SMTPResponseException) -> Outcome:
    """A login, a greeting and whatever is below 500 may be mended; what is said of the mail itself holds."""
    at_the_door = isinstance(error, SMTPAuthenticationError | SMTPConnectError | SMTPHeloError)
    mendable = at_the_door or error.code in _MAY_BE_MENDED or error.code < _PERMANENT
    return Outcome.RETRY if mendable else Outcome.REFUSED


async def _part(server: SMTP) -> None:
    """Say goodbye, but hardly wait for an answer to it: the mail is delivered whether it comes or not."""
    with suppress(SMTPException, OSError, TimeoutError):
        await server.quit(timeout=PARTING_SECONDS)
