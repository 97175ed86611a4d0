import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from collectors.contract import Answer, AskedError, Kind, SqlSource
from collectors.custom.answers import metric_of
from collectors.custom.collector import Custom
from collectors.custom.settings import CustomSettings, same_metrics
from collectors.sqlite.file import SqliteFile
from tests.builders import ManualClock
from tests.collectors.custom.entries import an_answer, an_entry, values
from tests.sqlite_files import ROLLBACK, WAL, application
from toban.outcomes import Failure, Reason

# The contract's own example, word for word.
TRADES_TODAY = (
    "select desk, count(*) as count, avg(execution_time) as mean_seconds, sum(profit_loss) as profit from trades "
    "where date(created_at) = date('now') group by desk"
)


class Ledger(SqlSource):
    """A source whose answers the test knows."""

    def __init__(self, *answers: Answer | AskedError) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, float, int, str | None]] = []

    async def ask(self, sql: str, *, timeout_seconds: float, most_rows: int, database: str | None = None) -> Answer:
        """The next of them."""
        self.asked.append((sql, timeout_seconds, most_rows, database))
        answer = self.answers.pop(0)
        if isinstance(answer, AskedError):
            raise answer
        return answer

    def explain(self, error: BaseException) -> Failure:
        """Not asked for here."""
        raise error

    def abandon(self) -> None:
        """Nothing is open."""

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("mode", [ROLLBACK, WAL])
async def test_todays_trades_are_measured_as_the_contract_shows(
    tmp_path: Path, manual_clock: ManualClock, mode: str
) -> None:
    """Count, mean time and profit of each desk, of today alone."""
    ledger = tmp_path / "ledger.db"
    with closing(application(ledger, mode)) as connection:
        connection.execute("CREATE TABLE trades (desk text, execution_time real, profit_loss real, created_at text)")
        rows = [("fx", 0.2, 100, "now"), ("fx", 0.4, -250.5, "now"), ("bonds", 1, 7, "now"), ("fx", 9, 9, "-1 day")]
        connection.executemany(
            "INSERT INTO trades SELECT ?1, ?2, ?3, datetime('now', iif(?4 = 'now', '+0 day', ?4))", rows
        )
        entry = an_entry(name="trades_today", every="60s", timeout="5s", help="…", labels=["desk"], sql=TRADES_TODAY)
        found = await Custom(SqliteFile(ledger), entry, manual_clock).collect()
    assert values(found) == {
        ("toban_custom_trades_today_count", "fx"): 2.0,
        ("toban_custom_trades_today_mean_seconds", "fx"): pytest.approx(0.3),
        ("toban_custom_trades_today_profit", "fx"): -150.5,
        ("toban_custom_trades_today_count", "bonds"): 1.0,
        ("toban_custom_trades_today_mean_seconds", "bonds"): 1.0,
        ("toban_custom_trades_today_profit", "bonds"): 7.0,
    }
    assert found.gaps == ()
    assert found.samples[0].metric.help == "…"


async def test_entry_asks_within_its_own_bounds(manual_clock: ManualClock) -> None:
    """The target's limit comes before the turn's."""
    source = Ledger(an_answer("count", (1,)))
    entry = an_entry(timeout="10s", most_rows=7, database="shop", sql="select 1 as count;")
    await Custom(source, entry, manual_clock).collect()
    assert source.asked == [("select 1 as count", 9.0, 7, "shop")]


async def test_columns_are_read_anew_when_they_change(manual_clock: ManualClock) -> None:
    """`select *` after an ALTER TABLE; what stays the same keeps its metric."""
    source = Ledger(an_answer("a b", (1, 2)), an_answer("a b", (3, 4)), an_answer("b c", (5, 6)))
    collector = Custom(source, an_entry(), manual_clock)
    first, second, third = [await collector.collect() for _ in range(3)]
    assert values(second) == {("toban_custom_trades_a",): 3.0, ("toban_custom_trades_b",): 4.0}
    assert values(third) == {("toban_custom_trades_b",): 5.0, ("toban_custom_trades_c",): 6.0}
    assert first.samples[0].metric is second.samples[0].metric


async def test_sql_without_an_answer_is_a_failure(manual_clock: ManualClock) -> None:
    """So that its cadence backs off."""
    failure = Failure(reason=Reason.QUERY, detail="no such table: trades")
    collector = Custom(Ledger(AskedError(failure)), an_entry(), manual_clock)
    with pytest.raises(AskedError) as raised:
        await collector.collect()
    assert raised.value.failure is failure


def test_entries_serve_what_speaks_sql() -> None:
    """The administration console of a pooler does not."""
    assert {kind for kind in Kind if Custom.serves(kind)} == {Kind.POSTGRESQL, Kind.SQLITE, Kind.MARIADB}


def clashes(*entries: CustomSettings) -> list[tuple[int, str]]:
    """What is said of entries beside each other."""
    return list(Custom.clashes(entries))


def test_entries_that_make_one_metric_are_told() -> None:
    """Both ways round, and only the one to rename."""
    shorter = an_entry(name="trades", sql="select count(*) as today_count from trades")
    longer = an_entry(name="trades_today", sql="select count(*) as count from trades")
    why = "toban_custom_trades_today_count would come from the entry trades too; choose another name"
    assert clashes(shorter, longer) == [(1, why)]
    assert clashes(longer, shorter) == [(0, why)]


def test_entries_whose_names_begin_alike_may_stand_together() -> None:
    """Only what their words show counts, and no literal is a word."""
    shorter = an_entry(name="trades", sql="select count(*) as count from trades where note = 'today_count'")
    longer = an_entry(name="trades_today", sql="select count(*) as count from trades")
    other = an_entry(name="tradestoday", sql="select count(*) as today_count from trades")
    assert list(same_metrics([shorter, longer, other])) == []


async def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path, manual_clock: ManualClock) -> None:
    """SQLite keeps whatever it was given; a label shows what of it is text."""
    ledger = tmp_path / "ledger.db"
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("CREATE TABLE trades AS SELECT cast(x'66ff78' AS text) AS desk, 1 AS count")
    entry = an_entry(labels=["desk"], sql="select desk, count from trades")
    found = await Custom(SqliteFile(ledger), entry, manual_clock).collect()
    assert values(found) == {("toban_custom_trades_count", "f\N{REPLACEMENT CHARACTER}x"): 1.0}


def test_column_that_is_called_as_a_part_of_a_histogram_goes_out_without_a_type() -> None:
    """A gauge that ends so is a mistake to promtool, and `count(*) as count` is what everybody writes."""
    columns = ("count", "sum", "bucket", "profit", "counted", "count_total")
    assert [name for name in columns if metric_of(an_entry(), name).compatible] == ["count", "sum", "bucket"]
