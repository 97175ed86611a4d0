from pathlib import Path

import pytest

from collectors.postgresql.sql import OLDEST, Query, UnsupportedVersionError, quote_identifier, quote_literal
from toban.outcomes import Reason


class ThreeFloors(Query):
    """A query that changed twice."""

    @property
    def floors(self) -> dict[int, str]:
        """Highest first, as they are read."""
        return {170000: "new", 150000: "middle", 140000: "old"}


@pytest.mark.parametrize(
    ("version", "expected"),
    [(140000, "old"), (149999, "old"), (150000, "middle"), (160004, "middle"), (170000, "new"), (190000, "new")],
)
def test_query_takes_the_nearest_floor_below(version: int, expected: str) -> None:
    """A server gets the SQL of the highest version that is not above its own."""
    assert ThreeFloors("three").text(version) == expected


def test_query_below_every_floor_says_which_version_it_needs() -> None:
    """A server older than every floor is a typed reason with both versions in it."""
    with pytest.raises(UnsupportedVersionError) as caught:
        ThreeFloors("three").text(130011)
    assert caught.value.failure.reason is Reason.VERSION
    assert caught.value.failure.detail == "three needs PostgreSQL 14, this server is 13"


@pytest.mark.parametrize(
    "name", ["identity", "activity", "databases", "sizes", "sizes_list", "locks", "settings", "setup", "setup_files"]
)
def test_query_files_begin_with_why_and_end_without_a_semicolon(name: str) -> None:
    """Each file reaches down to the oldest supported version and tells a DBA who sees it whose it is and why."""
    floors = Query(name).floors
    assert min(floors) == OLDEST
    for sql in floors.values():
        assert sql.startswith("-- Toban: ")
        assert not sql.rstrip().endswith(";")


def test_queries_mean_the_same_whatever_a_server_makes_of_a_backslash() -> None:
    """Under `standard_conforming_strings = off` it would be taken for an escape, and warned of in the server's log."""
    files = sorted((Path(__file__).parents[3] / "collectors" / "postgresql" / "queries").rglob("*.sql"))
    assert [path.parent.name for path in files if "\\" in path.read_text()] == []
    assert files


def test_query_floors_are_read_highest_first() -> None:
    """The order is what the choice relies on."""
    floors = list(Query("identity").floors)
    assert floors == sorted(floors, reverse=True)


def test_quote_identifier_doubles_quotes() -> None:
    """A name cannot leave its quotes."""
    assert quote_identifier('a"; drop table x; --') == '"a""; drop table x; --"'


@pytest.mark.parametrize(("text", "expected"), [("a", "'a'"), ("it's", "'it''s'"), ("a\\'b", "E'a\\\\''b'")])
def test_quote_literal_leaves_no_way_out(text: str, expected: str) -> None:
    """A string cannot leave its quotes, with backslashes either."""
    assert quote_literal(text) == expected
