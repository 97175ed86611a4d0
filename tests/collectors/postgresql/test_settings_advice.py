"""Advice fits the machine: the handbook's figures for 8 GB, sensible ones for any other, and never more than it has."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from collectors.postgresql.settings_advice import Setting, advise, names, settings_of
from collectors.postgresql.settings_figures import (
    GB,
    KB,
    MB,
    Disk,
    Machine,
    Workload,
    bearable_connections,
    figures,
    rounded,
    shared_buffers,
)
from collectors.postgresql.sql import Query
from tests.clusters import Cluster
from tests.collectors.postgresql.sources import a_server
from tests.conftest import MAJORS, NewCluster
from toban.advice import Advice
from toban.catalogue import CATALOGUE

HANDBOOK = Machine(memory_bytes=8 * GB, cpus=4, disk=Disk.SSD)


def a_machine(**changed: Any) -> Machine:  # noqa: ANN401 - any of the fields
    """Eight gigabytes, four cores and an SSD."""
    return replace(HANDBOOK, **changed)


def a_setting(name: str, setting: str, unit: str = "", **changed: Any) -> Setting:  # noqa: ANN401 - any of the fields
    """A number that a person has set."""
    return Setting(
        **{
            "name": name,
            "setting": setting,
            "unit": unit,
            "vartype": "integer",
            "source": "configuration file",
            "context": "sighup",
            "minimum": None,
            "maximum": None,
            "pending_restart": False,
            "shown": setting,
            **changed,
        }
    )


def advised(*settings: Setting, machine: Machine = HANDBOOK, **also: bool) -> list[Advice]:
    """What is said of these settings."""
    return advise("main", machine, {setting.name: setting for setting in settings}, **also)


def wanted(found: list[Advice]) -> dict[str, str]:
    """What is to be set to what."""
    return {advice.subject: advice.wanted for advice in found if advice.action == "set"}


async def settings_in(cluster: Cluster) -> dict[str, Setting]:
    """A server's settings."""
    server = a_server(cluster)
    found = settings_of(await server.fetch(Query("settings_advice"), names()))
    await server.close()
    return found


def as_made(settings: dict[str, Setting]) -> dict[str, Setting]:
    """As initdb leaves them: without what the tests' servers have for being small and quick."""
    usual = {"shared_buffers": "16384", "max_connections": "100", "fsync": "on", "full_page_writes": "on"}
    usual["autovacuum_naptime"] = "60"
    changed = {name: replace(settings[name], setting=value) for name, value in usual.items()}
    prefix = replace(settings["log_line_prefix"], setting="%m [%p] ", source="default")
    return {**settings, **changed, "log_line_prefix": prefix}


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("shared_buffers", 2 * GB),
        ("effective_cache_size", 6 * GB),
        ("work_mem", 16 * MB),
        ("maintenance_work_mem", 512 * MB),
        ("wal_buffers", 16 * MB),
        ("checkpoint_completion_target", 0.9),
        ("min_wal_size", 1 * GB),
        ("max_wal_size", 4 * GB),
        ("random_page_cost", 1.1),
        ("effective_io_concurrency", 200),
        ("max_parallel_workers_per_gather", 2),
        ("max_parallel_workers", 4),
        ("log_min_duration_statement", 1.0),
    ],
)
def test_figures_for_8_gb_and_ssd_are_the_handbooks(name: str, figure: float) -> None:
    """Figure by figure, for four cores and a hundred connections."""
    assert figures(HANDBOOK)[name].wanted == figure


def test_worker_processes_are_the_one_figure_of_the_handbook_that_is_not_followed() -> None:
    """Its 4 would leave no slot for replication and extensions, and a restart would take away what is there."""
    figure = figures(HANDBOOK)["max_worker_processes"]
    assert figure.wanted == 8
    assert wanted(advised(a_setting("max_worker_processes", "4"))) == {}
    assert wanted(advised(a_setting("max_worker_processes", "3"))) == {"max_worker_processes": "8"}


