from contextlib import ExitStack

import psycopg
import pytest

from collectors.pgbouncer.console import PgBouncerConsole
from collectors.pgbouncer.process import Process, ProcessSettings
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.pgbouncer.consoles import Shown, values
from tests.pgbouncers import NewPgBouncer
from toban.clock import SystemClock
from toban.outcomes import Reason
from toban.secrets import Dsn


@pytest.mark.integration
async def test_process_sees_its_clients_against_their_limit(postgres15: Cluster, new_pgbouncer: NewPgBouncer) -> None:
    """Three clients and the console of five; filled up, the next client is refused and the console still answers."""
    pgbouncer = new_pgbouncer(postgres15, settings={"max_client_conn": "5"})
    console = PgBouncerConsole(Dsn(pgbouncer.dsn()), SystemClock())
    process = Process(console, ProcessSettings(), SystemClock())
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(pgbouncer.client())
        findings = await process.collect()
        found = values(findings)
        assert found["toban_pgbouncer_clients_used_ratio"] == 0.8
        assert found["pgbouncer_used_clients"] == 4
        assert found["pgbouncer_config_max_client_connections"] == 5
        assert found["pgbouncer_databases"] == 2
        assert findings.gaps == ()
        stack.enter_context(pgbouncer.client())
        with pytest.raises(psycopg.OperationalError, match="no more connections allowed"):
            pgbouncer.client()
        latecomer = PgBouncerConsole(Dsn(pgbouncer.dsn()), SystemClock())
        full = values(await Process(latecomer, ProcessSettings(), SystemClock()).collect())
        assert full["toban_pgbouncer_clients_used_ratio"] == 1
        await latecomer.close()
    await console.close()


@pytest.mark.integration
async def test_process_knows_the_version_and_looks_anew_after_a_restart(
    postgres15: Cluster, new_pgbouncer: NewPgBouncer
) -> None:
    """The version is a label; a limit that a restart brings is seen at once, not minutes later."""
    pgbouncer = new_pgbouncer(postgres15, settings={"max_client_conn": "5"})
    console = PgBouncerConsole(Dsn(pgbouncer.dsn()), SystemClock())
    process = Process(console, ProcessSettings(), ManualClock())
    (version,) = [s.labels[0] for s in (await process.collect()).samples if s.metric.name == "pgbouncer_version_info"]
    assert version.startswith("1.")
    file = pgbouncer.home / "pgbouncer.ini"
    file.write_text(file.read_text().replace("max_client_conn = 5", "max_client_conn = 50"))
    pgbouncer.stop()
    pgbouncer.start()
    assert values(await process.collect())["pgbouncer_config_max_client_connections"] == 50
    await console.close()


async def test_process_asks_for_the_configuration_now_and_then(manual_clock: ManualClock) -> None:
    """What only a RELOAD changes is asked for every five minutes."""
    config = [{"key": "max_client_conn", "value": "10"}, {"key": "auth_type", "value": "md5"}]
    console = Shown(LISTS=[{"list": "used_clients", "items": 20}], CONFIG=config, VERSION=[])
    process = Process(console, ProcessSettings(), manual_clock)
    findings = await process.collect()
    assert values(findings)["toban_pgbouncer_clients_used_ratio"] == 1
    assert "pgbouncer_version_info" not in {s.metric.name for s in findings.samples}
    (gap,) = findings.gaps
    assert (gap.reason, gap.count) == (Reason.VERSION, 10)
    manual_clock.advance(299)
    await process.collect()
    manual_clock.advance(1)
    await process.collect()
    assert console.asked == ["LISTS", "CONFIG", "VERSION", "LISTS", "LISTS", "CONFIG", "VERSION"]


async def test_process_has_no_share_without_a_limit() -> None:
    """Where the limit is not shown there is no share of it."""
    process = Process(Shown(LISTS=[], CONFIG=[], VERSION=[]), ProcessSettings(), ManualClock())
    assert (await process.collect()).samples == ()
