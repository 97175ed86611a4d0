"""Somebody's own SQL: one row, one column, true."""

from typing import Any

import pytest

from backup.proof.assertions import answered, asserted, databases_of
from backup.settings import Assertion
from tests.backup.proof.scenes import Answer


@pytest.mark.parametrize(
    ("rows", "numbers", "ok", "why"),
    [
        ([(True,)], False, True, ""),
        ([(False,)], False, False, "is false"),
        ([(1,)], True, True, ""),
        ([(0,)], True, False, "is false"),
        ([(1,)], False, None, "brought 1, which is neither true nor false"),
        ([(None,)], False, None, "brought null, which is neither true nor false"),
        ([("yes",)], True, None, "brought yes, which is neither true nor false"),
        ([], False, None, "brought 0 rows of 0 columns; it is to bring one row of one column, true"),
        ([(True, True)], False, None, "brought 1 rows of 2 columns; it is to bring one row of one column, true"),
        ([(True,), (True,)], False, None, "brought 2 rows of 1 columns; it is to bring one row of one column, true"),
    ],
)
def test_answer_is_true_or_false_or_none(
    rows: list[tuple[Any, ...]],
    numbers: Answer,
    ok: Answer,
    why: str,
) -> None:
    """Anything but one truth value is no answer."""
    assert answered(rows, numbers=bool(numbers)) == (ok, why)


def test_assertion_is_asked_in_its_database_or_in_each() -> None:
    """The one that it names comes first."""
    assert databases_of(Assertion(name="a", sql="SELECT true", database="shop"), ("other",)) == ("shop",)
    assert databases_of(Assertion(name="a", sql="SELECT true"), ("one", "two")) == ("one", "two")


def test_assertion_holds_where_it_holds_everywhere() -> None:
    """One database where it is false is named; nobody to ask is no answer."""
    one = Assertion(name="sums", sql="SELECT true")
    assert asserted(one, [("a", True, ""), ("b", True, "")]).ok is True
    check = asserted(one, [("a", True, ""), ("b", False, "is false")])
    assert (check.name, check.ok, check.detail) == ("assertion sums", False, "b: is false")
    assert asserted(one, []).ok is None
