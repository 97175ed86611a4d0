"""The desk: verdicts, people's words and the time come in; pages for the book, and notices for the channels, go out.

All of it is synchronous and in memory, but for `run`, which lets the time pass and writes. Moments are wall time, so
that they mean the same after a restart; a clock that jumps is noticed by the other clock, which does not.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, tzinfo
from functools import partial
from random import Random
from typing import Final

import structlog

from alerting import escalation, lifecycle
from alerting.desk.agenda import Agenda
from alerting.desk.hushing import Hushing
from alerting.desk.orders import Orders
from alerting.desk.outgoing import Outgoing
from alerting.desk.overtaking import overtaken
from alerting.desk.roster import MOST_OPEN, Roster
from alerting.desk.surroundings import Book, Dispatcher, Surroundings
from alerting.desk.watch import ClockWatch, supervised
from alerting.episodes import minted
from alerting.evaluation import ANYWHERE
from alerting.lifecycle import Change
from alerting.quiet import Window
from alerting.rules.rule import Rule, Verdict
from history.book.contract import Found, Page
from toban.alerts import Alert, Data, Key, Notice, Severity, State, What
from toban.clock import Clock

AT_ONCE: Final = 50  # verdicts or alerts in one go: some five milliseconds of the loop's time
MOST_WAITING: Final = 100_000  # verdicts that wait for their turn, one a series
MOST_EVIDENCE_WAITING: Final = 20  # in a storm the later ones have the evidence of the earlier
SETTLE_SECONDS: Final = 30.0  # after a start or a suspend, the first values may be waited for before anybody is called
TURN_SECONDS: Final = 5.0  # what has a moment of its own is done at that moment; this is for clocks that are set
SHORTEST_TURN_SECONDS: Final = 0.01
_ALWAYS: Final = frozenset({What.RESOLVED, What.ACKNOWLEDGED})  # whoever knows of it may know this, muted or not
_KEPT_BACK: Final = (What.NO_DATA, What.LAPSED, What.WORSENED, What.FIRED)
"""While nobody may be told. What stands later here says what stands before it, too, and reaches as many."""

logger = structlog.get_logger(__name__)


def _nobody_asks(key: Key) -> None:
    """Where nobody wants to know that an alert is over."""


class Desk(Orders):
    """What is open, and everything that happens to it. One of it runs in a daemon."""

    def __init__(  # noqa: PLR0913 - what it stands between
        self,
        rules: Iterable[Rule],
        *,
        book: Book,
        dispatcher: Dispatcher,
        clock: Clock,
        surroundings: Surroundings,
        zone: tzinfo = UTC,
        windows: Iterable[Window] = (),
        random: Random | None = None,
        no_data_seconds: float = lifecycle.NO_DATA_SECONDS,
        over: Callable[[Key], object] = _nobody_asks,
    ) -> None:
        self.refused = 0
        """Verdicts that would have opened an alert when there was no room for another."""
        self.faults = 0
        """Faults of our own, each with one alert."""
        self._surroundings = surroundings
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - names, no secrets
        self._over = over  # told of each key whose alert is over, by whatever way
        self._no_data_seconds = no_data_seconds
        self._roster = Roster(surroundings.host_of)
        self._hushing = Hushing(self._roster, surroundings, zone)
        self._outgoing = Outgoing(book, dispatcher, self._all_open)
        self._agenda = Agenda()
        self._inbox: dict[Key, Verdict] = {}
        self._watch = ClockWatch(clock)
        self._stirred = asyncio.Event()
        self._rules: Mapping[str, Rule] = {rule.name: rule for rule in rules}
        self._hushing.renew(self._rules, windows)

    @property
    def counts(self) -> Mapping[Severity, int]:
        """How many are firing or acknowledged, by severity."""
        return {severity: self._roster.counts[severity] for severity in Severity}

    @property
    def lost(self) -> int:
        """Alerts and transitions that the book never learned of: it could not be used for too long."""
        return self._outgoing.unkept.lost

    def active(self) -> tuple[Alert, ...]:
        """All that are open, pending ones among them."""
        return tuple(self._roster)

    def symptoms(self, episode: str) -> tuple[Alert, ...]:
        """The alerts that are put down to this one."""
        return self._roster.caused_by(episode)

    def resume(self, found: Found, *, targets: Collection[str] | None = None) -> None:
        """Take up what an earlier daemon left open: before the dispatcher asks which notices are overtaken."""
        now = self._now()
        self._hushing.silences = {silence.id: silence for silence in found.silences}
        self._hushing.changed()
        for alert in found.alerts:
            self._drop_twin(alert, now)
            ahead = alert.changed_at - now  # the clock was set back while no daemon ran
            self._roster.put(lifecycle.shifted(alert, -ahead) if ahead > 0 else alert)
            self._agenda.put(alert.episode, now + SETTLE_SECONDS)
        self._drop_orphans(now, targets)

    def renew(
        self, rules: Iterable[Rule], *, windows: Iterable[Window] = (), targets: Collection[str] | None = None
    ) -> None:
        """After a reload. An open alert keeps its policy; one whose rule or target is gone is over."""
        now = self._now()
        self._rules = {rule.name: rule for rule in rules}
        self._hushing.renew(self._rules, windows)
        self._inbox = {key: verdict for key, verdict in self._inbox.items() if key.rule in self._rules}
        self._drop_orphans(now, targets)
        self._look_at_all(now)

    def judged(self, verdicts: Iterable[Verdict]) -> None:
        """Take verdicts in, causes before symptoms; what is too much for one go waits for the next."""
        for verdict in sorted(verdicts, key=_is_symptom):
            if len(self._inbox) < MOST_WAITING or verdict.key in self._inbox:
                self._inbox[verdict.key] = verdict
            else:
                self.refused += 1
        self._work_off(self._now())
        self._stirred.set()

    def tick(self) -> None:
        """Do what the time has come for; what is too much for one go stays due."""
        now = self._now()
        if self._hushing.refreshed(now):
            self._look_at_all(now)
        self._work_off(now)
        for alert in filter(None, map(self._roster.called, self._agenda.due(now, most=AT_ONCE))):
            self._guarded(alert.key, now, partial(self._consider, alert, now))

    def overtaken(self, notice: Notice) -> str:
        """Why a notice need not be sent any more; empty where it must. Asked just before each send."""
        return overtaken(notice, self._roster.called(notice.alert.episode))

    async def run(self) -> None:
        """Let the time pass, and write, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(supervised(self._turn))
            tasks.create_task(supervised(self._outgoing.write_on))

    async def flush(self) -> bool:
        """Work off and write all that waits: at the end, and in tests."""
        while self._inbox:
            self._work_off(self._now())
        return await self._outgoing.flush()

    async def _turn(self) -> None:
        self._stirred.clear()
        self.tick()
        if self._inbox:
            await asyncio.sleep(0)  # the others' turn; then the next ones
            return
        next_at = self._agenda.next_at
        wait = TURN_SECONDS if next_at is None else min(TURN_SECONDS, next_at - self._clock.now())
        with suppress(TimeoutError):
            async with asyncio.timeout(max(SHORTEST_TURN_SECONDS, wait)):
                await self._stirred.wait()

    def _work_off(self, now: float) -> None:
        for _ in range(min(AT_ONCE, len(self._inbox))):
            verdict = self._inbox.pop(next(iter(self._inbox)))
            self._guarded(verdict.key, now, partial(self._judge, verdict, now))

    def _judge(self, verdict: Verdict, now: float) -> None:
        before = self._roster.of(verdict.key)
        if before is None and self._roster.full and verdict.severity is not None:
            self._refuse()
            return
        past = self._roster.past(verdict.key, now) if before is None else None
        change = lifecycle.advance(before or past, verdict, now=now, mint=self._mint)
        if change is None:
            self._over(verdict.key)  # nobody waits to hear that it is well
            return
        if verdict.severity is not None and verdict.data is Data.OK and change.alert.state is State.FIRING:
            left = self._surroundings.left_seconds(change.alert)
            change = replace(change, alert=replace(change.alert, left_seconds=left))
        self._settle(before, change, now)
        if not change.alert.open and change.tell is What.RESOLVED:
            self._roster.remember(change.alert)

    def _consider(self, alert: Alert, now: float) -> None:
        """What the time makes of one alert: lapses, mutes that end, the ladder."""
        timed = lifecycle.timed(alert, now=now, no_data_seconds=self._no_data_seconds)
        alert = self._settle(alert, timed or Change(alert=alert, minor=True), now)
        due = escalation.due(alert, now)
        if due is not None:
            self._settle(alert, lifecycle.step(alert, now, due.what, due.reason), now, rung=due.step)

    def _settle(self, before: Alert | None, change: Change, now: float, *, rung: int = 0) -> Alert:
        """Mute, tell, keep, and set the next moment: the one way by which an alert changes."""
        alert, look_at = change.alert, None
        notices: list[Notice] = []
        transitions = [change.transition] if change.transition else []
        if alert.fired_at is not None and alert.open:
            alert, look_at = self._hushed(alert, now, afresh=before is None or before.fired_at is None)
        if change.tell is not None:
            alert, given = self._told(alert, change.tell, now, rung)
            notices.extend(given)
        if owed := _owed(alert):
            paid = lifecycle.step(alert, now, owed, f"{_why_owed(before)}: {alert.reason}")
            alert, given = escalation.told(paid.alert, owed, now=now)
            transitions.extend([paid.transition] if paid.transition else [])
            notices.extend(given)
        if not change.minor or transitions or (before is not None and before.muted != alert.muted):
            unseen = owed is What.FIRED and before is not None and before.cause
            evidence = self._evidence(alert) if change.tell is What.FIRED or unseen else {}
            self._outgoing.add(
                Page(alerts=(alert,), transitions=tuple(transitions), notices=tuple(notices), evidence=evidence)
            )
        self._roster.put(alert)
        self._set_next(alert, now, look_at)
        if before is None or before.state is not alert.state:
            self._stir_symptoms(alert, now)
        return alert

    def _hushed(self, alert: Alert, now: float, *, afresh: bool) -> tuple[Alert, float | None]:
        mute = self._hushing.mute(alert, now, afresh=afresh)
        if mute.why and (mute.why, mute.cause) != (alert.muted, alert.cause):
            return lifecycle.muted(alert, mute.why, now=now, cause=mute.cause), mute.until
        if alert.muted and not mute.why:
            return lifecycle.unmuted(alert, now=now), None
        return alert, mute.until

    def _told(self, alert: Alert, what: What, now: float, rung: int) -> tuple[Alert, tuple[Notice, ...]]:
        """Give it to whom it concerns; while it is muted, remember that it is owed."""
        if not alert.muted or what in _ALWAYS:
            return escalation.told(alert, what, now=now, step=rung)
        if what in _KEPT_BACK:
            return replace(alert, owed=max(what, alert.owed or what, key=_KEPT_BACK.index)), ()
        if what is What.EASED and alert.owed is What.WORSENED:
            return replace(alert, owed=None), ()
        return alert, ()

    def _evidence(self, alert: Alert) -> dict[str, str]:
        """What was going on. Whatever goes wrong in gathering it, the alert goes out."""
        if alert.cause or len(self._outgoing) > MOST_EVIDENCE_WAITING:
            return {}
        try:
            evidence = self._surroundings.evidence(alert)
        except Exception:  # an alert without evidence is better than none
            logger.exception("evidence_fault", alert=alert.key.text)
            return {}
        return {alert.episode: evidence} if evidence else {}

    def _set_next(self, alert: Alert, now: float, look_at: float | None) -> None:
        if not alert.open:
            self._agenda.put(alert.episode, None)
            self._hushing.forget(alert)
            self._over(alert.key)
            return
        timed = lifecycle.next_at(alert, no_data_seconds=self._no_data_seconds)
        moments = (timed, escalation.next_at(alert, now), look_at)
        self._agenda.put(alert.episode, min((at for at in moments if at is not None), default=None))

    def _all_open(self) -> list[Page]:
        """All that a book needs to know for a restart."""
        alerts = [Page(alerts=(alert,)) for alert in self._roster]
        return [*alerts, Page(silences=tuple(self._hushing.silences.values()))]

    def _stir_symptoms(self, cause: Alert, now: float) -> None:
        for symptom in self._hushing.symptoms(cause):
            if not cause.open:
                self._hushing.outlive(symptom, cause, now)
            self._agenda.put(symptom.episode, now)

    def _look_at_all(self, at: float) -> None:
        for alert in self._roster:
            if alert.fired_at is not None:
                self._agenda.put(alert.episode, at)

    def _drop_twin(self, alert: Alert, now: float) -> None:
        """A damaged book may hold two open episodes of a key: the later one goes on."""
        twin = self._roster.of(alert.key)
        if twin is not None:
            self._settle(twin, lifecycle.resolved(twin, now, f"{alert.episode} is the same and goes on"), now)

    def _drop_orphans(self, now: float, targets: Collection[str] | None) -> None:
        for alert in self._roster:
            why = ""
            if alert.key.rule not in self._rules:
                why = f"the rule {alert.key.rule} is no longer configured"
            elif targets is not None and alert.key.target not in (ANYWHERE, *targets):
                why = f"the target {alert.key.target} is no longer configured"
            if why:
                self._settle(alert, lifecycle.resolved(alert, now, why), now)

    def _now(self) -> float:
        """The wall clock; what somebody did to it is put right first."""
        jumped = self._watch.jumped()
        now = self._clock.now()
        if jumped:
            logger.warning("clock_was_set", by_seconds=round(jumped, 1))
            mend = lifecycle.shifted if jumped < 0 else lifecycle.unwatched
            for alert in self._roster:
                mended = mend(alert, jumped)
                self._roster.put(mended)
                self._outgoing.add(Page(alerts=(mended,)))
                self._agenda.put(alert.episode, now + SETTLE_SECONDS)
        return now

    def _guarded(self, key: Key, now: float, work: Callable[[], object]) -> None:
        """A fault of our own with one alert costs no other one anything, and is tried again."""
        try:
            work()
        except Exception:  # one alert's fault keeps no other from being told
            self.faults += 1
            logger.exception("desk_fault", alert=key.text)
            alert = self._roster.of(key)
            if alert is not None:
                self._agenda.put(alert.episode, now + SETTLE_SECONDS)

    def _refuse(self) -> None:
        if self.refused % MOST_OPEN == 0:
            logger.error("too_many_alerts", open=len(self._roster), hint="a rule is too wide; narrow its `where`")
        self.refused += 1

    def _mint(self) -> str:
        return minted(self._random, taken=lambda episode: self._roster.called(episode) is not None)


def _is_symptom(verdict: Verdict) -> bool:
    return bool(verdict.rule.symptom_of)


def _owed(alert: Alert) -> What | None:
    """What was kept back, where it still fires and may be told of now."""
    free = not alert.muted and alert.state is State.FIRING and alert.calm_at is None
    return alert.owed if free else None


def _why_owed(before: Alert | None) -> str:
    return f"{before.muted} is over" if before is not None and before.muted else "nobody was told yet"
