"""PostgreSQL's own log, written by real servers in each of its forms."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from collectors.logs.postgresql import prefix_regex
from tests.clusters import Cluster
from tests.collectors.logs.followed import Followed, values, write
from tests.conftest import MAJORS, NewCluster
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.samples import Findings

FORMS = [
    pytest.param(major, form, id=f"{major}-{form}")
    for major in MAJORS
    for form in ("stderr", "csvlog", "jsonlog")
    if form != "jsonlog" or major >= 15
]
COLLECTED = {
    "logging_collector": "on",
    "log_line_prefix": "%m [%p] %q%u@%d %r %e ",
    "log_timezone": "UTC",
    "log_temp_files": "0",
    "work_mem": "64kB",
    "deadlock_timeout": "10ms",
    "log_error_verbosity": "default",
}


async def _trouble(cluster: Cluster) -> None:
    """An error over several lines, a warning, a slow statement, a temporary file, a deadlock, three failed logins."""
    connection = await cluster.connect()
    with suppress(asyncpg.PostgresError):
        await connection.execute("select 'a secret\n\nERROR:  not one',\n\t1/0")
    await connection.execute("do $$ begin raise warning 'several\nlines \"quoted\"'; end $$")
    await connection.execute("set log_min_duration_statement = 0; ")
    await connection.execute("select 1")
    await connection.execute("set log_min_duration_statement = -1")
    await connection.execute("select count(*) from (select n from generate_series(1, 50000) n order by md5(n::text)) s")
    await connection.execute("create table pair (id int primary key, n int); insert into pair values (1, 0), (2, 0)")
    await connection.execute("create role guest login password 'right'")
    await _deadlock(cluster, connection)
    await connection.close()
    for _ in range(3):
        with suppress(asyncpg.PostgresError):
            await asyncpg.connect(
                host="127.0.0.1", port=cluster.port, user="guest", password="wrong", database="postgres"
            )


async def _deadlock(cluster: Cluster, one: Any) -> None:  # noqa: ANN401 - asyncpg ships no types
    other = await cluster.connect()
    for connection, row in ((one, 1), (other, 2)):
        await connection.execute("begin")
        await connection.execute(f"update pair set n = 1 where id = {row}")
    crossing = (one.execute("update pair set n = 2 where id = 2"), other.execute("update pair set n = 2 where id = 1"))
    await asyncio.gather(*crossing, return_exceptions=True)
    await one.execute("rollback")
    await other.close()


@pytest.mark.integration
@pytest.mark.parametrize(("major", "form"), FORMS)
def test_real_trouble_is_counted_in_each_form(new_cluster: NewCluster, tmp_path: Path, major: int, form: str) -> None:
    """Exactly what happened: entries over several lines count once, and nobody's words are taken for the server's."""
    hba = ("host all guest 127.0.0.1/32 scram-sha-256",)
    cluster = new_cluster(major, settings={**COLLECTED, "log_destination": form}, hba=hba)
    asyncio.run(_trouble(cluster))
    ending = {"stderr": "log", "csvlog": "csv", "jsonlog": "json"}[form]
    (tmp_path / "memory").mkdir()
    followed = Followed(
        tmp_path / "memory",
        path=f"{cluster.data_dir}/log/*.{ending}",
        format="postgresql",
        from_start=True,
        log_line_prefix="%m [%p] %q%u@%d %r %e ",
        patterns=[{"name": "division", "match": "division by (?P<what>zero)"}],
    )
    followed.clock = SystemClock()  # type: ignore[assignment]  # the server's own time
    followed.restart()

    async def counted() -> Findings | None:
        findings = await followed.collector.collect()
        return findings if values(findings, "toban_log_login_failures_24h") == {(): 3} else None

    async def found() -> Findings:
        answer = await eventually(counted)
        assert isinstance(answer, Findings)
        return answer

    findings = asyncio.run(found())
    levels = values(findings, "toban_log_lines_24h")
    assert {name: levels[name,] for name in ("error", "warning", "fatal")} == {"error": 2, "warning": 1, "fatal": 3}
    matches = values(findings, "toban_log_matches_total")
    assert {pattern: count for (pattern,), count in matches.items()} == {
        "deadlock": 1,
        "authentication_failure": 3,
        "slow_statement": matches["slow_statement",],
        "temporary_file": matches["temporary_file",],
        "division": 1,
    }
    assert matches["slow_statement",] in {1, 2}  # the statement that switches it off may count in
    assert matches["temporary_file",] >= 1
    assert values(findings, "toban_log_match_division_total") == {("zero",): 1}
    assert values(findings, "toban_log_sqlstates_total") == {("22",): 1, ("01",): 1, ("40",): 1, ("28",): 3}
    assert values(findings, "toban_log_login_failures_by_address_24h") == {("127.0.0.1",): 3}
    assert values(findings, "toban_log_unparsed_lines_total") == {(): 0}
    assert findings.gaps == ()


@pytest.mark.parametrize(
    ("prefix", "written", "groups"),
    [
        ("%m [%p] ", "2026-11-21 10:00:00.123 UTC [42] ", {}),
        ("%m [%p] %q%u@%d ", "2026-11-21 10:00:00.123 UTC [42] ", {}),
        ("%t %-10u %h %e: ", "2026-11-21 10:00:00 UTC app        192.0.2.1 28P01: ",
         {"address": "192.0.2.1", "state": "28P01"}),
        ("%r %h %% ", "192.0.2.1(5432) 192.0.2.1 % ", {"address": "192.0.2.1"}),
    ],
)  # fmt: skip
def test_prefix_is_understood(prefix: str, written: str, groups: dict[str, str]) -> None:
    """With padding, with what background processes leave out, and with a per cent sign."""
    found = prefix_regex(prefix).fullmatch(written)
    assert found
    assert {name: value for name, value in found.groupdict().items() if value} == groups


def test_records_broken_by_a_block_or_a_crash_spoil_nothing(tmp_path: Path) -> None:
    """A line break within quotes ends no record; what is none is told."""
    row = '2026-11-21 10:00:00.1 UTC,"app","shop",1,"[local]",s,1,"SELECT",t,1/1,0,{level},{state},"a ""quoted""\nline"'
    (tmp_path / "csv").mkdir()
    csv = tmp_path / "csv" / "pg.csv"
    write(
        csv,
        row.format(level="ERROR", state="42601")
        + ",,,,,,,,,,,,\nno record\n"
        + row.format(level="LOG", state="00000")[:-5],
    )
    followed = Followed(csv.parent, path=str(csv), format="postgresql", from_start=True)
    found = followed.turn()
    assert values(found, "toban_log_lines_total") == {("error",): 1, ("none",): 1}
    write(csv, 'line"\n')
    found = followed.turn()
    assert values(found, "toban_log_lines_total") == {("error",): 1, ("log",): 1, ("none",): 1}
    assert values(found, "toban_log_unparsed_lines_total") == {(): 1}
    (tmp_path / "json").mkdir()
    file = tmp_path / "json" / "pg.json"
    write(file, b'{"error_severity": "PANIC", "state_code": "XX000", "message": "caf\xe9"}\n{"broken\n')
    followed = Followed(file.parent, path=str(file), format="postgresql", from_start=True)
    found = followed.turn()
    assert values(found, "toban_log_lines_total") == {("panic",): 1, ("none",): 1}
    assert values(found, "toban_log_sqlstates_total") == {("XX",): 1}
