"""How a reading command comes by its answer: from the running daemon, else by measuring once itself."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx

from daemon.configuration import load
from daemon.configuration.surroundings import state_to_read
from daemon.configuration.tree import Configuration
from daemon.measuring import measure
from daemon.world import World
from toban.errors import UnavailableError
from toban.language import Language, choose_language

ASK_SECONDS = 5.0
INTERVAL_SECONDS = 1.0
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The configuration a command works with, and the language it answers in."""

    configuration: Configuration
    language: Language


def asked(config: Path | None, language: str | None) -> Asked:
    """What every reading command begins with."""
    configuration = load(config, os.environ).configuration
    state = state_to_read(configuration.state_path, os.environ)
    configuration = configuration.model_copy(update={"state": f"sqlite://{state}"})
    chosen = choose_language(asked=language, configured=configuration.language, environ=os.environ)
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
            return client.get(url).raise_for_status().json()
    except httpx.HTTPError as error:
        hint = "is the daemon under heavy load? its log tells"
        raise UnavailableError("the daemon", f"{type(error).__name__} on its local socket", hint) from error


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
