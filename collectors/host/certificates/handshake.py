"""The certificate that a live server shows: after what its protocol wants said before TLS begins."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

POSTGRESQL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"  # SSLRequest
POSTGRESQL_YES = b"S"
LONGEST_REPLY = 4096
_DIALOGUES: dict[str, tuple[tuple[bytes, bytes], ...]] = {
    # What is said, and with what the last line of the reply begins.
    "smtp": ((b"", b"220 "), (b"EHLO toban\r\n", b"250 "), (b"STARTTLS\r\n", b"220 ")),
    "imap": ((b"", b"* OK"), (b"a STARTTLS\r\n", b"a OK")),
    "pop3": ((b"", b"+OK"), (b"STLS\r\n", b"+OK")),
    "ftp": ((b"", b"220 "), (b"AUTH TLS\r\n", b"234 ")),
}
STARTTLS = ("none", "postgresql", *_DIALOGUES)


class NoTlsError(Exception):
    """The server answers, but speaks no TLS here."""


def shown_certificate(host: str, port: int, *, starttls: str, server_name: str, timeout_seconds: float) -> bytes:
    """What the server shows, in DER, whether it is to be trusted or not."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # an expired certificate is to be read, not refused; nothing is sent
    return _ask(host, port, context, starttls, server_name, timeout_seconds)


def mistrust(
    host: str, port: int, *, starttls: str, server_name: str, timeout_seconds: float, authorities: Path | None
) -> str:
    """Why a client would not trust the server's chain of certificates; empty when it would."""
    context = ssl.create_default_context(cafile=authorities)
    context.check_hostname = False  # told apart from this, since OpenSSL tells only the first of its complaints
    try:
        _ask(host, port, context, starttls, server_name, timeout_seconds)
    except ssl.SSLCertVerificationError as error:
        return str(error.verify_message)
    return ""


def _ask(
    host: str, port: int, context: ssl.SSLContext, starttls: str, server_name: str, timeout_seconds: float
) -> bytes:
    with socket.create_connection((host, port), timeout=timeout_seconds) as plain:
        _begin(plain, starttls)
        with context.wrap_socket(plain, server_hostname=server_name) as secured:
            return secured.getpeercert(binary_form=True) or b""


def _begin(plain: socket.socket, starttls: str) -> None:
    """Say what the protocol wants said, up to where TLS begins."""
    if starttls == "postgresql":
        plain.sendall(POSTGRESQL_REQUEST)
        if plain.recv(1) != POSTGRESQL_YES:
            raise NoTlsError("the server has `ssl` off")
    for said, expected in _DIALOGUES.get(starttls, ()):
        plain.sendall(said)
        if not _last_line(plain.recv).startswith(expected):
            raise NoTlsError(f"the server does not take part in STARTTLS as {starttls} has it")


def _last_line(receive: Callable[[int], bytes]) -> bytes:
    """The last line of a reply; lines before it have a `-` behind their number."""
    reply = b""
    while len(reply) < LONGEST_REPLY:
        piece = receive(LONGEST_REPLY)
        reply += piece
        last = reply.rstrip(b"\r\n").rpartition(b"\n")[2]
        if not piece or (reply.endswith(b"\n") and last[3:4] != b"-"):
            return last
    return b""
