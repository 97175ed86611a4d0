"""Values that stand elsewhere: `${NAME}` from the environment, `!file PATH`, `!credential NAME` from systemd."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ReadFile = Callable[[Path], bytes]

_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<open>\{))"
)
_CREDENTIAL = re.compile(r"[A-Za-z0-9_.@-]+")


class NotLentError(Exception):
    """There is no such value to take; the message says why, without any of it."""


class UnreadableError(NotLentError):
    """A file that cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lenders:
    """Where borrowed values come from."""

    environment: Mapping[str, str]
    read: ReadFile

    def substituted(self, text: str) -> tuple[str, str]:
        """The text with its variables in place, and the first of them as its lender."""
        lender = ""

        def value_of(match: re.Match[str]) -> str:
            nonlocal lender
            if match["dollar"]:
                return "$"
            if match["open"]:
                raise NotLentError("a ${ without a variable's name and }; write $${ where the characters are meant")
            lender = lender or f"${{{match['name']}}}"
            return self._variable(match["name"], match["default"])

        return _VARIABLE.sub(value_of, text), lender

    def file(self, path: str, folder: Path) -> str:
        """What a file holds, without the newline an editor leaves at its end."""
        if not path:
            raise NotLentError("!file wants a path")
        try:
            return self._content(folder / path)
        except UnreadableError as error:
            raise NotLentError(f"{folder / path} {error}") from None

    def credential(self, name: str) -> str:
        """What systemd's LoadCredential= has put there for us."""
        if not _CREDENTIAL.fullmatch(name) or name in (".", ".."):
            raise NotLentError("!credential wants the plain name of a credential")
        folder = self.environment.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise NotLentError(
                f"!credential {name} needs $CREDENTIALS_DIRECTORY, which systemd sets; "
                f"give the unit LoadCredential={name}:/path/to/it"
            )
        try:
            return self._content(Path(folder) / name)
        except UnreadableError as error:
            raise NotLentError(f"credential {name} {error}") from None

    def _variable(self, name: str, default: str | None) -> str:
        value = self.environment.get(name) or default
        if value is None and name in self.environment:
            value = ""
        if value is None:
            raise NotLentError(f"the environment has no variable {name}; set it, or write ${{{name}:-a default}}")
        if not value.isascii() and not _encodable(value):
            raise NotLentError(f"the variable {name} is not UTF-8")
        return value

    def _content(self, path: Path) -> str:
        try:
            text = self.read(path).decode()
        except UnicodeDecodeError:
            raise UnreadableError("is not UTF-8") from None
        return text.removesuffix("\n").removesuffix("\r")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
