"""What to do about the indexes that were found, decided purely: from rows of all targets to advice with its SQL.

Never advised: to drop what is unique, backs a constraint, is a replica identity or part of a partitioned index; what a
standby reads, or might read; the index on account of which another one is dropped; anything on a standby.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from collectors.postgresql.sql import quote_identifier, quote_literal
from toban.advice import Advice
from toban.indexes import Fault, IndexFinding, IndexSurvey, MissingIndex, Place
from toban.units import count_text, size_text

DAY = 86400.0
_LEFTOVER = re.compile(r"_cc(new|old)\d*$")  # as REINDEX CONCURRENTLY calls the index it makes, or is done with


@dataclass(slots=True, kw_only=True)
class Surveyed:
    """All that is known of one database of one target."""

    target: str
    survey: IndexSurvey
    findings: list[IndexFinding] = field(default_factory=list)
    missing: list[MissingIndex] = field(default_factory=list)

    def of(self, fault: Fault) -> list[IndexFinding]:
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.fault is fault]


def index_advice(rows: Iterable[tuple[str, object]]) -> list[Advice]:
    """Advice from the rows of all targets, by target and database: first what is broken, last what is missing."""
    places = _places(rows)
    found: list[Advice] = []
    for place in sorted(places, key=lambda place: (place.target, place.survey.database)):
        if not place.survey.in_recovery:
            found += _advice(place, _standbys(place, places))
    return found


def _places(rows: Iterable[tuple[str, object]]) -> list[Surveyed]:
    told = list(rows)
    places = {(t, row.database): Surveyed(target=t, survey=row) for t, row in told if isinstance(row, IndexSurvey)}
    for target, row in told:
        if isinstance(row, IndexFinding):
            places[target, row.database].findings.append(row)
        elif isinstance(row, MissingIndex):
            places[target, row.database].missing.append(row)
    return list(places.values())


def _standbys(place: Surveyed, places: Sequence[Surveyed]) -> list[Surveyed]:
    """The same database on those standbys of this cluster that are watched too."""
    same = (place.survey.system_identifier, place.survey.database)
    return [p for p in places if p.survey.in_recovery and (p.survey.system_identifier, p.survey.database) == same]


def _advice(place: Surveyed, standbys: Sequence[Surveyed]) -> Iterator[Advice]:
    for finding in place.of(Fault.INVALID):
        yield _invalid(place, finding)
    gone: set[int] = set()
    staying: set[int] = set()
    for finding in place.of(Fault.DUPLICATE):
        staying.add(finding.other_oid or 0)
        gone.update(() if finding.needed else (finding.oid,))
        yield _duplicate(place, finding)
    for finding in _redundant(place, gone, staying):
        staying.add(finding.other_oid or 0)
        gone.add(finding.oid)
        yield _drop(place, finding, "index_redundant", other=_shown(finding.other))
    unused = [finding for finding in place.of(Fault.UNUSED) if finding.oid not in gone | staying]
    yield from _unused(place, unused, standbys)
    for missing in place.missing:
        yield _scanned(place, missing) if missing.fault is Fault.SCANNED else _unindexed(place, missing)


def _invalid(place: Surveyed, finding: IndexFinding) -> Advice:
    name = _quoted(finding.index)
    if finding.building:
        return _about(place, finding, "wait", "index_building")
    if finding.partitioned:
        return _about(place, finding, "check", "index_parts_missing")
    if _LEFTOVER.search(finding.index.name):
        run = f"DROP INDEX CONCURRENTLY {name};"
        return _about(place, finding, "drop", "index_leftover", run=run, gain_bytes=finding.size_bytes)
    reason = "index_invalid_unique" if finding.unique else "index_invalid"
    return _about(place, finding, "rebuild", reason, run=f"REINDEX INDEX CONCURRENTLY {name};")


def _duplicate(place: Surveyed, finding: IndexFinding) -> Advice:
    if finding.needed:
        return _about(place, finding, "check", "index_duplicate_needed", other=_shown(finding.other))
    return _drop(place, finding, "index_duplicate", other=_shown(finding.other))


def _redundant(place: Surveyed, gone: set[int], staying: set[int]) -> Iterator[IndexFinding]:
    """Those whose longer index stays. One that is read does not give way to one that nobody reads."""
    unused = {finding.oid for finding in place.of(Fault.UNUSED)}
    for finding in place.of(Fault.REDUNDANT):
        given_up = finding.oid in gone | staying or finding.other_oid in gone
        if not given_up and not (finding.scans and finding.other_oid in unused):
            yield finding


def _unused(place: Surveyed, unused: Sequence[IndexFinding], standbys: Sequence[Surveyed]) -> Iterator[Advice]:
    survey = place.survey
    early = [finding for finding in unused if _counted_seconds(survey, finding) < survey.enough_seconds]
    for finding in unused:
        if finding not in early and not _read_on(standbys, finding.oid):
            yield _unread(place, finding, standbys)
    if early:
        days = _days(max(_counted_seconds(survey, finding) for finding in early))
        values = {"count": count_text(len(early)), "days": days, "enough": _days(survey.enough_seconds)}
        yield Advice(
            target=place.target,
            database=survey.database,
            subject=survey.database,
            action="wait",
            reason="index_unused_early",
            values=values,
        )


def _unread(place: Surveyed, finding: IndexFinding, standbys: Sequence[Surveyed]) -> Advice:
    """To drop it where all that could read it was asked; else what to ask of the others."""
    survey = place.survey
    sure = [s for s in standbys if s.survey.complete and s.survey.counted_seconds >= survey.enough_seconds]
    days, count = _days(_counted_seconds(survey, finding)), count_text(survey.standbys)
    if len(sure) < survey.standbys:
        regclass = quote_literal(_quoted(finding.index))
        run = f"SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelid = {regclass}::regclass;"  # noqa: S608 - quoted above
        return _about(place, finding, "check", "index_unused_standbys", run=run, days=days, standbys=count)
    if survey.standbys:
        return _drop(place, finding, "index_unused_everywhere", days=days, standbys=count)
    return _drop(place, finding, "index_unused", days=days)


def _read_on(standbys: Sequence[Surveyed], oid: int) -> bool:
    """Whether a standby whose unused indexes are all known does not count this one among them."""
    return any(s.survey.complete and oid not in {f.oid for f in s.of(Fault.UNUSED)} for s in standbys)


def _counted_seconds(survey: IndexSurvey, finding: IndexFinding) -> float:
    """For how long it could have been read: since the counters began, or since it was made."""
    known = survey.counted_seconds
    return known if finding.young_seconds is None else min(known, finding.young_seconds)


def _scanned(place: Surveyed, missing: MissingIndex) -> Advice:
    values = {
        "scans": count_text(missing.scans),
        "rows": count_text(round(missing.rows_read / missing.scans)),
        "hours": f"{missing.seconds / 3600:.1f}",
        "size": size_text(missing.size_bytes),
    }
    return Advice(
        target=place.target,
        database=missing.database,
        subject=_shown(missing.table),
        action="check",
        reason="index_scanned",
        values=values,
    )


def _unindexed(place: Surveyed, missing: MissingIndex) -> Advice:
    how = "" if missing.partitioned else " CONCURRENTLY"
    columns = ", ".join(quote_identifier(column) for column in missing.columns)
    values = {"constraint": missing.constraint, "other": missing.referenced, "size": size_text(missing.size_bytes)}
    return Advice(
        target=place.target,
        database=missing.database,
        subject=f"{_shown(missing.table)} ({', '.join(missing.columns)})",
        action="create",
        reason="index_unindexed_key_partitioned" if missing.partitioned else "index_unindexed_key",
        values=values,
        run=f"CREATE INDEX{how} ON {_quoted(missing.table)} ({columns});",
        gain_bytes=None if missing.cost_bytes is None else -missing.cost_bytes,
    )


def _drop(place: Surveyed, finding: IndexFinding, reason: str, **values: str) -> Advice:
    """An index of a partitioned table cannot be dropped without a lock on all of it."""
    how, which = ("", "_partitioned") if finding.partitioned else (" CONCURRENTLY", "")
    run = f"DROP INDEX{how} {_quoted(finding.index)};"
    return _about(place, finding, "drop", reason + which, run=run, gain_bytes=finding.size_bytes, **values)


def _about(
    place: Surveyed,
    finding: IndexFinding,
    action: str,
    reason: str,
    *,
    run: str = "",
    gain_bytes: float | None = None,
    **values: str,
) -> Advice:
    return Advice(
        target=place.target,
        database=finding.database,
        subject=_shown(finding.index),
        action=action,
        reason=reason,
        values={"table": finding.table, **values},
        run=run,
        gain_bytes=gain_bytes,
    )


def _quoted(place: Place) -> str:
    return f"{quote_identifier(place.schema)}.{quote_identifier(place.name)}"


def _shown(place: Place | None) -> str:
    return "" if place is None else f"{place.schema}.{place.name}"


def _days(seconds: float) -> str:
    return count_text(round(seconds / DAY, 1))
