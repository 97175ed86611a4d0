"""The address of a receiver: a secret, of which only the host is ever shown; and which hosts are none."""

import ipaddress
import re
import string
from urllib.parse import SplitResult, quote, urlsplit

from toban.secrets import MASK, Secret

_SCHEMES = {"http": 80, "https": 443}
_ACTING = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]")
_WANTED = "write https://host/path"
_CLOUD_METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "fd00:ec2::254")))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class WebUrl(Secret):
    """Where a receiver listens. Its path and its query are what lets in, so that only the host is shown."""

    __slots__ = ()

    @property
    def parts(self) -> SplitResult:
        """The pieces."""
        return urlsplit(self._value)

    @property
    def secure(self) -> bool:
        """Whether TLS is asked for."""
        return self.parts.scheme == "https"

    @property
    def host(self) -> str:
        """The host alone, an IPv6 address without its brackets, a name as the network knows it."""
        name = self.parts.hostname or ""
        return name if name.isascii() else name.encode("idna").decode()

    @property
    def port(self) -> int:
        """Where none is written, the scheme's own."""
        return self.parts.port or _SCHEMES[self.parts.scheme]

    @property
    def place(self) -> str:
        """The host, with the port where it is not the scheme's own: what may be shown."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _SCHEMES[self.parts.scheme] else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """Path and query as they were written, but for letters that no request line may hold."""
        parts = self.parts
        written = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return quote(written, safe=string.punctuation)

    @property
    def masked(self) -> str:
        """What may be shown."""
        return MASK if self.fault else f"{self.parts.scheme}://{self.place}/{MASK}"

    @property
    def fault(self) -> str:
        """Why nobody could be reached there, without quoting any of it."""
        if _ACTING.search(self._value):
            return "holds a blank, a line break or another control character"
        try:
            parts, port = self.parts, self.parts.port
            named = self.host
        except (ValueError, UnicodeError):
            return f"has a host or port that is none; {_WANTED}"
        if parts.scheme not in _SCHEMES or not named or port == 0:
            return f"is no address of the web; {_WANTED}"
        return "holds a login before the host; write it as a setting of its own" if "@" in parts.netloc else ""

    def below(self, path: str) -> "WebUrl":
        """An address below this one, with the query that this one has."""
        parts = self.parts
        return WebUrl(parts._replace(path=f"{parts.path.rstrip('/')}/{path}", fragment="").geturl())


def forbidden(address: str) -> bool:
    """Whether this address may not be asked: link-local, where clouds keep a machine's own credentials, or nobody's."""
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip.ipv4_mapped or ip.sixtofour
        ip = inner or ipaddress.IPv6Address(int(ip))  # a scope, as in fe80::1%eth0, would hide it from the set
    return ip.is_link_local or ip.is_multicast or ip in _CLOUD_METADATA
