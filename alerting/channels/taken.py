"""Who has taken a notice already, while others put it off: nobody is told twice because of somebody else."""

from collections import OrderedDict
from typing import Final

from alerting.messages import Letter
from toban.clock import Clock

MOST_REMEMBERED: Final = 1000
PUT_OFF_SECONDS: Final = 900.0  # greylisting is over by then; a full mailbox is not


class Taken:
    """Of the notices that are to be tried again, those of their receivers who have them. Bounded; lost at a restart."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[str, frozenset[str]] = OrderedDict()

    def by(self, key: str) -> frozenset[str]:
        """Who has taken it."""
        return self._by_key.get(key, frozenset())

    def remember(self, key: str, who: frozenset[str]) -> None:
        """Until it is tried again."""
        self._by_key[key] = who
        self._by_key.move_to_end(key)
        while len(self._by_key) > MOST_REMEMBERED:
            self._by_key.popitem(last=False)

    def forget(self, key: str) -> None:
        """It is settled."""
        self._by_key.pop(key, None)


def patient(letter: Letter, clock: Clock) -> bool:
    """Whether those who put it off are waited for: whoever has it would wait with them for all that follows."""
    return clock.now() - letter.notice.created_at < PUT_OFF_SECONDS
