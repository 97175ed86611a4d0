"""The engine: every collection passes every rule that is about it, and what is not well comes out as verdicts.

Which rules apply is found out once for each series. From then on a value that is well costs one comparison a rule.
"""

from collections.abc import Collection as Several
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from alerting.rules.matching import fits_all, literal
from alerting.rules.rule import Rule, Verdict
from alerting.watches import Absence, Presence, Standing, Watch, looks_for_nothing
from alerting.windows import Series, Windows
from toban.alerts import Data, Key, Severity
from toban.config import format_duration
from toban.events import Event, EventKind
from toban.outcomes import Gap, Reason
from toban.samples import Collection, Sample, Type

MOST_WATCHES: Final = 500_000  # rules x series, about 250 bytes each; one more is left out until others have gone
SPARE: Final = 64  # series that have gone stay so many before they are looked for
SILENT_SECONDS: Final = 300.0  # beyond three times its cadence: a collector that has stopped turning
PAUSE_SECONDS: Final = 60.0  # longer between two looks: nobody watched, so nothing was missed
ANYWHERE: Final = "*"  # the target of an absence that names none
BACK_SECONDS: Final = 300.0  # after a restart: some collectors need two looks, and some targets their time, to tell
LOST_SECONDS: Final = 3600.0  # after a restart, beyond nearly every cadence: of what stood open nobody tells any more
DOUBT_SECONDS: Final = 86400.0  # what was not seen for so long is not just left out, whatever else is
BREAKING: Final = frozenset({EventKind.RESTARTED, EventKind.REPLACED, EventKind.PROMOTED, EventKind.DEMOTED})
LASTING: Final = frozenset(
    {Reason.PRIVILEGE, Reason.EXTENSION_MISSING, Reason.EXTENSION_OLD, Reason.VERSION, Reason.UNSUPPORTED}
)
"""What is left out for one of these was never there; for any other reason, it may be there and just not seen."""

Watches = tuple[Watch | Presence, ...]
_UNCONFIGURED: Final = "its collector is no longer configured"
_LOST: Final = "nobody has brought it since Toban was started"


@dataclass(slots=True)
class Awaited:
    """A key that stood open before a restart or a reload, and of which nothing has been heard since."""

    rule: Rule
    severity: Severity | None
    fired: bool
    collector: str  # empty where it is not known
    since: float | None = None  # the first look at it
    looks: int = 0  # of those who could bring it

    def lost(self, at: float) -> bool:
        """Whether it is not only that its collector could not tell again yet."""
        self.since = at if self.since is None else min(self.since, at)
        return self.looks > 1 and at - self.since >= BACK_SECONDS


@dataclass(slots=True)
class Pair:
    """What is known of one collector at one target."""

    target: str
    collector: str
    watches: dict[tuple[str, tuple[str, ...]], Watches] = field(default_factory=dict)
    open: dict[Key, Watch] = field(default_factory=dict)
    turn: int = 0
    heard_at: float = 0.0
    cadence_seconds: float = 0.0


