"""A configured log with what came out of it, for the tests of the log."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import timedelta, timezone
from typing import Any

import pytest
import structlog

from daemon.logs import LIBRARIES, LineHandler, configure

SECRET = "corréct h0rse/battery"
JAPAN = timezone(timedelta(hours=9))


@pytest.fixture(autouse=True)
def silent_afterwards() -> Iterator[None]:
    """What a test configures ends with it."""
    loggers = [logging.getLogger(), *map(logging.getLogger, LIBRARIES)]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    yield
    for handler in [known for known in logging.getLogger().handlers if isinstance(known, LineHandler)]:
        logging.getLogger().removeHandler(handler)
        handler.close()
    for logger, level, propagate in before:
        logger.setLevel(level)
        logger.propagate = propagate
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Log:
    """A configured log with what came out of it."""

    def __init__(self, **more: Any) -> None:  # noqa: ANN401 - handed on to configure
        self.stream = more.pop("stream", io.StringIO())
        self.handler = configure(stream=self.stream, environ=more.pop("environ", {}), **more)
        self.say = structlog.get_logger("daemon.test")

    @property
    def text(self) -> str:
        """Everything that was written."""
        return str(self.stream.getvalue())

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Every line, read as JSON."""
        return [json.loads(line) for line in self.text.split("\n")[:-1]]


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def fail(text: str = "no such thing") -> None:
    """Raise, one frame down."""
    raise ValueError(text)
