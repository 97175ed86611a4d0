"""Rows against rows: exact ones are equal, estimated ones near."""

from backup.proof.rows import Counted, Table, compared
from tests.backup.proof.scenes import some_rows
from toban.backups import TableRows


def found(**tables: int) -> dict[Table, Counted]:
    """So many rows were counted."""
    return {("shop", "public", name): Counted(rows=rows) for name, rows in tables.items()}


def test_rows_that_are_all_there_are_summed_up() -> None:
    """Two tables with as many rows as they had."""
    check = compared(some_rows("shop", item=3, sale=0), found(item=3, sale=0), tolerance=0.2)
    assert (check.ok, check.detail) == (True, "2 tables, 3 rows")


def test_rows_that_are_one_short_are_damage() -> None:
    """One row less is named with both numbers."""
    check = compared(some_rows("shop", item=3, sale=9), found(item=3, sale=8), tolerance=0.2)
    assert (check.ok, check.detail) == (False, "shop: public.sale has 8 rows, and had 9")


def test_rows_that_are_one_too_many_are_damage() -> None:
    """It is not what was there: something was put in twice, or is of another moment."""
    check = compared(some_rows("shop", sale=9), found(sale=10), tolerance=0.2)
    assert (check.ok, check.detail) == (False, "shop: public.sale has 10 rows, and had 9")


def test_table_that_is_not_there_is_damage() -> None:
    """A table that was counted, and did not come back."""
    check = compared(some_rows("shop", item=3), {}, tolerance=0.2)
    assert (check.ok, check.detail) == (False, "shop: public.item is not there")


def test_estimated_rows_within_tolerance_pass_and_are_said_to_be_estimated() -> None:
    """A fifth off is near enough, and small tables may be off by a hundred."""
    promised = (
        TableRows(database="shop", schema="public", table="big", rows=1_000_000, exact=False),
        TableRows(database="shop", schema="public", table="small", rows=0, exact=False),
    )
    check = compared(promised, found(big=1_200_000, small=100), tolerance=0.2)
    assert (check.ok, check.detail) == (True, "2 tables, 1200100 rows; 2 were estimated")


def test_estimated_rows_far_off_decide_nothing() -> None:
    """An estimate may have been an old one: no damage is proved, and no pass either."""
    promised = (TableRows(database="shop", schema="public", table="big", rows=1_000_000, exact=False),)
    check = compared(promised, found(big=10), tolerance=0.2)
    assert (check.ok, check.detail) == (None, "shop: public.big has 10 rows, and was estimated at 1000000")


def test_rows_that_could_not_be_counted_say_why() -> None:
    """Spoiled ones come before open ones, and decide."""
    seen = {
        ("shop", "public", "item"): Counted(why="cannot be counted: canceling statement", ok=None),
        ("shop", "public", "sale"): Counted(why="cannot be counted: invalid page", ok=False),
    }
    check = compared(some_rows("shop", item=3, sale=9), seen, tolerance=0.2)
    assert check.ok is False
    assert check.detail == (
        "shop: public.sale cannot be counted: invalid page; shop: public.item cannot be counted: canceling statement"
    )


def test_differences_are_named_in_part_and_counted_in_whole() -> None:
    """Of seven tables that differ five are named."""
    promised = some_rows("shop", **{f"t{number}": 1 for number in range(7)})
    check = compared(promised, {}, tolerance=0.2)
    assert check.detail.count("is not there") == 5
    assert check.detail.endswith("; and 2 more tables")
