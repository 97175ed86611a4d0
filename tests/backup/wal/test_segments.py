"""Names and headers of WAL: what a file is by its name, and whether its first page agrees."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from backup.wal.segments import (
    PageReader,
    header_of,
    header_trouble,
    history_name,
    lsn_number,
    lsn_text,
    parse,
    segment_at,
    segment_name,
    segment_number,
)
from tests.backup.wal.places import PAGE_BYTES, SEGMENT_BYTES, SYSTEM, a_segment

SIZES = some.sampled_from([2**power for power in range(20, 31)])


@given(timeline=some.integers(1, 2**32 - 1), number=some.integers(0, 2**31), size=SIZES)
def test_segment_number_is_read_back_from_its_name(timeline: int, number: int, size: int) -> None:
    """For every size that initdb allows."""
    number %= 2**32 * (2**32 // size)
    name = segment_name(timeline, number, size)
    assert len(name) == 24
    assert (int(name[:8], 16), segment_number(name, size)) == (timeline, number)


@given(some.integers(0, 2**64 - 1))
def test_position_is_read_back_from_its_text(lsn: int) -> None:
    """As the server writes it."""
    assert lsn_number(lsn_text(lsn)) == lsn


def test_segment_is_named_as_the_server_names_it() -> None:
    """By its functions: pg_walfile_name('1/16B3748') on timeline 2, with segments of 16 and of 64 MB."""
    assert segment_at(2, lsn_number("1/16B3748")) == "000000020000000100000001"
    assert segment_at(2, lsn_number("1/16B3748"), 64 * 1024**2) == "000000020000000100000000"
    assert history_name(17) == "00000011.history"


@pytest.mark.parametrize("text", ["", "16B3748", "x/1", "1/"])
def test_position_that_is_none_is_refused(text: str) -> None:
    """Not taken for zero."""
    with pytest.raises(ValueError):  # noqa: PT011 - Python's own words, which differ
        lsn_number(text)


@pytest.mark.parametrize(
    ("name", "plain", "kind", "compression", "seal"),
    [
        ("000000010000000000000002", "000000010000000000000002", "segment", "", ""),
        ("000000010000000000000002.zst", "000000010000000000000002", "segment", "zstd", ""),
        ("000000010000000000000002.lz4.age", "000000010000000000000002", "segment", "lz4", "age"),
        ("000000010000000000000002.gpg", "000000010000000000000002", "segment", "", "gpg"),
        ("000000010000000000000002.partial", "000000010000000000000002.partial", "partial", "", ""),
        ("000000010000000000000002.gz.partial", "000000010000000000000002.partial", "partial", "gzip", ""),
        ("000000010000000000000002.partial.zst", "000000010000000000000002.partial", "partial", "zstd", ""),
        (
            "000000010000000000000002.00000028.backup",
            "000000010000000000000002.00000028.backup",
            "backup",
            "",
            "",
        ),
        ("0000000A.history", "0000000A.history", "history", "", ""),
    ],
)
def test_name_says_what_a_file_is(name: str, plain: str, kind: str, compression: str, seal: str) -> None:
    """PostgreSQL's own name, what was made of it, and by what."""
    found = parse(name)
    assert found is not None
    assert (found.plain, found.kind, found.compression, found.seal) == (plain, kind, compression, seal)


@pytest.mark.parametrize(
    "name",
    [
        "identity.json",
        "00000001000000000000000g",
        "00000001000000000000000a",
        "0000000100000000000000020",
        "000000010000000000000002.txt",
        "000000010000000000000002.28.backup",
        "000000010000000000000002.00000028",
        "00000001.histories",
        ".000000010000000000000002.77.00ff.push",
        "000000010000000000000002.sha256",
        "",
    ],
)
def test_name_of_anything_else_is_none(name: str) -> None:
    """It may lie there, and is no WAL."""
    assert parse(name) is None


def test_header_tells_server_place_and_size() -> None:
    """As PostgreSQL 15 writes it."""
    header = header_of(a_segment(7, timeline=3))
    assert header is not None
    assert (header.major, header.timeline, header.address) == (15, 3, 7 * SEGMENT_BYTES)
    assert (header.system_identifier, header.segment_bytes, header.page_bytes) == (str(SYSTEM), SEGMENT_BYTES, 8192)


def test_header_is_none_of_what_is_no_segment() -> None:
    """Too short, zeros, text, a page of the middle, a size that no server has."""
    odd = a_segment(1, segment_bytes=SEGMENT_BYTES + PAGE_BYTES)
    for content in (b"", b"\0" * 64, b"x" * 64, a_segment(1)[PAGE_BYTES : PAGE_BYTES + 64], odd):
        assert header_of(content) is None


@pytest.mark.parametrize(
    ("content", "name", "why"),
    [
        (a_segment(7), segment_name(1, 7, SEGMENT_BYTES), ""),
        (a_segment(7, page_timeline=1, timeline=2), segment_name(2, 7, SEGMENT_BYTES), ""),
        (b"", segment_name(1, 7, SEGMENT_BYTES), "does not begin as WAL does"),
        (
            a_segment(8),
            segment_name(1, 7, SEGMENT_BYTES),
            "says that it begins at 0/800000, its name that it does at 0/700000",
        ),
        (a_segment(7, timeline=2), segment_name(1, 7, SEGMENT_BYTES), "is of timeline 2, its name of timeline 1"),
        (
            a_segment(7, system=42),
            segment_name(1, 7, SEGMENT_BYTES),
            f"is of another server: its system identifier is 42, not {SYSTEM}",
        ),
    ],
)
def test_header_is_held_against_the_name(content: bytes, name: str, why: str) -> None:
    """A segment in which a timeline begins holds pages of the one before."""
    assert header_trouble(header_of(content), name, str(SYSTEM)) == why


def read(content: bytes, *, piece: int = 50_000) -> PageReader:
    """The pages of the seventh segment, as they come out of a pipe."""
    reader = PageReader(7 * SEGMENT_BYTES, PAGE_BYTES, 1)
    for at in range(0, len(content), piece):
        reader.take(content[at : at + piece])
    return reader


def test_pages_of_a_whole_segment_are_all_in_their_place() -> None:
    """However they are cut on their way."""
    for piece in (777, 8192, SEGMENT_BYTES):
        reader = read(a_segment(7), piece=piece)
        assert (reader.trouble, reader.ends_at) == ("", 8 * SEGMENT_BYTES)


def test_pages_of_a_switched_segment_end_in_zeros() -> None:
    """Which is whole all the same."""
    reader = read(a_segment(7, pages=3))
    assert (reader.trouble, reader.ends_at) == ("", 7 * SEGMENT_BYTES + 3 * PAGE_BYTES)


WHOLE = a_segment(7)


@pytest.mark.parametrize(
    ("damaged", "why"),
    [
        (WHOLE[:PAGE_BYTES] + WHOLE[2 * PAGE_BYTES :], "the page at 0/702000 is not what should stand there"),
        (
            WHOLE[: PAGE_BYTES + 8] + b"\xff" + WHOLE[PAGE_BYTES + 9 :],
            "the page at 0/702000 is not what should stand there",
        ),
        (WHOLE[:PAGE_BYTES] + bytes(PAGE_BYTES) + WHOLE[2 * PAGE_BYTES :], "pages before 0/704000 are empty"),
    ],
    ids=["one missing", "a byte flipped", "one empty"],
)
def test_pages_that_are_not_in_a_row_are_told(damaged: bytes, why: str) -> None:
    """By the position."""
    assert read(damaged).trouble == why
