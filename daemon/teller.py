"""What the log says of the watch: changes, not states. A target that stays down is told of once, then of its return."""

from structlog.typing import FilteringBoundLogger

from daemon.turns import Turned
from daemon.watch import Watch
from toban.errors import TobanError
from toban.outcomes import Failure


class Teller:
    """Remembers what was last said of each target and pair."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self.log = log
        self._up: dict[str, bool | None] = {}
        self._reasons: dict[tuple[str, str], str] = {}
        self._gaps: dict[tuple[str, str], frozenset[tuple[str, str]]] = {}

    def turned(self, watch: Watch, turned: Turned) -> None:
        """Say what changed with this turn."""
        self._target(watch)
        collection = turned.collection
        pair = (collection.target, collection.collector)
        failure = collection.failure
        if failure is None or not failure.down:  # a target that is down was told as such
            self._pair(pair, failure)
        if failure is None:
            self._missing(pair, frozenset((gap.what, str(gap.reason)) for gap in collection.gaps))

    def forget(self, target: str) -> None:
        """A target has left; should it come back, it is new."""
        self._up.pop(target, None)
        self._reasons = {pair: said for pair, said in self._reasons.items() if pair[0] != target}
        self._gaps = {pair: said for pair, said in self._gaps.items() if pair[0] != target}

    def refused(self, error: TobanError) -> None:
        """A new configuration was not taken over."""
        for line in getattr(error, "lines", (error.line,)):
            self.log.error("configuration refused, the old one stays in force", problem=line)

    def _target(self, watch: Watch) -> None:
        before = self._up.get(watch.name)
        if before is watch.up:
            return
        self._up[watch.name] = watch.up
        if watch.failure is not None:
            self.log.error("target down", target=watch.name, **_said(watch.failure))
        elif watch.up:
            self.log.info("target up" if before is None else "target up again", target=watch.name)

    def _pair(self, pair: tuple[str, str], failure: Failure | None) -> None:
        reason = str(failure.reason) if failure else ""
        if self._reasons.get(pair, "") == reason:
            return
        self._reasons[pair] = reason
        if failure is not None:
            self.log.warning("nothing collected", target=pair[0], collector=pair[1], **_said(failure))
        else:
            self.log.info("collected again", target=pair[0], collector=pair[1])

    def _missing(self, pair: tuple[str, str], gaps: frozenset[tuple[str, str]]) -> None:
        if self._gaps.get(pair, frozenset()) == gaps:
            return
        self._gaps[pair] = gaps
        missing = ", ".join(f"{what} ({reason})" for what, reason in sorted(gaps)[:5])
        self.log.info("left out", target=pair[0], collector=pair[1], missing=missing or "nothing any more")


def _said(failure: Failure) -> dict[str, str]:
    said = {"reason": str(failure.reason), "detail": failure.detail}
    return {**said, "hint": failure.hint} if failure.hint else said