@pytest.mark.integration
async def test_advice_for_a_new_server_of_8_gb_is_the_handbooks_table(postgres: Cluster) -> None:
    """What initdb leaves, on every version: the lines to run, and nothing about what is right by default already."""
    found = advise("main", a_machine(version=postgres.major * 10000), as_made(await settings_in(postgres)))
    expected = {
        "shared_buffers": "2GB",
        "effective_cache_size": "6GB",
        "work_mem": "16MB",
        "maintenance_work_mem": "512MB",
        "min_wal_size": "1GB",
        "max_wal_size": "4GB",
        "random_page_cost": "1.1",
        "effective_io_concurrency": "200",
        "max_parallel_workers": "4",
        "log_min_duration_statement": "1s",
        "log_lock_waits": "on",
        "log_temp_files": "10MB",
        "log_line_prefix": "%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    }
    if postgres.major >= 18:
        del expected["effective_io_concurrency"]  # its default is 16 and it reads ahead by itself
    assert wanted(found) == expected
    assert found[0].run == "ALTER SYSTEM SET shared_buffers = '2GB';"
    assert found[0].present == "16MB"
    assert found[0].values["restart"] == "yes"
    assert found[1].values["restart"] == "no"
    reload, restart = found[-2:]
    assert (reload.action, reload.run) == ("reload", "SELECT pg_reload_conf();")
    assert (restart.action, restart.values["names"], restart.run) == ("restart", "shared_buffers", "")


@pytest.mark.integration
@pytest.mark.parametrize("major", MAJORS or (15,))
async def test_advice_is_taken_by_a_server_which_then_starts_and_wants_nothing_more(
    new_cluster: NewCluster, major: int
) -> None:
    """Run as it stands, on a server as it comes; after the restart there is nothing left to say."""
    cluster = new_cluster(major)
    machine = Machine(
        memory_bytes=1 * GB, cpus=3, disk=Disk.SSD, connections=40, workload=Workload.DW, version=major * 10000
    )
    found = advise("main", machine, await settings_in(cluster))
    assert {"fsync", "full_page_writes", "shared_buffers", "default_statistics_target"} <= set(wanted(found))
    for advice in found:
        if advice.run:
            await cluster.execute(advice.run)
    cluster.stop()
    cluster.start()
    assert advise("main", machine, await settings_in(cluster)) == []
    assert cluster.psql("SHOW shared_buffers") == "256MB"


@pytest.mark.integration
async def test_advice_that_waits_for_a_restart_is_not_given_again(new_cluster: NewCluster) -> None:
    """What is said instead is that the restart is still to come."""
    cluster = new_cluster()
    found = advise("main", HANDBOOK, await settings_in(cluster))
    for advice in found:
        if advice.run:
            await cluster.execute(advice.run)
    found = advise("main", HANDBOOK, await settings_in(cluster))
    assert [(advice.action, advice.values["names"]) for advice in found] == [("restart", "shared_buffers")]


memory = st.integers(256 * MB, 16 * 1024 * GB)
machines = st.builds(
    Machine,
    memory_bytes=memory,
    cpus=st.integers(1, 1024),
    disk=st.sampled_from(Disk),
    connections=st.integers(1, 262143),
    workload=st.sampled_from(Workload),
    autovacuum_workers=st.integers(1, 64),
    segment_bytes=st.sampled_from([MB, 16 * MB, GB]),
    version=st.sampled_from([140000, 150000, 180000]),
)
# What PostgreSQL takes, by its documentation: the least and the most.
BOUNDS: dict[str, tuple[float, float]] = {
    "shared_buffers": (128 * KB, (2**30 - 1) * 8 * KB),
    "effective_cache_size": (8 * KB, (2**31 - 1) * 8 * KB),
    "work_mem": (64 * KB, (2**31 - 1) * KB),
    "maintenance_work_mem": (1 * MB, (2**31 - 1) * KB),
    "wal_buffers": (32 * KB, 2 * GB),
    "checkpoint_completion_target": (0, 1),
    "checkpoint_timeout": (30, 86400),
    "random_page_cost": (0, float("inf")),
    "effective_io_concurrency": (0, 1000),
    "default_statistics_target": (1, 10000),
    "max_worker_processes": (0, 262143),
    "max_parallel_workers": (0, 1024),
    "max_parallel_workers_per_gather": (0, 1024),
    "autovacuum_max_workers": (1, 262143),
    "autovacuum_naptime": (1, 2147483),
    "autovacuum_vacuum_cost_delay": (0, 0.1),
    "autovacuum_vacuum_scale_factor": (0, 100),
}


@given(machines)
def test_figures_are_within_what_postgresql_takes(machine: Machine) -> None:
    """On any machine, and each lies within what it calls sensible itself; WAL leaves room for two segments."""
    found = figures(machine)
    for name, (least, most) in BOUNDS.items():
        if name in found:
            assert least <= float(found[name].wanted) <= most, name
    for figure in found.values():
        if not isinstance(figure.wanted, str):
            assert figure.lowest <= figure.wanted <= figure.highest
    assert 2 * machine.segment_bytes <= float(found["min_wal_size"].wanted) <= float(found["max_wal_size"].wanted)


@given(machines)
def test_figures_never_take_more_memory_than_there_is(machine: Machine) -> None:
    """Buffers, all connections at work and all autovacuum workers fit, if so many of them can fit at all."""
    found = figures(machine)
    assume(machine.connections * 64 * KB <= machine.memory_bytes / 4)
    assume(machine.autovacuum_workers * MB <= machine.memory_bytes * 3 / 16)  # no server takes less for each
    taken = float(found["shared_buffers"].wanted) + float(found["wal_buffers"].wanted)
    taken += machine.connections * float(found["work_mem"].wanted)
    taken += machine.autovacuum_workers * float(found["maintenance_work_mem"].wanted)
    assert taken <= machine.memory_bytes


@given(machines)
def test_connections_beyond_the_memory_are_told(machine: Machine) -> None:
    """Exactly where the usual work_mem would no longer fit, with the number that does; it is for a person to do."""
    setting = a_setting("max_connections", str(machine.connections), context="postmaster")
    told = [advice for advice in advised(setting, machine=machine) if advice.subject == "max_connections"]
    bearable = bearable_connections(machine)
    assert [(advice.action, advice.run) for advice in told] == [("check", "")] * (machine.connections > bearable)
    room = machine.memory_bytes - shared_buffers(machine)
    assert bearable == 1 or bearable * 4 * MB <= room


@given(st.integers(1, 2**50))
def test_sizes_are_rounded_down_a_little(size: int) -> None:
    """By less than an eighth."""
    assert size * 7 / 8 < rounded(size) <= size


@given(memory, memory)
def test_more_memory_never_makes_a_figure_smaller(one: int, other: int) -> None:
    """The sizes grow with the machine."""
    small, large = (figures(a_machine(memory_bytes=size)) for size in sorted((one, other)))
    for name in ("shared_buffers", "effective_cache_size", "work_mem", "maintenance_work_mem", "max_wal_size"):
        assert float(small[name].wanted) <= float(large[name].wanted)


@pytest.mark.parametrize(
    ("machine", "name", "figure"),
    [
        (a_machine(memory_bytes=512 * MB), "shared_buffers", 128 * MB),
        (a_machine(memory_bytes=512 * MB), "work_mem", 1 * MB),
        (a_machine(memory_bytes=512 * MB), "max_wal_size", 1 * GB),
        (a_machine(memory_bytes=1024 * GB), "shared_buffers", 64 * GB),
        (a_machine(memory_bytes=1024 * GB), "maintenance_work_mem", 2 * GB),
        (a_machine(memory_bytes=64 * GB), "work_mem", 128 * MB),
        (a_machine(memory_bytes=8 * GB - 200 * MB), "shared_buffers", 1920 * MB),
        (a_machine(connections=1000), "work_mem", 2 * MB),
        (a_machine(workload=Workload.OLTP), "work_mem", 8 * MB),
        (a_machine(workload=Workload.DW), "work_mem", 32 * MB),
        (a_machine(workload=Workload.OLTP), "max_wal_size", 8 * GB),
        (a_machine(workload=Workload.DW), "max_wal_size", 16 * GB),
        (a_machine(workload=Workload.DW), "default_statistics_target", 500),
        (a_machine(segment_bytes=GB), "min_wal_size", 2 * GB),
        (a_machine(autovacuum_workers=12), "maintenance_work_mem", 128 * MB),
        (a_machine(disk=Disk.HDD), "random_page_cost", 4.0),
        (a_machine(disk=Disk.HDD), "effective_io_concurrency", 2),
        (a_machine(cpus=1), "max_parallel_workers_per_gather", 0),
        (a_machine(cpus=16), "max_parallel_workers_per_gather", 4),
        (a_machine(cpus=16, workload=Workload.OLTP), "max_parallel_workers_per_gather", 2),
        (a_machine(cpus=16, workload=Workload.DW), "max_parallel_workers_per_gather", 8),
        (a_machine(cpus=16), "max_worker_processes", 20),
    ],
)
def test_figures_follow_the_machine(machine: Machine, name: str, figure: float) -> None:
    """Small and huge memory, many connections, one core, a spinning disk, other workloads."""
    assert figures(machine)[name].wanted == figure


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (a_setting("shared_buffers", "196608", "8kB"), None),  # 1.5GB: a person's choice, and sensible
        (a_setting("shared_buffers", "524288", "8kB"), "2GB"),  # 4GB of 8
        (a_setting("shared_buffers", "196608", "8kB", source="default"), "2GB"),
        (a_setting("work_mem", "8192", "kB"), None),
        (a_setting("work_mem", "1048576", "kB"), "16MB"),
        (a_setting("wal_buffers", "2048", "8kB", source="default"), None),
        (a_setting("wal_buffers", "4", "8kB", source="default"), None),  # it follows shared_buffers by itself
        (a_setting("wal_buffers", "8", "8kB"), "16MB"),
        (a_setting("max_wal_size", "102400", "MB"), None),
        (a_setting("effective_io_concurrency", "32"), None),
        (a_setting("effective_io_concurrency", "0", maximum=0.0), None),  # no system can: nothing to be done
        (a_setting("random_page_cost", "1.5", vartype="real"), None),
        (a_setting("checkpoint_timeout", "300", "s", source="default"), None),
        (a_setting("checkpoint_timeout", "30", "s"), "15min"),
        (a_setting("log_min_duration_statement", "0", "ms"), None),
        (a_setting("log_min_duration_statement", "-1", "ms"), "1s"),
        (a_setting("log_autovacuum_min_duration", "-1", "ms"), "10min"),
        (a_setting("log_temp_files", "-1", "kB"), "10MB"),
        (a_setting("autovacuum_vacuum_cost_delay", "20", "ms", vartype="real"), "2ms"),
        (a_setting("autovacuum_vacuum_cost_delay", "2", "ms", vartype="real", source="default"), None),
        (a_setting("autovacuum", "off", vartype="bool"), "on"),
        (a_setting("fsync", "off", vartype="bool"), "on"),
        (a_setting("log_checkpoints", "on", vartype="bool", source="default"), None),
        (a_setting("log_line_prefix", "%t [%p] %u@%d ", vartype="string"), None),
        (a_setting("work_mem", "64", "kB", source="database"), None),
        (a_setting("work_mem", "64", "kB", pending_restart=True), None),
    ],
)
def test_advice_is_given_only_where_a_value_will_not_do(setting: Setting, said: str | None) -> None:
    """A sensible choice is left alone, a default is not; what is not the server's own is not judged."""
    assert wanted(advised(setting)).get(setting.name) == said


