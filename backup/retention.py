"""What may go and what stays, each with its reason: pure. Whoever has one reason to stay stays."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import pairwise
from typing import Final

from backup.settings import DAY_SECONDS, Keep
from toban.backups import BackupRecord, Method, Scope, Status, Trouble
from toban.clock import moment
from toban.config import format_duration

LEAP_SECONDS: Final = 400 * DAY_SECONDS  # no plan waits for so long: the clock was set
_DONE: Final = (Status.OK, Status.DAMAGED)
Job = tuple[str, str]  # target and name
Lines = dict[tuple[str, str], list[BackupRecord]]  # each with what it builds on, itself first
Key = tuple[str, str]  # target and id
Reasons = dict[Key, str]  # why it stays; the last that holds is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of one backup, and why."""

    record: BackupRecord
    keep: bool
    reason: str


def decide(
    records: Iterable[BackupRecord],
    *,
    keeps: Mapping[str, Keep],
    now: float,
    zone: tzinfo,
    window_seconds: float,
    failing: Collection[str] | None = None,
    archived: Collection[str] | None = None,
) -> tuple[Decision, ...]:
    """A decision on every backup that is there, whole or damaged, newest first.

    `keeps` is by job; one that it does not name is nobody's to remove. `failing` are the jobs whose newest attempt
    failed, by default as the records say. `archived` are the targets with WAL, for whose sake a base backup from
    before the window stays; by default all.
    """
    known = _newest_first(records)
    failing = failing_jobs(known) if failing is None else failing
    there = [record for record in known if record.status in _DONE]
    lines = _lines(there)
    stays: Reasons = {}
    for (target, name), of_job in _by_job(there).items():
        if name not in keeps:
            _note(stays, of_job, f"no job {name} is configured any more: nobody says how long it stays")
        else:
            _of_job(stays, of_job, lines, keeps[name], now, zone)
        if name in failing:
            _note(stays, of_job, f"the newest attempt of {name} failed: nothing of it goes until one succeeds")
        elif of_job[0].status is Status.DAMAGED and (good := [one for one in of_job if one.status is Status.OK]):
            why = f"the newest of {name} is damaged: no good one of it goes until another is made"
            _note(stays, [of_job[0], *good], why)
        if archived is None or target in archived:
            _window(stays, [one for one in there if one.manifest.target == target], now, window_seconds)
    for running in (record for record in known if record.status is Status.RUNNING):
        beside = [one for one in there if _place(one) == _place(running)]
        _note(stays, beside, f"{running.id} is being made, and may build on it")
    for record in there:
        if record.trouble is Trouble.REPOSITORY:
            _note(stays, [record], f"nobody knows what it is: {record.reason}")
        if record.marks.pinned is not None:
            _note(stays, [record], f"pinned: {record.marks.pinned or 'it is to stay'}")
    _parents(stays, lines)
    return tuple(_decision(record, stays, keeps.get(record.manifest.name), now) for record in there)


def failing_jobs(records: Iterable[BackupRecord]) -> frozenset[str]:
    """The jobs whose newest attempt failed; what is under way counts as nothing yet."""
    newest: dict[str, Status] = {}
    for record in _newest_first(records):
        if record.status is not Status.RUNNING:
            newest.setdefault(record.manifest.name, record.status)
    return frozenset(name for name, status in newest.items() if status is Status.FAILED)


def wal_needed_from(
    records: Iterable[BackupRecord], kept: Collection[str], now: float, window_seconds: float
) -> Mapping[int, str]:
    """From which LSN on the WAL of one target must stay, by timeline; nothing is said of it where no base is good.

    `kept` are the ids that stay. WAL of later timelines than those named stays wholly; of earlier ones none is needed.
    Base backups from before the one that the window begins with hold the WAL that they need themselves.
    """
    bases = [one for one in _newest_first(records) if one.id in kept and _is_whole_base(one) and one.manifest.start_lsn]
    first = None if leapt(bases, now) else window_base(bases, now, window_seconds)
    if first is None and bases:
        first = bases[-1]
    needed: dict[int, str] = {}
    for base in bases[: bases.index(first) + 1] if first is not None else ():
        timeline, lsn = base.manifest.timeline or 1, base.manifest.start_lsn or "0/0"
        if timeline not in needed or lsn_value(lsn) < lsn_value(needed[timeline]):
            needed[timeline] = lsn
    return needed


def lsn_value(lsn: str) -> int:
    """`1/16B3748` as a number."""
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def removal_order(decisions: Iterable[Decision]) -> tuple[BackupRecord, ...]:
    """Those that go, each before what it builds on."""
    going = [decision.record for decision in decisions if not decision.keep]
    return tuple(sorted(going, key=_depth_in(going), reverse=True))


# --- the reasons to stay ----------------------------------------------------------------------------------------------


def _of_job(
    stays: Reasons,
    of_job: Sequence[BackupRecord],
    lines: Lines,
    keep: Keep,
    now: float,
    zone: tzinfo,
) -> None:
    """What a job's own rules keep, the strongest last."""
    good = [record for record in of_job if _is_good(lines[_key(record)])]
    for record in of_job:
        age = now - record.manifest.finished_at
        if age < 0:
            _note(stays, [record], "it is of the future: the clock was set")
        elif age < keep.for_:
            _note(stays, [record], f"younger than {format_duration(keep.for_)}")
    _generations(stays, good, keep, zone)
    _redundancy(stays, good, lines, keep)
    if leapt(good, now):
        _note(
            stays,
            of_job,
            "more than a year without a good one: the clock may have leapt, nothing goes until two more are made",
        )
    if good:
        _note(stays, good[:1], f"the newest good one of {good[0].manifest.name}")
    else:
        _note(stays, of_job, "there is no good one: a damaged one is better than none")
    proven = [record for record in good if record.proved_at is not None]
    if proven:
        _note(stays, proven[:1], f"the newest proven one of {proven[0].manifest.name}")


