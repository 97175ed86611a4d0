"""Secrets that cannot be printed by accident, and connection strings that print without theirs."""

import re
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MASK = "********"
SECRET_PARAMETERS = frozenset({"password", "passwd", "sslpassword", "sig", "token", "key", "secret", "sslkey_password"})
_PASSWORD_IN_URL = re.compile(r"(?P<head>\b[a-z][a-z0-9+.-]*://[^\s/@:]*):\S*@", re.IGNORECASE)
_PASSWORD_IN_WORDS = re.compile(r"(?P<head>(?:password|passwd)\s*=\s*)(?:'(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE)
_PASSWORD_IN_SQL = re.compile(
    r"(?P<head>\b(?:password|identified\s+by)\s+)'(?:[^'\\]|\\.|'')*'", re.IGNORECASE | re.DOTALL
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PLACE = re.compile(r"(?:\[[0-9a-f:.]+\]|[^\[\]:]*)(?::(?P<port>[0-9]{1,5}))?", re.IGNORECASE)
_PORT_MAX = 65535


_LAST_PORT = re.compile(r":\d*$")
_LOOPBACK = ("", "localhost", "::1", "[::1]")


class Secret:
    """A string that shows itself only to the code that asks by name."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself. Every caller of this is worth a look in review."""
        return self._value

    @property
    def masked(self) -> str:
        """What may be shown in its place."""
        return MASK

    @property
    def fault(self) -> str:
        """Why this cannot be used, without quoting it; empty when it can."""
        return "" if self._value else "is empty"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.masked!r})"

    def __str__(self) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> CoreSchema:
        """In a configuration: read from text, shown masked, and never quoted in a complaint."""
        return core_schema.no_info_plain_validator_function(
            cls._read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                _shown, return_schema=core_schema.str_schema()
            ),
            json_schema_input_schema=core_schema.str_schema(metadata={"pydantic_js_updates": {"format": "password"}}),
        )

    @classmethod
    def _read(cls, value: Any) -> "Secret":  # noqa: ANN401 - whatever YAML held
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise PydanticCustomError("secret", "must be text; put it in quotes")
        secret = cls(value)
        if secret.fault:
            raise PydanticCustomError("secret", "{fault}", {"fault": secret.fault})
        return secret


def _shown(secret: Secret) -> str:
    return secret.masked


class Dsn(Secret):
    """A connection string. It prints without its password."""

    __slots__ = ()

    @property
    def fault(self) -> str:
        """Why nobody could connect with this, without quoting any of it; empty when one could."""
        if not _SCHEME.match(self._value):
            return "is no connection string; write scheme://user@host:port/database"
        if any(character < " " for character in self._value):
            return "holds a line break, a tab or another control character"
        if self._torn:
            return "cannot be taken apart; write @ / ? # [ ] and the like in a password as %40 %2F %3F %23 %5B %5D"
        if not all(_is_place(place) for place in self.parts.netloc.rpartition("@")[2].split(",")):
            return "has a host or port that is none; write host:5432 or [::1]:5432"
        return ""

    @property
    def parts(self) -> SplitResult:
        """The pieces of the URL."""
        return urlsplit(self._value)

    @property
    def masked(self) -> str:
        """The connection string with every secret replaced; nothing but its scheme when it cannot be taken apart."""
        scheme = _SCHEME.match(self._value)
        if scheme is None or self._torn:
            return f"{scheme[0] if scheme else ''}{MASK}"
        parts = self.parts
        login, at, host = parts.netloc.rpartition("@")
        user, colon, _ = login.partition(":")
        location = f"{user}:{MASK}@{host}" if colon else f"{login}{at}{host}"
        pairs = [(k, MASK if k.lower() in SECRET_PARAMETERS else v) for k, v in self.parameters]
        return _joined(parts, location, parts.path, pairs)

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The query's parameters, decoded."""
        return parse_qsl(self.parts.query, keep_blank_values=True)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret inside, decoded and as written: what must be blotted out of a foreign message."""
        if self._torn:
            return (self._value,)
        found = {v for k, v in self.parameters if k.lower() in SECRET_PARAMETERS}
        written = self.parts.netloc.rpartition("@")[0].partition(":")[2]
        found |= {written, unquote(written)}
        found |= {quote(secret, safe="") for secret in found}
        return tuple(sorted((s for s in found if s), key=len, reverse=True))

    @property
    def local(self) -> bool:
        """Whether it leads to this machine: over a Unix socket or loopback. A forwarded port looks the same."""
        named = [v for k, v in self.parameters if k in ("host", "hostaddr", "socket") and v]
        places = [unquote(place) for place in self.parts.netloc.rpartition("@")[2].split(",")]
        hosts = named or [_LAST_PORT.sub("", place) for place in places]
        return all(host in _LOOPBACK or host.startswith(("/", "127.")) for host in hosts)

    def replace_database(self, database: str) -> "Dsn":
        """The same server and login, another database."""
        pairs = [(k, v) for k, v in self.parameters if k not in ("dbname", "database")]
        return Dsn(_joined(self.parts, self.parts.netloc, "/" + quote(database, safe=""), pairs))

    @property
    def _torn(self) -> bool:
        """Whether a URL parser would cut this elsewhere than its author meant, as a raw `/` in a password makes it."""
        try:
            parts = self.parts
            parse_qsl(parts.query, strict_parsing=bool(parts.query))
        except ValueError:
            return True  # its text quotes what it could not parse, so it goes no further
        return "#" in self._value or self._value.count("@") != parts.netloc.count("@") or parts.netloc.count("@") > 1


def _is_place(place: str) -> bool:
    match = _PLACE.fullmatch(place)
    return match is not None and 0 < int(match["port"] or "1") <= _PORT_MAX


def _joined(parts: SplitResult, location: str, path: str, pairs: list[tuple[str, str]]) -> str:
    """The URL again. urlunsplit would drop the `//` of a DSN that names a Unix socket."""
    query = "?" + urlencode(pairs, safe="/*,", quote_via=quote) if pairs else ""
    return f"{parts.scheme}://{location}{path}{query}"


def blot(text: str, *secrets: str) -> str:
    """A foreign message (a driver's, a program's) without the given secrets or anything that looks like one."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _PASSWORD_IN_URL.sub(rf"\g<head>:{MASK}@", text)
    text = _PASSWORD_IN_SQL.sub(rf"\g<head>'{MASK}'", text)
    return _PASSWORD_IN_WORDS.sub(rf"\g<head>{MASK}", text)
