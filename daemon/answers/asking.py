"""How a reading command comes by its answer: from the running daemon, else by measuring once itself."""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import httpx
import structlog

from daemon.configuration import load
from daemon.configuration.surroundings import state_to_read
from daemon.configuration.tree import Configuration
from daemon.measuring import measure
from daemon.world import World
from toban.errors import NotFoundError, TobanError, UnavailableError, UsageError
from toban.language import Language, choose_language

ASK_SECONDS = 5.0
INTERVAL_SECONDS = 1.0
AnswerT = TypeVar("AnswerT")
_ERRORS: Final[dict[int, type[TobanError]]] = {
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.BAD_REQUEST: UsageError,
    HTTPStatus.SERVICE_UNAVAILABLE: UnavailableError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The configuration a command works with, and the language it answers in."""

    configuration: Configuration
    language: Language


def asked(config: Path | None, language: str | None) -> Asked:
    """What every reading command begins with."""
    if not structlog.is_configured():  # left alone it would log to where the answer goes
        structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    configuration = load(config, os.environ).configuration
    state = state_to_read(configuration.state_path, os.environ)
    configuration = configuration.model_copy(update={"state": f"sqlite://{state}"})
    chosen = choose_language(asked=language, configured=configuration.chosen_language, environ=os.environ)
    return Asked(configuration=configuration, language=chosen)


def ask(configuration: Configuration, path: str, **query: str | None) -> Any:  # noqa: ANN401 - whatever JSON can carry
    """The running daemon's answer; None when none runs."""
    if not listens(configuration.socket_path):
        return None
    given = {key: value for key, value in query.items() if value is not None}
    url = f"http://toban{path}" + (f"?{urlencode(given)}" if given else "")
    transport = httpx.HTTPTransport(uds=str(configuration.socket_path))
    try:
        with httpx.Client(transport=transport, timeout=ASK_SECONDS) as client:
            return told(client.get(url))
    except httpx.HTTPError as error:
        hint = "is the daemon under heavy load? its log tells"
        raise UnavailableError("the daemon", f"{type(error).__name__} on its local socket", hint) from error


def told(answer: httpx.Response) -> Any:  # noqa: ANN401 - whatever JSON can carry
    """What the daemon answered; an error of ours where it refused."""
    check(answer)
    try:
        return answer.json()
    except ValueError as error:
        raise UnavailableError("the daemon", "answers with what is no JSON: is it another program's socket?") from error


def check(answer: httpx.Response) -> None:
    """Raise what the daemon refused with, in its own words."""
    if not answer.is_error:
        return
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"the daemon: answers {answer.status_code}"
    what, _, why = detail.partition(": ")
    raise _ERRORS.get(answer.status_code, TobanError)(what if why else "the daemon", why or what)


def listens(path: Path) -> bool:
    """Whether a daemon answers at this socket."""
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        probe.settimeout(ASK_SECONDS)
        outcome = probe.connect_ex(str(path))
    if outcome in (errno.EACCES, errno.EPERM):
        hint = "run this as the user that the daemon runs as, or as root"
        raise UnavailableError(f"local socket {path}", "permission denied", hint)
    return outcome == 0


def measured(configuration: Configuration, answer: Callable[[World], AnswerT]) -> AnswerT:
    """What `answer` makes of a world that was measured once, here and now."""
    with asyncio.Runner() as runner:
        # Interrupted, a driver leaves a future behind that nobody looks at: no news for whoever pressed Ctrl-C.
        runner.get_loop().set_exception_handler(lambda *_: None)
        return answer(runner.run(measure(configuration, interval_seconds=INTERVAL_SECONDS)))
