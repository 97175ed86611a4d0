import pytest

from collectors.postgresql.settings import PENDING_RESTART, PREFIX, Settings, SettingsSettings, convert
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.sources import Asking, a_server, the_value
from tests.conftest import NewCluster
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.outcomes import Reason
from toban.samples import Findings, Unit


def values(findings: Findings) -> dict[str, float]:
    """Settings by the name of their metric."""
    return {sample.metric.name: sample.value for sample in findings.samples}


async def collected(cluster: Cluster, collector: type[Settings] = Settings) -> Findings:
    """One reading."""
    server = a_server(cluster)
    findings = await collector(server, SettingsSettings(), SystemClock()).collect()
    await server.close()
    return findings


@pytest.mark.parametrize(
    ("setting", "unit", "vartype", "expected"),
    [
        ("on", "", "bool", (1.0, Unit.NONE)),
        ("off", "", "bool", (0.0, Unit.NONE)),
        ("100", "", "integer", (100.0, Unit.NONE)),
        ("0.9", "", "real", (0.9, Unit.NONE)),
        ("16384", "8kB", "integer", (16384 * 8192, Unit.BYTES)),
        ("4096", "kB", "integer", (4096 * 1024, Unit.BYTES)),
        ("1024", "MB", "integer", (1024**3, Unit.BYTES)),
        ("64", "16MB", "integer", (1024**3, Unit.BYTES)),
        ("16777216", "B", "integer", (16777216, Unit.BYTES)),
        ("200", "ms", "integer", (0.2, Unit.SECONDS)),
        ("5", "min", "integer", (300.0, Unit.SECONDS)),
        ("30", "s", "integer", (30.0, Unit.SECONDS)),
        ("2", "h", "integer", (7200.0, Unit.SECONDS)),
        ("1", "d", "integer", (86400.0, Unit.SECONDS)),
        ("5", "us", "real", (5e-6, Unit.SECONDS)),
        ("-1", "ms", "integer", (-1.0, Unit.SECONDS)),
        ("-1", "8kB", "integer", (-1.0, Unit.BYTES)),
        ("0", "kB", "integer", (0.0, Unit.BYTES)),
    ],
)
def test_setting_becomes_a_number_in_base_units(
    setting: str, unit: str, vartype: str, expected: tuple[float, Unit]
) -> None:
    """Pages, kilobytes and minutes become bytes and seconds; -1 means off or automatic and stays what it is."""
    value, base = convert(setting, unit, vartype)
    assert value == pytest.approx(expected[0])
    assert base is expected[1]


@pytest.mark.integration
async def test_settings_have_the_exporters_names(postgres: Cluster) -> None:
    """What the dashboards ask for is there, in base units, untyped."""
    findings = await collected(postgres)
    seen = values(findings)
    assert seen["pg_settings_max_connections"] == 40
    assert seen["pg_settings_shared_buffers_bytes"] == 16 * 1024**2
    assert seen["pg_settings_checkpoint_timeout_seconds"] == 300
    assert seen["pg_settings_fsync"] == 0
    assert seen["pg_settings_random_page_cost"] == 4
    for name in ("work_mem", "maintenance_work_mem", "effective_cache_size", "max_wal_size"):
        assert seen[f"pg_settings_{name}_bytes"] > 0
    assert len(seen) == len(findings.samples) > 230
    dynamic = [s.metric for s in findings.samples if s.metric not in Settings.metrics]
    assert all(metric.compatible and metric.name.startswith(PREFIX) for metric in dynamic)
    assert findings.gaps == ()


@pytest.mark.integration
async def test_settings_never_tell_tobans_own_limits(postgres: Cluster) -> None:
    """What Toban's session sets for itself is not passed off as the server's."""
    seen = values(await collected(postgres))
    for name in ("statement_timeout_seconds", "lock_timeout_seconds", "default_transaction_read_only"):
        assert f"pg_settings_{name}" not in seen


@pytest.mark.integration
async def test_settings_of_extensions_have_their_dot_replaced(postgres15: Cluster) -> None:
    """A dot is no part of a metric's name."""
    assert values(await collected(postgres15))["pg_settings_pg_stat_statements_max"] == 5000


@pytest.mark.integration
async def test_settings_follow_a_change_and_count_what_waits(new_cluster: NewCluster) -> None:
    """A reload shows with the next reading; what needs a restart is counted until then, text settings as well."""
    cluster, clock = new_cluster(), ManualClock()
    server = a_server(cluster)
    collector = Settings(server, SettingsSettings(), clock)
    first = await collector.collect()
    clock.advance(300)
    second = await collector.collect()
    assert values(first) == values(second)
    assert {sample.taken_at for sample in second.samples} == {clock.now()}
    cluster.configure(work_mem="8MB", max_connections="50", cluster_name="renamed")
    work_mem = 8 * 1024**2

    async def changed() -> Findings | None:
        findings = await collector.collect()
        return findings if values(findings)["pg_settings_work_mem_bytes"] == work_mem else None

    findings = await eventually(changed)
    assert findings is not None
    assert the_value(findings, PENDING_RESTART) == 2
    assert values(findings)["pg_settings_max_connections"] == 40
    await server.close()


@pytest.mark.integration
async def test_settings_in_an_unknown_unit_are_a_gap(postgres15: Cluster) -> None:
    """A unit that a later PostgreSQL thinks of is left out and said; names that fall together give one series."""

    class Strange(Settings):
        query = Asking(
            "select *, setting as shown, false as fixed from (values ('a.b', '1', '', 'integer', false), "
            "('a_b', '2', '', 'integer', false), ('far', '3', 'parsec', 'real', false)) "
            "as s (name, setting, unit, vartype, pending_restart)"
        )

    findings = await collected(postgres15, Strange)
    assert values(findings) == {"pg_settings_a_b": 1, PENDING_RESTART.name: 0}
    (gap,) = findings.gaps
    assert (gap.reason, gap.count) == (Reason.UNSUPPORTED, 1)
    assert "far" in gap.detail
