"""The generic webhook: the outer surface's own document, signed in two ways, the same key over every retry."""

import base64
import binascii
import hashlib
import hmac
import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from alerting.address import WebUrl
from alerting.channels.answers import not_taken
from alerting.channels.http import Headers, HttpChannel, HttpSettings, encoded
from alerting.messages import Letter
from toban.alerts import Alert, Delivery, Notice, Outcome, State, What
from toban.clock import moment
from toban.config import misfit
from toban.secrets import Secret

VERSION: Final = 1
MOST_SECRETS: Final = 5
MOST_ALERTS: Final = 500  # of a digest, in one body
MOST_LABELS: Final = 64
_TEXT_CHARACTERS = 8_000
_LABEL_CHARACTERS = 1_000
_GONE = 410
_WHSEC = "whsec_"
_RESERVED = ("idempotency-key", "toban-signature", "webhook-id", "webhook-timestamp", "webhook-signature")


def _as_several(value: Any) -> Any:  # noqa: ANN401 - whatever YAML held
    return (value,) if isinstance(value, str | Secret) else value


def _are_free(headers: dict[str, Secret]) -> dict[str, Secret]:
    for name in headers:
        if name.lower() in _RESERVED:
            raise misfit("is a header that Toban itself sends", name)
    return headers


_SECRET_SCHEMA = {"type": "string", "format": "password"}
Secrets = Annotated[
    tuple[Secret, ...],
    BeforeValidator(_as_several),
    WithJsonSchema({"anyOf": [_SECRET_SCHEMA, {"type": "array", "items": _SECRET_SCHEMA, "maxItems": MOST_SECRETS}]}),
]


class WebhookSettings(HttpSettings):
    """Where to post, and what to sign with: while secrets are changed over, with the new and the old one."""

    kind: Literal["webhook"] = "webhook"
    url: WebUrl
    secret: Annotated[Secrets, Field(max_length=MOST_SECRETS)] = ()
    headers: Annotated[Headers, AfterValidator(_are_free)] = Field(default_factory=dict)


class Webhook(HttpChannel[WebhookSettings]):
    """Any program that takes JSON by POST."""

    kind = "webhook"
    settings_model = WebhookSettings
    per_second: ClassVar[float] = 10.0
    burst: ClassVar[int] = 20
    keyed = True

    async def send(self, letter: Letter) -> Delivery:
        """Post once. Any 2xx is a yes; 410 shuts the channel."""
        body = encoded(document(letter))
        headers = {name: value.reveal() for name, value in self.settings.headers.items()}
        signed = signatures(self.settings.secret, letter.key, int(self.clock.now()), body)
        answer = await self.post_bytes(self.settings.url, body, {**headers, "Idempotency-Key": letter.key, **signed})
        if isinstance(answer, Delivery):
            return answer
        if answer.status == _GONE:
            return Delivery(outcome=Outcome.GONE, detail="status 410: the receiver wants no more of this")
        taken = Delivery(outcome=Outcome.SENT, detail=f"status {answer.status}", receipt={"id": letter.key})
        return not_taken(answer, self.clock.now()) or taken


def signatures(secrets: Sequence[Secret], key: str, at: int, body: bytes) -> dict[str, str]:
    """The headers that prove who sent this, and when: ours, and those of Standard Webhooks. Unsigned, the id."""
    named = {"webhook-id": key, "webhook-timestamp": str(at)}
    if not secrets:
        return named
    ours = [_mac(secret.reveal().encode(), f"{at}.".encode() + body).hex() for secret in secrets]
    standard = [_mac(_standard_key(secret), f"{key}.{at}.".encode() + body) for secret in secrets]
    return {
        **named,
        "Toban-Signature": ",".join([f"t={at}", *(f"v1={mac}" for mac in ours)]),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in standard),
    }


def document(letter: Letter) -> dict[str, Any]:
    """The body, as the outer surface has it."""
    message, alert = letter.message, letter.notice.alert
    told = {
        "version": VERSION,
        "id": letter.key,
        "node": letter.node,
        "status": status_of(letter.notice, letter.digest),
        **_of_alert(alert),
        "severity": message.severity.value,
        "title": message.title[:_TEXT_CHARACTERS],
        "summary": message.summary[:_TEXT_CHARACTERS],
        "description": message.text[:_TEXT_CHARACTERS],
        "runbook": message.runbook[:_TEXT_CHARACTERS],
        "url": letter.url,
        "what": letter.notice.what.value,
    }
    if letter.notice.what is What.UNDELIVERED:
        told["ended_at"] = None  # whatever became of the alerts that were lost
    if letter.digest:
        told["alerts"] = [_of_notice(notice) for notice in letter.digest[:MOST_ALERTS]]
        told["alerts_left_out"] = max(len(letter.digest) - MOST_ALERTS, 0)
    return told


def status_of(notice: Notice, digest: Sequence[Notice] = ()) -> str:
    """Firing, acknowledged or resolved. Of a digest, the least settled; a channel out of reach is trouble of today."""
    if notice.what is What.UNDELIVERED:
        return "firing"
    if digest:
        found = {status_of(one) for one in digest}
        return next(status for status in ("firing", "acknowledged", "resolved") if status in found)
    if notice.what is What.RESOLVED or notice.alert.state is State.RESOLVED:
        return "resolved"
    if notice.what is What.ACKNOWLEDGED or notice.alert.state is State.ACKNOWLEDGED:
        return "acknowledged"
    return "firing"


def iso(at: float | None) -> str | None:
    """A moment with its zone, in UTC."""
    return None if at is None else moment(at).isoformat(timespec="milliseconds")


def _of_notice(notice: Notice) -> dict[str, Any]:
    return {"id": notice.key, "what": notice.what.value, "status": status_of(notice), **_of_alert(notice.alert)}


def _of_alert(alert: Alert) -> dict[str, Any]:
    return {
        "episode": alert.episode,
        "severity": alert.severity.value,
        "rule": alert.key.rule,
        "target": alert.key.target,
        "labels": {name: value[:_LABEL_CHARACTERS] for name, value in alert.key.labels[:MOST_LABELS]},
        "metric": alert.metric,
        "value": alert.value if math.isfinite(alert.value) else None,
        "unit": alert.unit.value,
        "threshold": alert.threshold,
        "started_at": iso(alert.started_at),
        "ended_at": iso(alert.resolved_at),
        "escalation_level": alert.level,
        "acknowledged_by": alert.acknowledged_by or None,
        "data": alert.data.value,
        "cause": alert.cause or None,
        "test": alert.test,
    }


def _mac(key: bytes, signed: bytes) -> bytes:
    return hmac.new(key, signed, hashlib.sha256).digest()


def _standard_key(secret: Secret) -> bytes:
    """Standard Webhooks writes its keys as `whsec_` and base64; any other secret is taken as it is."""
    written = secret.reveal()
    if written.startswith(_WHSEC):
        try:
            return base64.b64decode(written.removeprefix(_WHSEC), validate=True)
        except binascii.Error:
            pass
    return written.encode()
