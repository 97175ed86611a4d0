"""Somebody's own SQL at a MariaDB, by way of the collector `custom`."""

import pytest

from collectors.custom.collector import Custom
from collectors.custom.settings import CustomSettings
from tests.collectors.mariadb.watched import watching
from tests.mariadbs import Mariadb


@pytest.mark.integration
async def test_custom_sql_becomes_metrics(mariadb: Mariadb) -> None:
    """Whole numbers, decimals and NULL, by label."""
    mariadb.sql("create or replace database trade; create table trade.t (desk text, profit decimal(10, 2))")
    mariadb.sql("insert into trade.t values ('a', 1.25), ('a', 2.25), ('b', null)")
    settings = CustomSettings(
        name="profit",
        target="shop",
        labels=("desk",),
        sql="select desk, count(*) as deals, sum(profit) as total from trade.t group by desk",
    )
    async with watching(mariadb) as source:
        findings = await Custom(source, settings, source.clock).collect()
    assert {(s.metric.name, s.labels): s.value for s in findings.samples} == {
        ("toban_custom_profit_deals", ("a",)): 2,
        ("toban_custom_profit_total", ("a",)): 3.5,
        ("toban_custom_profit_deals", ("b",)): 1,
    }