def test_advice_on_connections_is_what_was_asked_for() -> None:
    """Named by a person it is set; found on the server it is left."""
    present = a_setting("max_connections", "100", context="postmaster")
    machine = a_machine(connections=300)
    assert wanted(advised(present, machine=machine)) == {}
    assert wanted(advised(present, machine=machine, asked_connections=True)) == {"max_connections": "300"}
    assert wanted(advised(present, machine=machine, asked_connections=True, standby=True)) == {}
    assert advised(machine=machine, asked_connections=True) == []


def test_advice_leaves_a_standbys_slots_to_its_primary() -> None:
    """With fewer than its primary a standby does not start."""
    few = a_setting("max_worker_processes", "2", context="postmaster")
    assert wanted(advised(few)) == {"max_worker_processes": "8"}
    assert advised(few, standby=True) == []


def test_advice_is_a_line_for_the_file_where_alter_system_is_forbidden() -> None:
    """As PostgreSQL 17 allows an administrator to."""
    forbidden = a_setting("allow_alter_system", "off", vartype="bool")
    found = advised(a_setting("work_mem", "64", "kB"), forbidden)
    assert found[0].run == "work_mem = '16MB'"


def test_advice_has_a_sentence_for_each_setting() -> None:
    """In both languages, and none that nobody says."""
    known = set(figures(a_machine(workload=Workload.DW)))
    others = {"reload", "restart", "max_connections", "too_many_connections"}
    prefix = "advice.settings."
    assert {key.removeprefix(prefix) for key in CATALOGUE if key.startswith(prefix)} == known | others
