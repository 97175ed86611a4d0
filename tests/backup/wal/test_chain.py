"""The chain: its stretches, its gaps and their kinds, and how far it leads from a backup over timelines."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as some

from backup.wal.chain import Departure, File, Listing, Position, gaps, history_of, leads, missing, ranges, spans
from backup.wal.segments import lsn_number, lsn_text, segment_name
from toban.backups import GapKind

SIZE = 16 * 1024**2
NOW = 1_795_000_000.0


def a_listing(
    *segments: tuple[int, int],
    partials: tuple[tuple[int, int], ...] = (),
    histories: dict[int, tuple[Departure, ...]] | None = None,
) -> Listing:
    """A place with these segments, each by its timeline and number; each came a second after the one before."""

    def files(ones: tuple[tuple[int, int], ...]) -> dict[str, File]:
        return {
            segment_name(*one): File(name=segment_name(*one), size_bytes=10, modified_at=NOW - 100 + place)
            for place, one in enumerate(ones)
        }

    return Listing(segments=files(segments), partials=files(partials), histories=histories or {})


def at(number: int, offset: int = 0) -> int:
    """A position in a segment."""
    return number * SIZE + offset


PARTED: dict[int, tuple[Departure, ...]] = {2: (Departure(timeline=1, at=at(5, 100)),)}
TWICE: dict[int, tuple[Departure, ...]] = {
    **PARTED,
    3: (Departure(timeline=1, at=at(5, 100)), Departure(timeline=2, at=at(7, 100))),
}


def kinds(listing: Listing, position: Position | None = None) -> list[tuple[int, str, int, GapKind]]:
    """The gaps, in short."""
    found = gaps(listing, now=NOW, position=position)
    return [(gap.timeline, gap.from_lsn, gap.segments, gap.kind) for gap in found]


def test_history_is_read_as_the_server_writes_it() -> None:
    """With its remarks, blank lines and whatever else stands behind."""
    text = "1\t0/3000148\tno recovery target specified\n\n# a remark\n2\t1/A0\tbefore 2026-11-21\nx y\n3\tnowhere\n"
    assert history_of(text) == (Departure(timeline=1, at=0x3000148), Departure(timeline=2, at=0x1000000A0))


def test_ranges_are_the_unbroken_stretches() -> None:
    """By timeline, with their ends and what they take."""
    found = ranges(a_listing((1, 2), (1, 3), (1, 5), (2, 5)))
    assert [(one.timeline, one.from_lsn, one.to_lsn, one.size_bytes) for one in found] == [
        (1, "0/2000000", "0/4000000", 20),
        (1, "0/5000000", "0/6000000", 10),
        (2, "0/5000000", "0/6000000", 10),
    ]
    assert (found[0].first_segment, found[0].last_segment) == (segment_name(1, 2), segment_name(1, 3))


def test_gap_in_the_middle_is_lost() -> None:
    """Later WAL is there."""
    assert kinds(a_listing((1, 2), (1, 5))) == [(1, "0/3000000", 2, GapKind.LOST)]


def test_timeline_that_was_left_needs_no_more_than_up_to_there() -> None:
    """The segment of the parting is the newer timeline's, which holds a copy."""
    assert kinds(a_listing((1, 3), (1, 4), (2, 5), (2, 6), histories=PARTED)) == []


def test_gap_before_a_parting_is_lost() -> None:
    """The new timeline shows that it was there."""
    assert kinds(a_listing((1, 3), (2, 5), histories=PARTED)) == [(1, "0/4000000", 1, GapKind.LOST)]


def test_gap_at_the_beginning_of_a_timeline_is_lost() -> None:
    """When the older one leads there; where retention has removed both, nothing is missing."""
    assert kinds(a_listing((1, 4), (2, 6), histories=PARTED)) == [(2, "0/5000000", 1, GapKind.LOST)]
    assert kinds(a_listing((2, 6), histories=PARTED)) == []


def test_segment_that_is_being_received_is_no_loss() -> None:
    """Nor is one that a newer timeline has overtaken, or that has come since."""
    assert kinds(a_listing((1, 3), partials=((1, 4),))) == [(1, "0/4000000", 1, GapKind.UPLOADING)]
    assert kinds(a_listing((1, 4), (2, 5), partials=((1, 5),), histories=PARTED)) == []
    assert kinds(a_listing((1, 4), partials=((1, 4),))) == []


