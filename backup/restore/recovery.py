"""Which way a recovery goes, and what PostgreSQL is told of it: from a moment and what WAL there is. Pure.

PostgreSQL ends a recovery without a target wherever the WAL ends, and promotes, without a word, also at a gap. So a
recovery to the latest moment is refused where later WAL shows that there is one, unless somebody accepts that. With a
target it stops by itself when it does not come to it.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from backup.restore.contract import Aim, Moment
from backup.wal.chain import Lead
from backup.wal.segments import lsn_number, lsn_text
from toban.backups import WalGap
from toban.clock import moment as at_moment

LSN: Final = re.compile(r"[0-9A-F]{1,8}/[0-9A-F]{1,8}", re.IGNORECASE)
XID: Final = re.compile(r"\d{1,20}")
MOST_NAME_LETTERS: Final = 63
STOPS: Final = "PostgreSQL stops, and does not promote, when it does not come to it"
TRANSPORT_STATUS: Final = 200  # over 125: PostgreSQL gives up the recovery instead of taking it for the end of the WAL
# Whatever the old server had of these is over: no other target, no other source, nothing sent anywhere.
CLEARED: Final[Mapping[str, str]] = {
    "recovery_target": "",
    "recovery_target_lsn": "",
    "recovery_target_name": "",
    "recovery_target_time": "",
    "recovery_target_xid": "",
    "recovery_target_inclusive": "on",
    "recovery_min_apply_delay": "0",
    "recovery_end_command": "",
    "archive_cleanup_command": "",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "archive_mode": "off",
    "synchronous_standby_names": "",
    "max_logical_replication_workers": "0",
}
GONE: Final = frozenset({"promote_trigger_file", "trigger_file", "standby_mode"})  # of older versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a backup and of the WAL that leads on from it."""

    timeline: int
    stop_lsn: int
    created_at: float
    copied_at: float | None = None  # when the last of its files had come
    leads: tuple[Lead, ...] = ()  # newest timeline first
    segment_bytes: int
    brings_wal: bool = True  # that of its own end
    newest_at: Mapping[int, float] | None = None  # timeline -> the newest moment known to be in its WAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The way that a recovery takes. `allowed` is None where only the recovery itself will tell."""

    moment: Moment  # as it is aimed at in the end: without a target, where a gap is accepted
    timeline: int
    allowed: bool | None
    reason: str
    hint: str = ""
    segments: tuple[str, ...] = ()
    partial: str | None = None
    gap: WalGap | None = None
    reaches_at: float | None = None


def course(facts: Facts, moment: Moment, *, accept_gap: bool = False) -> Course:
    """Choose the timeline, and say whether the moment can be come to."""
    wrong = misnamed(moment)
    if wrong:
        return _refused(facts, moment, wrong)
    if moment.aim is Aim.BACKUP and facts.brings_wal:
        why = "the backup brings the WAL of its own end along"
        return Course(moment=moment, timeline=facts.timeline, allowed=True, reason=why, reaches_at=facts.copied_at)
    lead, gap = _lead(facts, moment.timeline)
    if lead is None:
        why = f"timeline {moment.timeline} does not lead on from this backup, which ends on timeline {facts.timeline}"
        return _refused(facts, moment, why, hint=_others(facts))
    way = Course(
        moment=replace(moment, timeline=lead.timeline),
        timeline=lead.timeline,
        allowed=True,
        reason="",
        segments=lead.segments,
        partial=lead.partial,
        gap=gap,
        reaches_at=(facts.newest_at or {}).get(lead.timeline),
    )
    allowed, reason, hint = _judged(facts, way, lead)
    # Without what makes the backup consistent there is nothing before the gap either.
    passable = lead.ends_at >= facts.stop_lsn and not _is_too_early(facts, moment)
    if allowed is False and gap is not None and accept_gap and passable:
        reason = f"{_said(gap)}; that is accepted: what is before it comes back"
        return replace(way, moment=Moment(aim=Aim.LATEST, timeline=lead.timeline), reason=reason, allowed=True)
    return replace(way, allowed=allowed, reason=reason, hint=hint)


