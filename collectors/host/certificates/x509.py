"""Certificates out of bytes: PEM with as many as there are, or DER. The library is imported when first needed."""

import re
import warnings
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_PEM = re.compile(rb"-----BEGIN (X509 )?CERTIFICATE-----[^-]*-----END (X509 )?CERTIFICATE-----")
WILDCARD = "*."


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What is looked at of one certificate."""

    subject: str
    begins_at: float
    ends_at: float
    names: tuple[str, ...]

    def is_for(self, host: str) -> bool:
        """Whether it was made out to this host: by its alternative names alone, as all clients of today have it."""
        try:
            wanted = str(ip_address(host))
        except ValueError:
            return any(_covers(name.lower(), host.rstrip(".").lower()) for name in self.names)
        return wanted in self.names


class NoCertificateError(Exception):
    """What should be a certificate is none; the message says why."""


def read_certificates(content: bytes) -> tuple[list[Read], int]:
    """Every certificate in a file's content, in order; and how many of them cannot be read."""
    from cryptography import x509  # noqa: PLC0415 - it costs memory and time: who has no entry pays nothing
    from cryptography.utils import CryptographyDeprecationWarning  # noqa: PLC0415 - as above

    # Old roots have serial numbers that are not allowed today: nothing that an operator could mend.
    warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning)
    blocks = [match[0].replace(b"X509 CERT", b"CERT") for match in _PEM.finditer(content)]
    if not blocks and b"-----BEGIN" in content:
        raise NoCertificateError("there is no certificate in it")
    load = x509.load_pem_x509_certificate if blocks else x509.load_der_x509_certificate
    read, unreadable = list[Read](), 0
    for block in blocks or [content]:
        try:
            read.append(_read(load(block)))
        except ValueError:
            unreadable += 1
    if not read:
        raise NoCertificateError("it cannot be read as a certificate")
    return read, unreadable


def _read(certificate: "Certificate") -> Read:
    return Read(
        subject=_subject(certificate),
        begins_at=certificate.not_valid_before_utc.timestamp(),
        ends_at=certificate.not_valid_after_utc.timestamp(),
        names=_names(certificate),
    )


def _names(certificate: "Certificate") -> tuple[str, ...]:
    from cryptography import x509  # noqa: PLC0415 - as above

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    addresses = [str(address) for address in found.get_values_for_type(x509.IPAddress)]
    return (*found.get_values_for_type(x509.DNSName), *addresses)


def _subject(certificate: "Certificate") -> str:
    """The common name, else the first alternative name, else all of the subject."""
    from cryptography.x509.oid import NameOID  # noqa: PLC0415 - as above

    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if common:
        return str(common[0].value)
    return next(iter(_names(certificate)), certificate.subject.rfc4514_string())


def _covers(name: str, host: str) -> bool:
    """A wildcard stands for one whole label, the first."""
    if name.startswith(WILDCARD):
        return host.partition(".")[2] == name.removeprefix(WILDCARD)
    return name == host
