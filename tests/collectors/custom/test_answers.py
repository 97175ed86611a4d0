import math
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from collectors.contract import Answer, AskedError
from collectors.custom.answers import MOST_LABEL_CHARACTERS, MOST_VALUE_COLUMNS, Columns
from tests.collectors.custom.entries import an_answer, an_entry, left_out, values
from toban.outcomes import Failure, Reason
from toban.samples import Findings, Metric, Type, Unit

TO_NUMBER = "cast it to a number, name it among `labels`, or leave it out of the query"


def read(answer: Answer, **given: object) -> Findings:
    """What becomes of an answer."""
    return Columns(an_entry(**given), answer.columns).findings(answer, 5.0)


def refused(columns: str, **given: object) -> Failure:
    """Why an answer with these columns is of no use."""
    with pytest.raises(AskedError) as error:
        read(an_answer(columns), **given)
    return error.value.failure


def test_columns_become_metrics_with_labels() -> None:
    """Each value column one, in the contract's words, all of one moment."""
    answer = an_answer("desk count mean_seconds", ("tokyo", 3, Decimal("1.5")), ("osaka", 1, 0.25))
    found = read(answer, labels=["desk"])
    assert values(found) == {
        ("toban_custom_trades_count", "tokyo"): 3.0,
        ("toban_custom_trades_mean_seconds", "tokyo"): 1.5,
        ("toban_custom_trades_count", "osaka"): 1.0,
        ("toban_custom_trades_mean_seconds", "osaka"): 0.25,
    }
    assert found.gaps == ()
    assert {sample.taken_at for sample in found.samples} == {5.0}


def test_metric_is_declared_by_its_entry() -> None:
    """Help, type and history out of the entry, the unit out of the name."""
    answer = an_answer("desk wait_seconds size_bytes hit_ratio sold_total", ("tokyo", 1, 2, 0.5, 4))
    found = read(answer, labels=["desk"], counters=["sold_total"], help="What was sold", kept=False)
    assert [s.metric for s in found.samples] == [
        Metric(name=f"toban_custom_trades_{name}", help="What was sold", type=type_, unit=unit, labels=("desk",))
        for name, type_, unit in (
            ("wait_seconds", Type.GAUGE, Unit.SECONDS),
            ("size_bytes", Type.GAUGE, Unit.BYTES),
            ("hit_ratio", Type.GAUGE, Unit.RATIO),
            ("sold_total", Type.COUNTER, Unit.NONE),
        )
    ]


def test_metric_without_help_names_column_and_query() -> None:
    """And is kept for the history."""
    (sample,) = read(an_answer("count", (1,))).samples
    assert (sample.metric.help, sample.metric.kept) == ("Column count of the query trades", True)


def test_null_leaves_no_sample() -> None:
    """It is no value and no gap; as a label it is empty."""
    found = read(an_answer("desk count profit", (None, 3, None)), labels=["desk"])
    assert values(found) == {("toban_custom_trades_count", ""): 3.0}
    assert found.gaps == ()


@pytest.mark.parametrize("odd", ["12", b"12", timedelta(seconds=1), 10**400])
def test_column_that_is_no_number_is_a_gap(odd: Any) -> None:  # noqa: ANN401 - whatever a database holds
    """It is named, with how many rows it spoils; its neighbours stay."""
    found = read(an_answer("id note count", (1, odd, 1), (2, odd, 2), (3, 5, 3)), labels=["id"])
    assert values(found) == {
        ("toban_custom_trades_count", "1"): 1.0,
        ("toban_custom_trades_count", "2"): 2.0,
        ("toban_custom_trades_note", "3"): 5.0,
        ("toban_custom_trades_count", "3"): 3.0,
    }
    assert left_out(found) == [("column note", 2, "what it holds is no number", TO_NUMBER)]
    assert found.gaps[0].reason is Reason.QUERY


def test_truth_and_what_is_no_amount_are_numbers() -> None:
    """True is 1; NaN stays what it is."""
    found = values(read(an_answer("open mean", (True, Decimal("NaN")))))
    assert found["toban_custom_trades_open",] == 1.0
    assert math.isnan(found["toban_custom_trades_mean",])


