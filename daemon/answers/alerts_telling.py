"""How a command that changes something reaches the running daemon: over its local socket, and no other way."""

import json
import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from daemon.answers.asking import Asked, check, listens, told
from toban.errors import UnavailableError

TELL_SECONDS = 30.0
_TYPE = {"content-type": "application/json"}


def tell(
    asked: Asked, path: str, body: Mapping[str, Any], *, method: str = "POST", seconds: float = TELL_SECONDS
) -> Any:  # noqa: ANN401 - whatever JSON can carry
    """The daemon's answer; an error of ours where it refuses, or none runs."""
    with _reached(asked, seconds) as client:
        answer = client.request(method, f"http://toban{path}", content=_packed(body), headers=_TYPE)
        return told(answer)


def tell_line_by_line(asked: Asked, path: str, body: Mapping[str, Any], *, seconds: float) -> Iterator[Any]:
    """The same where the answer comes piece by piece; `seconds` is how long each may take."""
    with (
        _reached(asked, seconds) as client,
        client.stream("POST", f"http://toban{path}", content=_packed(body), headers=_TYPE) as answer,
    ):
        if answer.is_error:
            answer.read()
        check(answer)
        yield from (json.loads(line) for line in answer.iter_lines() if line)


def who_types(named: str | None, environ: Mapping[str, str], uid: int) -> str:
    """Who sits at the terminal: as named, else who became root with sudo, else the login."""
    if named or environ.get("SUDO_USER"):
        return named or environ["SUDO_USER"]
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def myself(named: str | None) -> str:
    """The same, of this process."""
    return who_types(named, os.environ, os.getuid())


def _packed(body: Mapping[str, Any]) -> bytes:
    return json.dumps({name: value for name, value in body.items() if value is not None}).encode()


@contextmanager
def _reached(asked: Asked, seconds: float) -> Iterator[httpx.Client]:
    path = asked.configuration.socket_path
    if not listens(path):
        raise UnavailableError("the daemon", "is not running", "only it can do this; start it with toban run")
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=seconds) as client:
            yield client
    except httpx.HTTPError as error:
        hint = "is the daemon under heavy load? its log tells; look before you try again"
        raise UnavailableError("the daemon", f"{type(error).__name__} on its local socket", hint) from error
