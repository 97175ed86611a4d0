"""A real mail server on loopback: TLS and logins where a test asks for them, and every way to misbehave.

What it did not expect fails the test that saw it.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from tests.authority import Pair

Untyped = Any  # aiosmtpd ships no types
LOGIN, PASSWORD = b"toban", b"hunter2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One mail as it was taken."""

    sender: str
    to: list[str]
    content: bytes
    login: object
    encrypted: bool

    @property
    def mail(self) -> EmailMessage:
        """The mail, read."""
        return message_from_bytes(self.content, policy=policy.default)

    def part(self, kind: str) -> str:
        """The text of its plain or HTML part."""
        found = self.mail.get_body((kind,))
        assert found is not None
        text: str = found.get_content()
        return text


@dataclass
class Server:
    """What it has taken, and what it answers instead of yes; `expected` is how many mails the test wants."""

    port: int = 0
    taken: list[Taken] = field(default_factory=list)
    senders: str = ""
    recipients: dict[str, str] = field(default_factory=dict)
    """Address → what it is answered."""
    data: str = ""
    drops_after_data: bool = False
    hangs: bool = False
    expected: int = 1
    asked: int = 0

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's
        self,
        server: Untyped,
        session: Untyped,
        envelope: Untyped,
        address: str,
        options: list[str],
    ) -> str:
        """Who writes."""
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if not self.senders:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return self.senders or "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's
        self,
        server: Untyped,
        session: Untyped,
        envelope: Untyped,
        address: str,
        options: list[str],
    ) -> str:
        """To whom."""
        answer = self.recipients.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Untyped, session: Untyped, envelope: Untyped) -> str:  # noqa: N802 - aiosmtpd's
        """What."""
        taken = Taken(
            sender=envelope.mail_from,
            to=list(envelope.rcpt_tos),
            content=envelope.content,
            login=session.auth_data,
            encrypted=server.transport.get_extra_info("sslcontext") is not None,
        )
        if self.drops_after_data:
            self.taken.append(taken)
            server.transport.abort()
            return "250 nobody hears this"
        if self.data:
            return self.data
        self.taken.append(taken)
        return "250 queued as 4711"

    def judge(self) -> None:
        """Fail for a mail more, or one fewer, than the test expected."""
        assert len(self.taken) == self.expected


def _login(server: object, session: object, envelope: object, mechanism: str, data: object) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (LOGIN, PASSWORD)
    return AuthResult(success=right, auth_data=LOGIN if right else None, handled=False)


@asynccontextmanager
async def mail_server(
    *, pair: Pair | None = None, implicit: bool = False, login: bool = False, expected: int = 1
) -> AsyncIterator[Server]:
    """A server with a certificate offers STARTTLS, or speaks TLS from the start; one with `login` takes no stranger."""
    made = Server(expected=expected)
    context = None
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {"hostname": "mail.example.org", "loop": loop, "timeout": 30}
    if login:
        options |= {"authenticator": _login, "auth_required": not implicit, "auth_require_tls": not implicit}
    if context is not None and not implicit:
        options |= {"tls_context": context, "require_starttls": True}

    def protocol() -> SMTP:
        return SMTP(made, **options)

    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=context if implicit else None)
    made.port = server.sockets[0].getsockname()[1]
    before = asyncio.all_tasks()
    try:
        yield made
    finally:
        server.close()
        await _ended(before)
    made.judge()


async def _ended(before: set[asyncio.Task[Any]]) -> None:
    """Sessions that hang are ended with the test."""
    left = [task for task in asyncio.all_tasks() - before if "SMTP._handle_client" in repr(task)]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=60)