def _generations(stays: Reasons, good: Sequence[BackupRecord], keep: Keep, zone: tzinfo) -> None:
    """The last of each day, week, month, as far back as there are any: days without one are not counted."""
    spans: tuple[tuple[str, int, Callable[[datetime], object]], ...] = (
        ("day", keep.daily, lambda at: at.date()),
        ("week", keep.weekly, lambda at: at.isocalendar()[:2]),
        ("month", keep.monthly, lambda at: (at.year, at.month)),
    )
    for word, count, span_of in spans:
        seen: set[object] = set()
        for record in good:
            span = span_of(moment(record.manifest.created_at).astimezone(zone))
            if span in seen:
                continue
            if len(seen) >= count:
                break
            seen.add(span)
            _note(stays, [record], f"the last of its {word}, one of {count} {word}s")


def _redundancy(stays: Reasons, good: Sequence[BackupRecord], lines: Lines, keep: Keep) -> None:
    """So many that share nothing: two that build on the same full backup are lost together."""
    roots: set[str] = set()
    for record in good:
        root = lines[_key(record)][-1].id
        if root not in roots and len(roots) < keep.at_least:
            roots.add(root)
            _note(stays, [record], f"one of the {keep.at_least} that always stay")


def _window(stays: Reasons, of_target: Sequence[BackupRecord], now: float, window_seconds: float) -> None:
    """The base that the window begins with: with it and the WAL since, any moment of the window is reached."""
    first = window_base([one for one in of_target if _is_whole_base(one)], now, window_seconds)
    if first is not None:
        _note(stays, [first], f"the window of {format_duration(window_seconds)} begins with it")


def window_base(bases: Sequence[BackupRecord], now: float, window_seconds: float) -> BackupRecord | None:
    """The newest full base from before the window, of these, newest first.

    Never the newest of all while there is another: the next may be late, that one may turn out to be damaged, and a
    clock that leapt makes even yesterday's look old.
    """
    older = [one for one in bases if one.manifest.finished_at <= now - window_seconds]
    return older[1] if len(older) > 1 and older[0] is bases[0] else older[0] if older else None


def _parents(stays: Reasons, lines: Lines) -> None:
    """What a kept one builds on stays with it."""
    for key, line in lines.items():
        if key in stays:
            for parent in line[1:]:
                stays.setdefault(_key(parent), f"{line[0].id} builds on it")


def leapt(good: Sequence[BackupRecord], now: float) -> bool:
    """Whether time made a step between the two newest good ones, or since, that no plan makes."""
    times = [now, *(record.manifest.finished_at for record in good[:2])]
    return any(later - earlier > LEAP_SECONDS for later, earlier in pairwise(times))


# --- what they are made of --------------------------------------------------------------------------------------------


def _decision(record: BackupRecord, stays: Reasons, keep: Keep | None, now: float) -> Decision:
    if _key(record) in stays or keep is None:
        return Decision(record=record, keep=True, reason=stays[_key(record)])
    days = (now - record.manifest.finished_at) / DAY_SECONDS
    why = f"{days:.1f} days old, kept for {format_duration(keep.for_)}, and enough newer good ones are there"
    if record.status is Status.DAMAGED:
        why = f"damaged, {why}"
    return Decision(record=record, keep=False, reason=why)


def _note(stays: Reasons, records: Iterable[BackupRecord], reason: str) -> None:
    for record in records:
        stays[_key(record)] = reason


def _newest_first(records: Iterable[BackupRecord]) -> list[BackupRecord]:
    return sorted(records, key=lambda one: (one.manifest.created_at, one.id), reverse=True)


def _by_job(records: Iterable[BackupRecord]) -> dict[Job, list[BackupRecord]]:
    found: dict[Job, list[BackupRecord]] = {}
    for record in records:
        found.setdefault((record.manifest.target, record.manifest.name), []).append(record)
    return found


def _place(record: BackupRecord) -> tuple[str, Method]:
    return record.manifest.target, record.manifest.method


def _key(record: BackupRecord) -> Key:
    return record.manifest.target, record.id


def _by_id(records: Iterable[BackupRecord]) -> dict[Key, BackupRecord]:
    return {_key(record): record for record in records}


def _line(record: BackupRecord, by_id: Mapping[Key, BackupRecord]) -> list[BackupRecord]:
    """It and what it builds on, as far as that is there; itself first."""
    line = [record]
    while line[-1].manifest.parent is not None and len(line) <= len(by_id):
        parent = by_id.get((record.manifest.target, line[-1].manifest.parent))
        if parent is None:
            break
        line.append(parent)
    return line


def _lines(records: Sequence[BackupRecord]) -> Lines:
    """Each with what it builds on."""
    by_id = _by_id(records)
    return {_key(record): _line(record, by_id) for record in records}


def _is_good(line: Sequence[BackupRecord]) -> bool:
    """Whether it can be restored as far as is known: whole, with all that it builds on."""
    return line[-1].manifest.parent is None and all(one.status is Status.OK for one in line)


def _is_whole_base(record: BackupRecord) -> bool:
    """Whether it is a full base backup that nobody has found damaged."""
    manifest = record.manifest
    return record.status is Status.OK and manifest.method is Method.BASE and manifest.scope is Scope.FULL


def _depth_in(records: Sequence[BackupRecord]) -> Callable[[BackupRecord], tuple[int, float]]:
    by_id = _by_id(records)
    return lambda record: (len(_line(record, by_id)), -record.manifest.created_at)