def test_row_with_the_labels_of_another_is_a_gap() -> None:
    """The first counts: one series has one value."""
    found = read(an_answer("desk count", ("tokyo", 1), ("tokyo", 2), ("tokyo", 3)), labels=["desk"])
    assert values(found) == {("toban_custom_trades_count", "tokyo"): 1.0}
    assert left_out(found) == [
        ("rows with the labels of a row before", 2, "two values of one series", "`group by desk`")
    ]


def test_rows_without_labels_want_some() -> None:
    """Where there is no label, a second row is one too many."""
    found = read(an_answer("count", (1,), (2,)))
    assert values(found) == {("toban_custom_trades_count",): 1.0}
    assert left_out(found)[0][3] == "name `labels`"


def test_rows_beyond_the_bound_are_a_gap() -> None:
    """What was taken stands."""
    found = read(an_answer("id count", (1, 1), more=True), labels=["id"], most_rows=1)
    assert values(found) == {("toban_custom_trades_count", "1"): 1.0}
    assert left_out(found) == [
        (
            "rows beyond 1",
            1,
            "the answer has more than 1 rows; how many, nobody has counted",
            "let the query choose (order by … limit …), or raise `most_rows`",
        )
    ]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (True, "true"),
        (False, "false"),
        (b"caf\xc3\xa9", "café"),
        (b"\xff\x00", "\\xff\x00"),
        (Decimal("1.50"), "1.50"),
        (date(2026, 11, 21), "2026-11-21"),
        ("", ""),
    ],
)
def test_label_is_written_as_sql_would(value: object, label: str) -> None:
    """Whatever type the column has."""
    (sample,) = read(an_answer("kind count", (value, 1)), labels=["kind"]).samples
    assert sample.labels == (label,)


def test_label_is_cut_to_a_bounded_length() -> None:
    """A text column that was meant as a label must not fill the memory."""
    (sample,) = read(an_answer("note count", ("x" * 10_000, 1)), labels=["note"]).samples
    assert sample.labels == ("x" * MOST_LABEL_CHARACTERS,)


def test_column_without_a_usable_name_is_a_gap() -> None:
    """So is a second one of the same name; both say how to mend it."""
    found = read(an_answer("count(*) 件数 count count", (1, 2, 3, 4)))
    assert values(found) == {("toban_custom_trades_count",): 3.0}
    assert left_out(found) == [
        ("column 'count(*)'", 1, "its name makes no metric's name", "give it one with `as`"),
        ("column '件数'", 1, "its name makes no metric's name", "give it one with `as`"),
        ("column count", 1, "a column before it has the same name", "give it another with `as`"),
    ]


def test_columns_are_bounded() -> None:
    """The first fifty count."""
    names = [f"c{n}" for n in range(MOST_VALUE_COLUMNS + 3)]
    found = read(an_answer(" ".join(names), tuple(range(len(names)))))
    assert len(found.samples) == MOST_VALUE_COLUMNS
    assert left_out(found) == [("columns beyond 50 values", 3, "one query has no room for more", "")]


def test_missing_label_names_the_columns_there_are() -> None:
    """Also when there is no row."""
    assert refused("count profit", labels=["desk", "count", "team"]) == Failure(
        reason=Reason.QUERY,
        detail="no column desk, team for a label; there are: count, profit",
        hint="mend `sql` or `labels` of the entry",
    )


def test_columns_there_are_are_listed_up_to_a_bound() -> None:
    """A wide table does not flood the status."""
    detail = refused(" ".join(f"c{n}" for n in range(100)), labels=["desk"]).detail
    assert detail.endswith("c18, c19 …")


def test_answer_of_labels_alone_has_no_value() -> None:
    """A query that measures nothing is a mistake."""
    assert refused("desk", labels=["desk"]).detail == "no column is a value; all are labels: desk"


def test_no_rows_are_no_samples_and_no_gap() -> None:
    """Nothing was traded today."""
    found = read(an_answer("desk count"), labels=["desk"])
    assert (found.samples, found.gaps) == ((), ())
