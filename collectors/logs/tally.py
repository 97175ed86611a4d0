"""What was counted: since the log is followed, and in each five minutes of the last day."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from collectors.logs.attempts import WINDOW_SECONDS, Attempts, caller_of
from collectors.logs.matching import label
from collectors.logs.values import Spread, Values, spread

BUCKET_SECONDS = 300
LEVELS_MAX = 30
STATES_MAX = 60
BUCKET_ADDRESSES_MAX = 200  # told apart in five minutes; who is over the threshold always is
OTHER = "other"
NONE = "none"
_ALIASES = {
    "warn": "warning",
    "err": "error",
    "crit": "critical",
    "emerg": "emergency",
    "information": "info",
    "10": "trace",
    "20": "debug",
    "30": "info",
    "40": "warning",
    "50": "error",
    "60": "fatal",  # pino, bunyan
}


@dataclass(slots=True)
class Bucket:
    """Five minutes."""

    levels: Counter[str] = field(default_factory=Counter)
    matches: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    values: Values = field(default_factory=Values)

    def text(self) -> str:
        """To be remembered."""
        return json.dumps(
            {
                "levels": self.levels,
                "matches": self.matches,
                "failures": self.failures,
                "values": self.values.document(),
            }
        )

    @classmethod
    def read(cls, text: str) -> "Bucket":
        """What was remembered."""
        found = json.loads(text)
        levels, matches, failures = (Counter(found[name]) for name in ("levels", "matches", "failures"))
        return cls(levels, matches, failures, Values.read(found["values"]))


class Tally:
    """All counts of one log. What is told of a moment older than a day counts in the totals only."""

    def __init__(self, attempts: Attempts, label_sets: int) -> None:
        self.attempts = attempts
        self.label_sets = label_sets
        self.levels: Counter[str] = Counter()
        self.matches: Counter[str] = Counter()
        self.labelled: dict[str, Counter[tuple[str, ...]]] = {}
        self.sqlstates: Counter[str] = Counter()
        self.unparsed = 0
        self.cut = 0
        self.buckets: dict[int, Bucket] = {}
        self.changed: set[int] = set()
        self._now = self._read_at = 0.0
        self._nowhere = Bucket()
        self._bucket = self._nowhere

    @property
    def now(self) -> float:
        """The moment of what is being counted."""
        return self._now

    def at(self, moment: float | None, now: float) -> None:
        """What comes next is of this moment; of now if nobody knows, and nothing is of the future."""
        self._read_at = now
        self._now = now if moment is None else min(moment, now)
        if self._now <= now - WINDOW_SECONDS:
            self._bucket = self._nowhere = Bucket()
            return
        start = bucket_start(self._now)
        self.changed.add(start)
        self._bucket = self.buckets.setdefault(start, Bucket())

    def lines(self, level: object, count: int = 1) -> None:
        """So many lines of a level."""
        if count:
            name = level_name(level)
            if name not in self.levels and len(self.levels) >= LEVELS_MAX:
                name = OTHER
            self.levels[name] += count
            self._bucket.levels[name] += count

    def state(self, name: str) -> None:
        """A class of SQLSTATE. Whoever may raise a message can invent some."""
        known = name in self.sqlstates or len(self.sqlstates) < STATES_MAX
        self.sqlstates[name if known else OTHER] += 1

    def match(self, pattern: str, labels: tuple[str, ...] = (), count: int = 1) -> None:
        """So many lines that a pattern fits. Of its label sets the first so many are told apart."""
        self.matches[pattern] += count
        self._bucket.matches[pattern] += count
        if labels:
            sets = self.labelled.setdefault(pattern, Counter())
            if labels not in sets and len(sets) >= self.label_sets:
                labels = tuple(OTHER for _ in labels)
            sets[labels] += count

    def value(self, number: float) -> None:
        """A number that a line carries."""
        self._bucket.values.add(number)

    def failed_login(self, address: str, moment: float | None = None, count: int = 1) -> None:
        """So many failed logins. What an address wrote of itself is cut to what is shown."""
        address = caller_of(label(address)) or "unknown"
        at = self._now if moment is None else min(moment, self._read_at)
        for _ in range(min(count, self.attempts.threshold + 1)):
            self.attempts.fail(address, at)
        failures = self._bucket.failures
        crowded = len(failures) >= BUCKET_ADDRESSES_MAX and not self.attempts.is_over(address)
        failures[OTHER if crowded and address not in failures else address] += count

    def forget(self, now: float) -> list[int]:
        """Drop what is older than a day, and what a wrong clock put more than a day ahead; which buckets went."""
        first, last = now - WINDOW_SECONDS - BUCKET_SECONDS, now + WINDOW_SECONDS
        gone = [start for start in self.buckets if not first < start <= last]
        for start in gone:
            del self.buckets[start]
        self.changed -= set(gone)
        self.attempts.forget(now)
        return gone

    def day(self) -> Bucket:
        """The last day's counts together; its values are told by `spread`."""
        whole = Bucket()
        for bucket in self.buckets.values():
            whole.levels.update(bucket.levels)
            whole.matches.update(bucket.matches)
            whole.failures.update(bucket.failures)
        return whole

    def spread(self) -> Spread | None:
        """The last day's values together."""
        return spread(bucket.values for bucket in self.buckets.values())

    def text(self) -> str:
        """The totals, to be remembered."""
        labelled = {name: [[*sets, count] for sets, count in found.items()] for name, found in self.labelled.items()}
        found = {"levels": self.levels, "matches": self.matches, "sqlstates": self.sqlstates, "labelled": labelled}
        return json.dumps({**found, "unparsed": self.unparsed, "cut": self.cut})

    def recall(self, text: str) -> None:
        """What was remembered of the totals."""
        found = json.loads(text)
        self.levels, self.matches = Counter(found["levels"]), Counter(found["matches"])
        self.sqlstates = Counter(found["sqlstates"])
        self.labelled = {
            name: Counter({tuple(row[:-1]): row[-1] for row in rows}) for name, rows in found["labelled"].items()
        }
        self.unparsed, self.cut = found["unparsed"], found["cut"]

    def pieces(self) -> Iterator[tuple[str, str]]:
        """What has changed of the buckets since it was last written."""
        for start in sorted(self.changed):
            yield bucket_name(start), self.buckets[start].text()


def bucket_start(moment: float) -> int:
    """The five minutes that a moment falls into."""
    return int(moment // BUCKET_SECONDS) * BUCKET_SECONDS


def bucket_name(start: int) -> str:
    """What a bucket is remembered under."""
    return f"bucket {start}"


def level_name(level: object) -> str:
    """One name for what loggers call differently: WARN is warning, and 40 is what pino says for it."""
    name = label(level).strip().lower()[:40]
    return _ALIASES.get(name, name) or NONE
