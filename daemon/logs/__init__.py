"""The daemon's log: structured, without secrets, and never a reason to stop.

JSON lines in service, readable lines on a terminal. What libraries say through `logging` takes the same way. Under
systemd each line carries its priority, so that `journalctl -p warning` works.
"""

import codecs
import logging
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import Literal, TextIO

import structlog

from daemon.logs.file import LogFile
from daemon.logs.lines import LEVELS, ConsoleLines, Entries, Renderer, level_name, render_json
from daemon.logs.values import Blotter
from toban.secrets import Secret

Format = Literal["auto", "json", "console"]
Level = Literal["debug", "info", "warning", "error", "critical"]

SYSLOG_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
# Libraries talk from this level on; the second one holds under debug. httpx tells every URL, and some URLs are secret.
# uvicorn warns of each request that is none: whoever knocks at the port could fill the log.
LIBRARIES: Mapping[str, tuple[int, int]] = {
    "uvicorn": (logging.WARNING, logging.INFO),
    "uvicorn.error": (logging.ERROR, logging.INFO),
    "uvicorn.access": (logging.WARNING, logging.INFO),
    "asyncio": (logging.WARNING, logging.INFO),
    "asyncpg": (logging.WARNING, logging.DEBUG),
    "aiosqlite": (logging.WARNING, logging.INFO),
    "apscheduler": (logging.WARNING, logging.INFO),
    "httpx": (logging.WARNING, logging.WARNING),
    "httpcore": (logging.WARNING, logging.WARNING),
}


def configure(
    *,
    format: Format = "auto",  # noqa: A002 - the word of the configuration
    level: Level = "info",
    file: Path | None = None,
    stream: TextIO,
    environ: Mapping[str, str],
    secrets: Iterable[Secret | str] = (),
    zone: tzinfo | None = None,
) -> "LineHandler":
    """Send everything that is logged in this process to `file`, or else to `stream`. A second call replaces the first.

    `auto` is `console` on a terminal and `json` elsewhere. Tracebacks are told at level debug only.
    """
    on_terminal = file is None and stream.isatty()
    readable = format == "console" or (format == "auto" and on_terminal)
    as_json = partial(render_json, escaped=not _takes_any_letter(stream))
    render: Renderer = ConsoleLines(colours=on_terminal and not environ.get("NO_COLOR")) if readable else as_json
    entries = Entries(Blotter(secrets), tracebacks=level == "debug", zone=zone)
    handler = LineHandler(stream, LogFile(file) if file else None, journal=on_journal(stream, environ))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[entries, lambda _logger, _method, entry: render(dict(entry))])
    )
    _install(handler, LEVELS[level])
    return handler


def on_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether this very stream ends in the journal: systemd names the socket by its device and inode."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _takes_any_letter(stream: TextIO) -> bool:
    """Where it does not, only JSON's own escapes leave a line of JSON one."""
    return codecs.lookup(stream.encoding or "utf-8").name == "utf-8"


def log_strays() -> None:
    """Log what dies unseen: a thread of a library, a finaliser. Python would print a traceback past the log."""
    threading.excepthook = lambda stray: _stray("a thread ended by an exception", stray.exc_value)
    sys.unraisablehook = lambda stray: _stray("an exception could not be raised", stray.exc_value)


class LineHandler(logging.Handler):
    """Writes each record as a line, to the file if there is one that takes it, else to the stream."""

    def __init__(self, stream: TextIO, file: LogFile | None, *, journal: bool) -> None:
        super().__init__()
        self._stream = stream
        self._file = file
        self._journal = journal
        self._astray = 0  # lines that the file did not take

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. Whatever happens here, the work that logs goes on."""
        try:
            self._write(self.format(record), record.levelno)
        except Exception as error:  # noqa: BLE001 - a value whose str() fails must not end the work that logs it
            self._say(f"a line of {record.name} could not be logged: {type(error).__name__}", logging.ERROR)

    def reopen(self) -> None:
        """Open the file by its name again: logrotate has renamed it."""
        with self.lock or threading.RLock():
            if self._file is not None:
                self._file.reopen()

    def close(self) -> None:
        """Let go of the file; the stream belongs to the caller."""
        self.reopen()
        super().close()

    def _write(self, line: str, level: int) -> None:
        if self._file is None:
            self._to_stream(line, level)
        elif (trouble := self._file.write(line)) is None:
            self._returned()
        else:
            if not self._astray:
                why = f"{self._file.path}: {trouble.strerror}"
                self._say(f"the log file takes no lines, they follow here: {why}", logging.ERROR)
            self._astray += 1
            self._to_stream(line, level)

    def _returned(self) -> None:
        if self._astray and self._file is not None:
            count, self._astray = self._astray, 0
            notice = f"the log file takes lines again; lines that went to standard error instead: {count}"
            self._file.write(self._notice(notice, logging.WARNING))

    def _say(self, text: str, level: int) -> None:
        self._to_stream(self._notice(text, level), level)

    def _notice(self, text: str, level: int) -> str:
        return self.format(logging.LogRecord(__name__, level, "", 0, text, None, None))

    def _to_stream(self, text: str, level: int) -> None:
        prefix = f"<{SYSLOG_PRIORITIES[level_name(level)]}>" if self._journal else ""
        whole = "".join(f"{prefix}{line}\n" for line in text.split("\n"))
        try:
            encoding = self._stream.encoding or "utf-8"
            self._stream.write(whole.encode(encoding, "backslashreplace").decode(encoding))
            self._stream.flush()
        except (OSError, ValueError):  # the reader is gone, or the stream is closed: nobody is left to be told
            pass


class Repeats:
    """Says when a thing that repeats is worth a line: at its first time, at each change, and then now and then.

    It remembers a bounded number of things; the one that was longest not asked about is forgotten first.
    """

    def __init__(self, *, remind_seconds: float = 900.0, most: int = 1000) -> None:
        self._remind_seconds = remind_seconds
        self._most = most
        self._seen: OrderedDict[Hashable, tuple[Hashable, float, int]] = OrderedDict()

    def due(self, key: Hashable, state: Hashable, at: float) -> int:
        """How often `state` was seen since it was last said, this time included; 0 while there is nothing to say."""
        before, said_at, silent = self._seen.pop(key, (None, 0.0, -1))
        count = silent + 1 if silent >= 0 and before == state else 0
        due = count == 0 or at - said_at >= self._remind_seconds
        self._seen[key] = (state, at, 0) if due else (state, said_at, count)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return max(count, 1) if due else 0

    def forget(self, key: Hashable) -> None:
        """The thing is gone; should it come back, it is new."""
        self._seen.pop(key, None)


def _install(handler: LineHandler, level: int) -> None:
    root = logging.getLogger()
    for former in [known for known in root.handlers if isinstance(known, LineHandler)]:
        root.removeHandler(former)
        former.close()
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name, (usual, debugging) in LIBRARIES.items():
        library = logging.getLogger(name)
        library.handlers.clear()  # uvicorn brings its own
        library.propagate = True
        library.setLevel(max(level, debugging if level <= logging.DEBUG else usual))
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,  # safe: nothing above changes at a reload, only the handler does
    )


def _stray(event: str, error: BaseException | None) -> None:
    logging.getLogger(__name__).error(event, exc_info=error)
