"""Signed links: a token that is good for acknowledging one alert, and expires; and the key that it is signed with."""

import base64
import hmac
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

KEY_BYTES = 32
LINK_SECONDS = 7 * 86400.0
MARK_LETTERS = 22  # of base64: 132 bits of the signature
TOKEN = re.compile(r"([0-9a-z]{1,16})-([0-9a-f]{1,12})-([A-Za-z0-9_-]{22})")
OTHERS_MAY = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a token that is ours says."""

    episode: str
    expired: bool


class Links:
    """Makes tokens and reads them."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, episode: str, now: float) -> str:
        """For one alert, for seven days from now."""
        said = f"{episode}-{int(now + LINK_SECONDS):x}"
        return f"{said}-{self._mark(said)}"

    def read(self, token: str, now: float) -> Link | None:
        """What it is good for; None when it is none of ours."""
        match = TOKEN.fullmatch(token)
        if match is None or not hmac.compare_digest(match[3], self._mark(f"{match[1]}-{match[2]}")):
            return None
        return Link(episode=match[1], expired=now >= int(match[2], 16))

    def _mark(self, said: str) -> str:
        digest = hmac.digest(self._key, f"toban acknowledge {said}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode()[:MARK_LETTERS]


def open_key(path: Path, random: Callable[[int], bytes] = os.urandom) -> tuple[bytes, str]:
    """The key that links are signed with, made once and readable by us alone; and why it could not be kept.

    One that others may have read is replaced. One that cannot be kept lasts as long as the process.
    """
    try:
        found = path.read_bytes()
        if len(found) == KEY_BYTES and not path.stat().st_mode & OTHERS_MAY:
            return found, ""
    except FileNotFoundError:
        pass
    except OSError as error:
        return random(KEY_BYTES), error.strerror or str(error)
    made = random(KEY_BYTES)
    try:
        _keep(path, made)
    except OSError as error:
        return made, error.strerror or str(error)
    return made, ""


def _keep(path: Path, key: bytes) -> None:
    half_made = path.with_name(f"{path.name}.new")
    half_made.unlink(missing_ok=True)
    descriptor = os.open(half_made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, key)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    half_made.replace(path)