def test_segments_that_the_server_has_finished_are_late() -> None:
    """Until they come; the one that it still writes is not."""
    waiting = Position(timeline=1, written_to=at(6, 10), waiting_since=NOW - 400)
    found = gaps(a_listing((1, 3)), now=NOW, position=waiting)
    assert [(gap.from_lsn, gap.segments, gap.kind, gap.why) for gap in found] == [
        ("0/4000000", 2, GapKind.LATE, "it has waited for 400 s")
    ]
    assert kinds(a_listing((1, 3)), Position(timeline=1, written_to=at(4, 10))) == []
    soon = gaps(a_listing((1, 3)), now=NOW, position=Position(timeline=1, written_to=at(5), waiting_since=NOW - 2))
    assert (soon[0].kind, soon[0].why) == (GapKind.UPLOADING, "it is on its way")
    behind = Position(timeline=1, written_to=at(5), behind_seconds=301.0)
    assert [(gap.kind, gap.why) for gap in gaps(a_listing((1, 3)), now=NOW, position=behind)] == [
        (GapKind.LATE, "it has waited for 301 s")
    ]
    unknown = gaps(a_listing((1, 3)), now=NOW, position=Position(timeline=1, written_to=at(5)))
    assert [(gap.kind, gap.why) for gap in unknown] == [(GapKind.LATE, "not archived yet")]


def test_segments_that_the_server_has_no_more_are_lost() -> None:
    """Though nothing later has come yet."""
    position = Position(timeline=1, written_to=at(9, 10), kept_from=at(6))
    assert kinds(a_listing((1, 3)), position) == [
        (1, "0/4000000", 2, GapKind.LOST),
        (1, "0/6000000", 3, GapKind.LATE),
    ]


def test_server_on_a_new_timeline_is_late_from_its_parting() -> None:
    """Nothing of it has come yet."""
    listing = a_listing((1, 4), histories=PARTED)
    assert kinds(listing, Position(timeline=2, written_to=at(7, 1))) == [(2, "0/5000000", 2, GapKind.LATE)]
    assert kinds(a_listing(), Position(timeline=1, written_to=at(7, 1))) == []


def test_segment_that_is_being_pushed_is_uploading() -> None:
    """The archiver is at it."""
    listing = replace(a_listing((1, 3)), unfinished=(f".{segment_name(1, 4)}.77.00ff.push",))
    assert kinds(listing, Position(timeline=1, written_to=at(5))) == [(1, "0/4000000", 1, GapKind.UPLOADING)]


def test_segment_that_nobody_receives_any_more_is_not_on_its_way() -> None:
    """It was begun, and the receiver is gone: the server says that nobody is at its slot."""
    listing = a_listing((1, 3), partials=((1, 4),))
    for receiving, kind, why in (
        (None, GapKind.UPLOADING, "it is being received"),
        (True, GapKind.UPLOADING, "it is being received"),
        (False, GapKind.LATE, "nobody receives it now"),
    ):
        (gap,) = gaps(listing, now=NOW, position=Position(timeline=1, written_to=at(4, 9), receiving=receiving))
        assert (gap.kind, gap.why) == (kind, why)


def test_late_and_uploading_stand_beside_each_other() -> None:
    """Finished ones that wait, and the one behind them that is being received."""
    position = Position(timeline=1, written_to=at(6, 10))
    assert kinds(a_listing((1, 3), partials=((1, 6),)), position) == [
        (1, "0/4000000", 2, GapKind.LATE),
        (1, "0/6000000", 1, GapKind.UPLOADING),
    ]


def test_way_over_timelines_leaves_each_where_it_was_left() -> None:
    """And there is none to one that was left before, or that is no descendant."""
    way = spans(TWICE, 1, at(2), 3)
    assert way is not None
    assert [(one.timeline, one.begins_at, one.ends_at) for one in way] == [
        (1, at(2), at(5, 100)),
        (2, at(5, 100), at(7, 100)),
        (3, at(7, 100), None),
    ]
    assert spans(TWICE, 1, at(6), 3) is None
    assert spans(TWICE, 3, at(8), 2) is None


