"""The dead man's switch: somebody outside hears from us at a steady pace, but only while all of it works."""

import asyncio
from collections.abc import Callable, Sequence
from enum import StrEnum

import structlog

from alerting.web import Web, WebError
from toban.secrets import Secret

BEAT_SECONDS = 10.0
"""How long one beat may take."""
logger = structlog.get_logger(__name__)


class Beat(StrEnum):
    """What became of one beat."""

    HEARD = "heard"
    UNHEARD = "unheard"  # no answer, or not a good one
    WITHHELD = "withheld"  # we are not well, and whoever listens shall notice


class Heartbeat:
    """Calls a URL. Whoever listens there raises the alarm when it stays silent for too long."""

    def __init__(self, url: Secret, every_seconds: float, *, web: Web, problems: Callable[[], Sequence[str]]) -> None:
        self.every_seconds = every_seconds
        self.totals: dict[Beat, int] = dict.fromkeys(Beat, 0)
        self._url = url
        self._web = web
        self._problems = problems
        self._last: Beat | None = None

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            await self.beat()
            await asyncio.sleep(self.every_seconds)

    async def beat(self) -> Beat:
        """Beat once, or keep still for a reason."""
        problems = self._problems()
        beat, why = (Beat.WITHHELD, "; ".join(problems)) if problems else await self._call()
        self.totals[beat] += 1
        if beat is not self._last:  # changes are said, not states
            log = logger.info if beat is Beat.HEARD else logger.warning
            log("heartbeat", outcome=beat, why=why)
        self._last = beat
        return beat

    async def _call(self) -> tuple[Beat, str]:
        try:
            answer = await self._web.get(self._url.reveal(), timeout_seconds=BEAT_SECONDS)
        except WebError as error:
            return Beat.UNHEARD, error.detail
        except TimeoutError:
            return Beat.UNHEARD, f"no answer within {BEAT_SECONDS:.0f} s"
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's word for success
            return Beat.UNHEARD, f"answered {answer.status}"
        return Beat.HEARD, ""