class Evaluation:
    """All rules in force, and how each of their series stands. `sources` tells which collectors bring a metric."""

    def __init__(
        self, rules: Iterable[Rule], windows: Windows, *, sources: Mapping[str, Several[str]] | None = None
    ) -> None:
        self.dropped = 0
        """Series left out since there were too many."""
        self._windows = windows
        self._sources = sources or {}
        self._pairs: dict[str, dict[str, Pair]] = {}
        self._awaited: dict[str, dict[Key, Awaited]] = {}
        self._absences: dict[Key, Absence] = {}
        self._orphans: dict[Key, tuple[Rule, str]] = {}
        self._down: set[str] = set()
        self._count = 0
        self._looked_at: float | None = None
        self._take(rules)

    def __len__(self) -> int:
        return self._count

    @property
    def full(self) -> bool:
        """Whether there is no room for another series: it is not judged."""
        return self._count >= MOST_WATCHES or self._windows.full

    def accept(self, collection: Collection) -> list[Verdict]:
        """Judge one collection: what is not well, and what is said of keys that stand open."""
        pair = self._pair(collection)
        self._notice_breaks(collection)
        if collection.failure is not None:
            return self._failing(pair, collection)
        pair.turn += 1
        found: list[Verdict] = []
        ruled, watches = self._ruled, pair.watches
        for sample in collection.samples:
            name = sample.metric.name
            if name not in ruled:
                continue
            watching = watches.get((name, sample.labels))
            if watching is None:
                watching = self._begun(pair, sample)
            value = sample.value
            for watch in watching:
                if watch.quiet and not watch.compare(value, watch.limit):
                    continue
                watch.turn = pair.turn
                verdict = watch.judged(value, sample.taken_at)
                if verdict is not None:
                    found.append(verdict)
                    if isinstance(watch, Watch):
                        pair.open[watch.key] = watch
        found += self._missing(pair, collection)
        if len(watches) > 2 * len(collection.samples) + SPARE:
            self._sweep(pair, collection)
        return found

    def resume(self, key: Key, severity: Severity, *, fired: bool = True) -> None:
        """Take up a key that stood open before a restart; `fired` unless it was only pending."""
        rule = self._named.get(key.rule)
        if rule is None:
            self._orphans[key] = (Rule(name=key.rule, metric=""), "the rule is no longer there")
        else:
            self._await(key, Awaited(rule, severity, fired, ""))

    def settle(self, key: Key) -> None:
        """An alert is over, by whatever way: no more is said of it until its next breach."""
        self._awaited.get(key.target, {}).pop(key, None)
        for pair in self._pairs.get(key.target, {}).values():
            watch = pair.open.pop(key, None)
            if watch is not None:
                watch.settle()
        if key in self._absences:
            self._absences[key].standing.settle()

    def overdue(self, now: float) -> list[Verdict]:
        """What the mere time says: nothing came, a collector fell silent, a rule or a target has gone."""
        self._notice_pause(now)
        found = [self._over(key, *orphan, now) for key, orphan in self._orphans.items()]
        self._orphans.clear()
        found += [verdict for absence in self._absences.values() if (verdict := absence.overdue(now)) is not None]
        for pair in self._each_pair():
            silent = now - pair.heard_at
            if pair.open and silent > SILENT_SECONDS + 3 * pair.cadence_seconds:
                why = f"nothing came from {pair.collector} for {format_duration(round(silent))}"
                found += [watch.unheard(now, Data.FAILING, why) for watch in pair.open.values()]
        return found + [self._stand_in(key, one).unheard(now, Data.FAILING, _LOST) for key, one in self._lost(now)]

    def renew(self, rules: Iterable[Rule], *, sources: Mapping[str, Several[str]] | None = None) -> None:
        """Put other rules in force. What stands open under a rule that stays goes on; what does not is told as over."""
        self._sources = sources or self._sources
        before = [(pair, watch) for pair in self._each_pair() for watch in pair.open.values()]
        awaited = [(key, one) for keys in self._awaited.values() for key, one in keys.items()]
        absences = dict(self._absences)
        self._take(rules)
        self._awaited.clear()
        self._count = 0
        self._windows.retain({rule.function.text for rule in self._named.values() if rule.function})
        for pair in self._each_pair():
            pair.watches.clear()
            pair.open.clear()
        for pair, watch in before:
            stood = watch.standing
            self._kept(watch.key, Awaited(watch.rule, stood.severity, stood.fired, pair.collector))
        for key, one in awaited:
            self._kept(key, one)
        for key, absence in absences.items():
            if key in self._absences:
                self._absences[key].seen_at = absence.seen_at
                self._absences[key].standing = absence.standing
            elif absence.standing.open:
                self._orphans[key] = (absence.rule, "the rule is no longer there")

    def forget(self, target: str) -> None:
        """A target is watched no more."""
        for pair in self._pairs.pop(target, {}).values():
            self._part(pair, "the target is no longer watched")
        for key, awaited in self._awaited.pop(target, {}).items():
            self._orphans[key] = (awaited.rule, "the target is no longer watched")
        self._windows.part(target)
        self._down.discard(target)

    def restart(self, target: str) -> None:
        """A target is watched anew, with other settings: what stands open goes on when its series come again."""
        for pair in self._pairs.pop(target, {}).values():
            for watch in pair.open.values():
                stood = watch.standing
                self._await(watch.key, Awaited(watch.rule, stood.severity, stood.fired, pair.collector))
            pair.watches.clear()
        self._windows.break_off(target)

    def retain(self, bringing: Mapping[str, Container[str]]) -> None:
        """At these targets only these collectors are at work: what stood open by another one's values is over."""
        for target, collectors in bringing.items():
            pairs = self._pairs.get(target, {})
            for title in [title for title in pairs if title not in collectors]:
                self._part(pairs.pop(title), _UNCONFIGURED)
            awaited = self._awaited.get(target, {})
            for key in [key for key, one in awaited.items() if not self._may_come(one, collectors)]:
                self._orphans[key] = (awaited.pop(key).rule, _UNCONFIGURED)

    def _part(self, pair: Pair, why: str) -> None:
        for watch in pair.open.values():
            self._orphans[watch.key] = (watch.rule, why)
        self._drop(pair, pair.watches)

    def _may_come(self, awaited: Awaited, collectors: Container[str]) -> bool:
        """Whether one of them brings it; what nobody knows the source of may always come."""
        if awaited.collector:
            return awaited.collector in collectors
        titles = self._sources.get(awaited.rule.metric)
        return titles is None or any(title in collectors for title in titles)

    def _lost(self, now: float) -> Iterator[tuple[Key, Awaited]]:
        """What nobody has tried to bring since the start."""
        for keys in self._awaited.values():
            for key, one in keys.items():
                one.since = now if one.since is None else min(one.since, now)
                if not one.looks and now - one.since >= LOST_SECONDS:
                    yield key, one

    def _each_pair(self) -> Iterator[Pair]:
        for pairs in self._pairs.values():
            yield from pairs.values()

    def _take(self, rules: Iterable[Rule]) -> None:
        self._named = {rule.name: rule for rule in rules}
        self._ruled: dict[str, tuple[Rule, ...]] = {}
        for rule in self._named.values():
            self._ruled[rule.metric] = (*self._ruled.get(rule.metric, ()), rule)
        self._absences = {}
        for rule in filter(looks_for_nothing, self._named.values()):
            for target in literal(rule.where, "target") or (ANYWHERE,):
                key = Key(rule.name, target)
                self._absences[key] = Absence(rule, key, self._looked_at or float("inf"), Standing())

    def _pair(self, collection: Collection) -> Pair:
        pairs = self._pairs.setdefault(collection.target, {})
        pair = pairs.get(collection.collector)
        if pair is None:
            pair = pairs[collection.collector] = Pair(collection.target, collection.collector)
        elif collection.taken_at > pair.heard_at:
            pair.cadence_seconds = collection.taken_at - pair.heard_at
        pair.heard_at = collection.taken_at
        return pair

    def _begun(self, pair: Pair, sample: Sample) -> Watches:
        """The rules that apply to a series that is met for the first time."""
        if self._count >= MOST_WATCHES:
            self.dropped += 1
            return ()
        labels = sample.labelled
        series = Series(pair.target, sample.metric.name, tuple(sorted(labels.items())))
        facts = {**labels, "target": pair.target}
        rules = [rule for rule in self._ruled[series.metric] if fits_all(rule.where, facts)]
        watches = tuple(self._watching(rule, series, counter=sample.metric.type is Type.COUNTER) for rule in rules)
        for watch in watches:
            if isinstance(watch, Watch):
                self._resumed(pair, watch)
        pair.watches[sample.metric.name, sample.labels] = watches
        self._count += len(watches) or 1
        return watches

    def _watching(self, rule: Rule, series: Series, *, counter: bool) -> Watch | Presence:
        if looks_for_nothing(rule):
            named = self._absences.get(Key(rule.name, series.target))
            return Presence(named or self._absences[Key(rule.name, ANYWHERE)])
        return Watch(rule, series, self._windows, counter=counter)

    def _resumed(self, pair: Pair, watch: Watch) -> None:
        awaited = self._awaited.get(pair.target, {}).pop(watch.key, None)
        if awaited is not None:
            watch.resume(awaited.severity, fired=awaited.fired)
            pair.open[watch.key] = watch

    def _missing(self, pair: Pair, collection: Collection) -> list[Verdict]:
        """What stands open and was not among the samples; and those that stand no more are let go."""
        found: list[Verdict] = []
        at = collection.taken_at
        doubt = next((gap for gap in collection.gaps if gap.reason not in LASTING), None)
        for watch in pair.open.values():
            if watch.turn == pair.turn:
                watch.missed_at = None
                continue
            watch.missed_at = at if watch.missed_at is None else min(watch.missed_at, at)
            found += _absent(watch, at, doubt if at - watch.missed_at < DOUBT_SECONDS else None)
        for key, awaited in self._awaited.get(pair.target, {}).items():
            if self._brings(pair, awaited):
                awaited.looks += 1
                if awaited.lost(at):
                    found += _absent(self._stand_in(key, awaited), at, doubt)
        return found

    def _failing(self, pair: Pair, collection: Collection) -> list[Verdict]:
        assert collection.failure is not None  # noqa: S101 - the caller has looked
        why = f"{pair.collector} fails: {collection.failure.detail}"
        at = collection.taken_at
        waiting = []
        for key, awaited in self._awaited.get(pair.target, {}).items():
            if collection.down or self._brings(pair, awaited):
                awaited.looks += 1
                waiting.append(self._stand_in(key, awaited))
        return [watch.unheard(at, Data.FAILING, why) for watch in (*pair.open.values(), *waiting)]

    def _brings(self, pair: Pair, awaited: Awaited) -> bool:
        if awaited.collector:
            return awaited.collector == pair.collector
        return pair.collector in self._sources.get(awaited.rule.metric, ())

    def _stand_in(self, key: Key, awaited: Awaited) -> Watch:
        """A watch for a series that was not met again yet."""
        rule = awaited.rule if awaited.rule.function is None else replace(awaited.rule, function=None)
        watch = Watch(rule, Series(key.target, rule.metric, key.labels), self._windows, counter=False)
        watch.rule = awaited.rule
        watch.resume(awaited.severity, fired=awaited.fired)
        return watch

    def _notice_breaks(self, collection: Collection) -> None:
        """A restart, a failover, and any time out of reach break off what a target counts."""
        if collection.failure is None:
            self._down.discard(collection.target)
            for row in collection.rows:
                if isinstance(row, Event) and row.kind in BREAKING:
                    self._windows.break_off(collection.target, row.at)
        elif collection.down and collection.target not in self._down:
            self._down.add(collection.target)
            self._windows.break_off(collection.target)

    def _notice_pause(self, now: float) -> None:
        """After a suspend, or a clock that was set, the time in between proves no absence."""
        since = now if self._looked_at is None else self._looked_at
        away = now - since if now - since > PAUSE_SECONDS else 0.0
        for absence in self._absences.values():
            absence.seen_at = min(absence.seen_at + away, now)
        self._looked_at = now

    def _sweep(self, pair: Pair, collection: Collection) -> None:
        """Let go of series that are no longer brought; what stands open stays."""
        present = {(sample.metric.name, sample.labels) for sample in collection.samples}
        stands = {id(watch) for watch in pair.open.values()}
        gone = {
            place: watches
            for place, watches in pair.watches.items()
            if place not in present and not any(id(watch) in stands for watch in watches)
        }
        self._drop(pair, gone)

    def _drop(self, pair: Pair, gone: Mapping[tuple[str, tuple[str, ...]], Watches]) -> None:
        for place, watches in list(gone.items()):
            del pair.watches[place]
            self._count -= len(watches) or 1
            for watch in watches:
                if isinstance(watch, Watch) and watch.window is not None:
                    self._windows.forget(watch.series)

    def _await(self, key: Key, awaited: Awaited) -> None:
        absence = self._absences.get(key)
        if absence is not None:
            absence.standing.resume(awaited.severity, fired=awaited.fired)
        elif not fits_all(awaited.rule.where, {**dict(key.labels), "target": key.target}):
            self._orphans[key] = (awaited.rule, "the rule is no longer about it")
        else:
            self._awaited.setdefault(key.target, {})[key] = awaited

    def _kept(self, key: Key, awaited: Awaited) -> None:
        rule = self._named.get(key.rule)
        if rule is None:
            self._orphans[key] = (awaited.rule, "the rule is no longer there")
        else:
            self._await(key, replace(awaited, rule=rule))

    def _over(self, key: Key, rule: Rule, reason: str, now: float) -> Verdict:
        """For good and at once: nothing that comes later could say so again."""
        gone = replace(rule, vanish=True)
        return Verdict(key=key, rule=gone, severity=None, value=0.0, at=now, reason=reason, data=Data.NONE)


def _absent(watch: Watch, at: float, doubt: Gap | None) -> list[Verdict]:
    if doubt is not None:
        return [watch.unheard(at, Data.FAILING, f"{doubt.what} was left out: {doubt.reason}")]
    return [watch.gone(at)]