def misnamed(moment: Moment) -> str:
    """Why a moment cannot be one; empty where it can."""
    if moment.aim is Aim.TIME and moment.at is None:
        return "a time is wanted, and none is given"
    if moment.aim is Aim.LSN and not LSN.fullmatch(moment.value):
        return f"{moment.value!r} is no position in the WAL; one is written as 0/16B3748"
    if moment.aim is Aim.XID and not XID.fullmatch(moment.value):
        return f"{moment.value!r} is no transaction; one is a number"
    if moment.aim is Aim.NAME and not 0 < len(moment.value.encode()) <= MOST_NAME_LETTERS:
        return f"a restore point has a name of at most {MOST_NAME_LETTERS} bytes"
    return ""


def _lead(facts: Facts, timeline: int | None) -> tuple[Lead | None, WalGap | None]:
    """The timeline asked for, else the newest that can be come to; and what is missing on the way to all there is."""
    if timeline is not None:
        asked = next((lead for lead in facts.leads if lead.timeline == timeline), None)
        if asked is None and timeline == facts.timeline:
            asked = _bare(facts)
        return asked, asked.gap if asked is not None else None
    beyond: WalGap | None = None
    for lead in facts.leads:
        if _is_entered(lead):
            return lead, lead.gap or beyond
        beyond = beyond or lead.gap
    return _bare(facts), beyond


def _is_entered(lead: Lead) -> bool:
    """Whether the WAL leads into this timeline, however far."""
    return lead.gap is None or (lead.last_segment or "").startswith(f"{lead.timeline:08X}")


def _bare(facts: Facts) -> Lead:
    """No WAL but the backup's own, if it has any."""
    ends_at = facts.stop_lsn if facts.brings_wal else max((lead.ends_at for lead in facts.leads), default=0)
    return Lead(timeline=facts.timeline, ends_at=ends_at, last_segment=None, segments=(), gap=None)


def _judged(facts: Facts, way: Course, lead: Lead) -> tuple[bool | None, str, str]:
    """Whether the moment can be come to, why, and what to do instead."""
    early = _is_too_early(facts, way.moment)
    if early:
        return False, early, "choose an earlier backup"
    if way.moment.aim is Aim.BACKUP or lead.ends_at < facts.stop_lsn:
        return _judged_end(facts, way, lead)
    match way.moment.aim:
        case Aim.LATEST:
            return _judged_latest(way)
        case Aim.LSN:
            return _judged_lsn(facts, way, lead)
        case Aim.TIME:
            return _judged_time(facts, way)
    hidden = f"; {_said(way.gap)}" if way.gap is not None else ""
    return None, f"whether {way.moment.value} is in the WAL is found while recovering: {STOPS}{hidden}", ""


def _judged_end(facts: Facts, way: Course, lead: Lead) -> tuple[bool | None, str, str]:
    if lead.ends_at >= facts.stop_lsn:
        return True, "the WAL up to the backup's end is there", ""
    why = _said(way.gap) if way.gap is not None else f"the WAL that is there ends at {lsn_text(lead.ends_at)}"
    return False, f"what makes the backup consistent is not there: {why}", "choose another backup"


def _judged_latest(way: Course) -> tuple[bool | None, str, str]:
    if way.gap is None:
        return True, f"the WAL leads on without a gap on timeline {way.timeline}", ""
    hint = "restore to a moment before the gap, or accept the gap (--accept-gap) and lose what is behind it"
    return False, f"{_said(way.gap)}: PostgreSQL would end there without a word", hint


def _judged_lsn(facts: Facts, way: Course, lead: Lead) -> tuple[bool | None, str, str]:
    wanted = lsn_number(way.moment.value)
    if wanted <= lead.ends_at:
        return True, f"{way.moment.value} is in the WAL that is there, on timeline {way.timeline}", ""
    if lead.partial is not None and wanted <= lead.ends_at + facts.segment_bytes:
        return None, f"{way.moment.value} would be in a segment that was never finished: {STOPS}", ""
    why = _said(way.gap) if way.gap is not None else f"the WAL that is there ends at {lsn_text(lead.ends_at)}"
    return False, f"{way.moment.value} cannot be come to: {why}", "--to-latest brings back all there is"


