"""Asking for /metrics as Prometheus does: one kept connection, gzip accepted, a timeout of ten seconds."""

import gzip
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

TIMEOUT_SECONDS = 10.0
LANES = 10
HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
    "User-Agent": "toban-bench",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One request's end: how long it took, and what it said. One that timed out took the timeout and says nothing."""

    seconds: float
    text: str | None

    @property
    def series(self) -> int:
        """How many series the answer holds."""
        lines = (self.text or "").splitlines()
        return sum(1 for line in lines if line and not line.startswith("#"))

    def values(self, series: str) -> list[float]:
        """The values of a metric's series, or of one series where its labels are given as they stand."""
        wanted = (line for line in (self.text or "").splitlines() if line.startswith((series + " ", series + "{")))
        return [float(line.removeprefix(series).rpartition("}")[2].split()[0]) for line in wanted]

    def says(self, metric: str, value: float) -> bool:
        """Whether some series of the metric has the value."""
        return value in self.values(metric)


class Scraper:
    """One client of one /metrics."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)

    def ask(self) -> Answer:
        """One request; the time is taken from the sending of it to the last byte of the answer."""
        started = time.perf_counter()
        try:
            self._connection.request("GET", "/metrics", headers=HEADERS)
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, HTTPException):
            self._connection.close()
            return Answer(seconds=min(time.perf_counter() - started, TIMEOUT_SECONDS), text=None)
        seconds = time.perf_counter() - started
        if answer.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return Answer(seconds=seconds, text=body.decode() if answer.status == 200 else None)  # noqa: PLR2004 - HTTP's OK

    def close(self) -> None:
        """Part from the server."""
        self._connection.close()


def ask_in_turn(port: int, requests: int, pause_seconds: float) -> list[Answer]:
    """One request after another, a pause between them."""
    scraper = Scraper(port)
    answers = []
    for _ in range(requests):
        answers.append(scraper.ask())
        time.sleep(pause_seconds)
    scraper.close()
    return answers


def ask_a_silent_one(port: int, requests: int, pause_seconds: float) -> list[Answer]:
    """The same, for one that may not answer at all.

    When the first request times out, the others are sent ten at a time: waiting sixty times ten seconds in turn would
    say nothing more.
    """
    answers = ask_in_turn(port, 1, pause_seconds)
    if answers[0].text is not None:
        return answers + ask_in_turn(port, requests - 1, pause_seconds)
    with ThreadPoolExecutor(LANES) as pool:
        return answers + list(pool.map(lambda _: Scraper(port).ask(), range(requests - 1)))