def test_missing_is_what_lies_between_two_positions() -> None:
    """Lost where later WAL of the way is there, else not here yet; an end within a segment needs all of it."""
    listing = a_listing((1, 2), (1, 4))
    assert missing(listing, 1, at(2, 5), at(3)) == ()
    found = missing(listing, 1, at(2), at(5, 1))
    assert [(gap.from_lsn, gap.to_lsn, gap.kind) for gap in found] == [
        ("0/3000000", "0/4000000", GapKind.LOST),
        ("0/5000000", "0/6000000", GapKind.LATE),
    ]
    assert [gap.from_lsn for gap in missing(listing, 1, at(2))] == ["0/3000000"]


def test_missing_over_timelines_asks_each_for_its_own_part() -> None:
    """The old one's segment of the parting is not needed, its later ones lead nowhere."""
    listing = a_listing((1, 3), (1, 4), (1, 6), (2, 5), (2, 7), (3, 7), histories=TWICE)
    found = missing(listing, 1, at(3), to_timeline=3)
    assert [(gap.timeline, gap.from_lsn, gap.segments) for gap in found] == [(2, "0/6000000", 1)]
    astray = missing(listing, 1, at(6), to_timeline=2)
    assert [gap.why for gap in astray] == ["timeline 2 does not lead on from timeline 1 at 0/6000000"]


def test_missing_leaves_out_what_the_backup_itself_holds() -> None:
    """A backup with its own WAL needs the archive from behind its end only."""
    assert missing(a_listing((1, 4)), 1, at(2, 5), held_to=at(3, 9)) == ()
    assert len(missing(a_listing((1, 4)), 1, at(2, 5))) == 1


def test_leads_go_as_far_as_nothing_is_missing() -> None:
    """Along each timeline, the newest first, with the gap that ends it and the segment that is being received."""
    listing = a_listing((1, 3), (1, 4), (1, 5), (2, 5), (2, 7), partials=((1, 6),), histories=PARTED)
    new, old = leads(listing, 1, at(3, 9))
    assert (new.timeline, new.ends_at, new.last_segment) == (2, at(6), segment_name(2, 5))
    assert new.gap is not None
    assert (new.gap.from_lsn, new.partial) == (lsn_text(at(6)), None)
    assert (old.timeline, old.ends_at, old.gap, old.partial) == (1, at(6), None, segment_name(1, 6))
    assert new.segments == (segment_name(1, 3), segment_name(1, 4), segment_name(2, 5))


def test_leads_of_a_backup_alone_end_with_it() -> None:
    """No WAL has come; or the segment behind it is being received."""
    (alone,) = leads(a_listing((1, 1)), 1, at(3, 9), held_to=at(3, 9))
    assert (alone.ends_at, alone.last_segment, alone.segments) == (at(3, 9), None, ())
    (begun,) = leads(a_listing((1, 1), partials=((1, 4),)), 1, at(3, 9), held_to=at(3, 9))
    assert begun.partial == segment_name(1, 4)


def test_lead_of_a_backup_that_ended_where_the_timelines_part_has_what_is_being_received() -> None:
    """The segment is the new timeline's first: the backup holds the old one's of that number."""
    (new, _) = leads(a_listing((1, 4), partials=((2, 5),), histories=PARTED), 1, at(5, 50), held_to=at(5, 50))
    assert (new.timeline, new.segments, new.partial) == (2, (), segment_name(2, 5))


@given(some.sets(some.integers(1, 60), min_size=1))
def test_ranges_and_gaps_together_leave_nothing_out(numbers: set[int]) -> None:
    """From the first segment to the last each is in a range or in a gap, and in one only."""
    listing = a_listing(*((1, number) for number in numbers))
    covered: list[int] = []
    stretches = [(one.from_lsn, one.to_lsn) for one in ranges(listing)]
    stretches += [(one.from_lsn, one.to_lsn) for one in gaps(listing, now=NOW)]
    for texts in stretches:
        first, after = (lsn_number(text) // SIZE for text in texts)
        covered += range(first, after)
    assert sorted(covered) == list(range(min(numbers), max(numbers) + 1))
    assert {gap.kind for gap in gaps(listing, now=NOW)} <= {GapKind.LOST}