def _judged_time(facts: Facts, way: Course) -> tuple[bool | None, str, str]:
    at = way.moment.at or 0.0
    if facts.copied_at is not None and at < facts.copied_at:
        return None, f"the backup may have ended later than that, at {_shown(facts.copied_at)}: then {STOPS}", ""
    if way.reaches_at is not None and at < way.reaches_at:
        return True, f"the WAL that is there reaches {_shown(way.reaches_at)} on timeline {way.timeline}", ""
    if way.reaches_at is not None:
        why = _said(way.gap) if way.gap is not None else "no later change is in the WAL that is there"
        reached = f"{_shown(at)} cannot be come to: what is there ends at {_shown(way.reaches_at)}; {why}"
        return False, reached, "--to-latest brings back all there is"
    if not way.segments and way.partial is None:
        return False, "no WAL that leads on from this backup is there", "--to-latest brings back the backup itself"
    if way.gap is not None:
        return None, f"{_said(way.gap)}: if {_shown(at)} lies behind that, {STOPS}", ""
    return None, f"whether the WAL reaches {_shown(at)} is found while recovering: {STOPS}", ""


def _is_too_early(facts: Facts, moment: Moment) -> str:
    """Why a moment lies before the end of the backup; empty where it does not."""
    if moment.aim is Aim.LSN and lsn_number(moment.value) < facts.stop_lsn:
        return f"{moment.value} is before the end of this backup, which is at {lsn_text(facts.stop_lsn)}"
    if moment.aim is Aim.TIME and moment.at is not None and moment.at < facts.created_at:
        return f"{_shown(moment.at)} is before this backup was begun, at {_shown(facts.created_at)}"
    return ""


def _said(gap: WalGap) -> str:
    span = f"from {gap.from_lsn} to {gap.to_lsn} on timeline {gap.timeline}"
    return f"WAL is missing {span} ({gap.segments} segments, {gap.kind}): {gap.why}"


def _others(facts: Facts) -> str:
    found = sorted({facts.timeline, *(lead.timeline for lead in facts.leads)})
    return f"there is: {', '.join(str(timeline) for timeline in found)}"


def _refused(facts: Facts, moment: Moment, why: str, *, hint: str = "") -> Course:
    return Course(moment=moment, timeline=facts.timeline, allowed=False, reason=why, hint=hint)


def _shown(at: float) -> str:
    return at_moment(at).isoformat(sep=" ", timespec="milliseconds")


# --- what PostgreSQL is told ------------------------------------------------------------------------------------------


def settings(way: Course, restore_command: str) -> dict[str, str]:
    """The settings of the recovery, all that may be left of another one cleared."""
    found = dict(CLEARED)
    found["restore_command"] = restore_command
    found["recovery_target_timeline"] = str(way.timeline)
    found["recovery_target_action"] = "promote"  # the moment was chosen on purpose; pausing would look like hanging
    if not way.moment.inclusive:
        found["recovery_target_inclusive"] = "off"
    for name, value in _target(way.moment).items():
        del found[name]  # so that it comes last: an empty target behind it would count as a second one
        found[name] = value
    return found


def _target(moment: Moment) -> dict[str, str]:
    if moment.aim is Aim.BACKUP:
        return {"recovery_target": "immediate"}
    if moment.aim is Aim.TIME and moment.at is not None:
        return {"recovery_target_time": f"{at_moment(moment.at):%Y-%m-%d %H:%M:%S.%f}+00"}
    return {f"recovery_target_{moment.aim}": moment.value} if moment.aim is not Aim.LATEST else {}


def staged(folder: str) -> str:
    """A restore_command for WAL that lies in a folder in the clear: missing is 1, anything else ends the recovery."""
    there = shlex.quote(folder).replace("%", "%%")
    return f'if test -e {there}/"%f"; then cp {there}/"%f" "%p" || exit {TRANSPORT_STATUS}; else exit 1; fi'


def quoted(value: str) -> str:
    """A value as a configuration file has it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def written(existing: str, found: Mapping[str, str]) -> str:
    """`postgresql.auto.conf` with these settings instead of those of the same names."""
    gone = {*found, *GONE}
    lines = existing.removesuffix("\n").split("\n") if existing else []  # no other sign ends one
    kept = [line for line in lines if line.partition("=")[0].strip().lower() not in gone]
    return "\n".join([*kept, *(f"{name} = {quoted(value)}" for name, value in found.items())]) + "\n"
