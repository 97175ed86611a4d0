"""A change of a setting is told once, whoever was not looking when it was made; and no secret is told at all."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest

from collectors.postgresql.settings import CHANGES, LAST_CHANGE, PENDING_RESTART, Settings, SettingsSettings
from collectors.postgresql.settings_changes import may_be_secret, recalled
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.sources import a_server, found, the_value
from tests.conftest import MAJORS, NewCluster
from tests.waiting import eventually
from toban.events import Event, EventKind
from toban.memories import Memory
from toban.outcomes import Reason
from toban.samples import Findings
from toban.secrets import MASK

Watch = Callable[..., "Watched"]
EVERY_MAJOR = pytest.mark.parametrize("major", MAJORS or (15,))


class Watched:
    """A collector on a server of the test's own, and the memory that a daemon would keep for it."""

    def __init__(self, cluster: Cluster, user: str = "postgres") -> None:
        self.cluster = cluster
        self.clock = ManualClock()
        self.user = user
        self.memory: str | None = None
        self.events: list[Event] = []
        self.start()

    def start(self) -> None:
        """As a daemon that has just started."""
        self.server = a_server(self.cluster, user=self.user)
        self.collector = Settings(self.server, SettingsSettings(), self.clock)
        self.collector.recall = self.recall

    async def restart(self) -> None:
        """A daemon that ends, and another that begins with what was remembered."""
        await self.server.close()
        self.start()

    async def recall(self, name: str) -> str | None:
        """As the history does."""
        assert name == "settings"
        return self.memory

    async def look(self) -> Findings:
        """One turn, five minutes after the last."""
        self.clock.advance(300)
        findings = await self.collector.collect()
        for row in findings.rows:
            if isinstance(row, Memory):
                assert row.name == "settings"
                self.memory = row.body
            else:
                assert isinstance(row, Event)
                self.events.append(row)
        return findings

    async def until(self, changed: Callable[[], bool]) -> Findings:
        """Look until it shows: a server takes its moment to read its files."""
        seen: list[Findings] = []

        async def shows() -> bool:
            seen.append(await self.look())
            return changed()

        await eventually(shows)
        return seen[-1]

    async def set(self, *settings: str) -> None:
        """ALTER SYSTEM, and have the server read its files."""
        for setting in settings:
            await self.cluster.execute(f"ALTER SYSTEM SET {setting}")
        await self.cluster.execute("SELECT pg_reload_conf()")

    @property
    def told(self) -> list[tuple[str, str, str, str]]:
        """What happened, in short."""
        return [(event.kind.value, event.subject, event.before, event.after) for event in self.events]


async def no_answer(name: str) -> str | None:
    """A disk that hangs."""
    await asyncio.Event().wait()
    return name


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    """Makes collectors that are parted from their servers in the end."""
    made: list[Watched] = []

    def begin(cluster: Cluster, user: str = "postgres") -> Watched:
        made.append(Watched(cluster, user))
        return made[-1]

    yield begin
    for watched in made:
        await watched.server.close()


@pytest.mark.integration
@EVERY_MAJOR
async def test_a_setting_that_changes_is_told_exactly_once(watch: Watch, new_cluster: NewCluster, major: int) -> None:
    """Nothing at first sight; then one event with both values, a count and a moment; then nothing more."""
    watched = watch(new_cluster(major))
    findings = await watched.look()
    assert watched.events == []
    assert the_value(findings, CHANGES) == 0
    assert found(findings, LAST_CHANGE) == []
    await watched.set("work_mem = '8MB'")
    findings = await watched.until(lambda: bool(watched.events))
    changed_at = watched.clock.now()
    (event,) = watched.events
    assert event == Event(kind=EventKind.SETTING_CHANGED, subject="work_mem", before="4MB", after="8MB", at=changed_at)
    findings = await watched.look()
    assert len(watched.events) == 1
    assert the_value(findings, CHANGES) == 1
    assert the_value(findings, LAST_CHANGE) == changed_at


@pytest.mark.integration
@EVERY_MAJOR
async def test_a_setting_that_waits_for_a_restart_is_told_and_then_that_it_is_in_force(
    watch: Watch, new_cluster: NewCluster, major: int
) -> None:
    """First what is in force, what is to come and where that stands, with the metric; after the restart the change."""
    cluster = new_cluster(major)
    watched = watch(cluster)
    await watched.look()
    await watched.set("max_connections = 50")
    findings = await watched.until(lambda: bool(watched.events))
    assert watched.told == [("restart_pending", "max_connections", "40", "50")]
    place = cluster.data_dir / "postgresql.auto.conf"
    line = place.read_text().splitlines().index("max_connections = '50'") + 1
    assert watched.events[0].detail == f"{place}:{line}"
    assert the_value(findings, PENDING_RESTART) == 1
    assert the_value(findings, CHANGES) == 0
    await watched.set("max_connections = 60")
    await watched.until(lambda: len(watched.events) > 1)
    cluster.stop()
    cluster.start()
    findings = await watched.look()
    assert watched.told[1:] == [
        ("restart_pending", "max_connections", "40", "60"),
        ("setting_changed", "max_connections", "40", "60"),
    ]
    assert the_value(findings, PENDING_RESTART) == 0


@pytest.mark.integration
@EVERY_MAJOR
async def test_a_change_made_while_the_daemon_was_down_is_told_once(
    watch: Watch, new_cluster: NewCluster, major: int
) -> None:
    """The next process knows what the last one saw, counts on, and does not tell it again."""
    watched = watch(new_cluster(major))
    await watched.look()
    await watched.set("log_min_duration_statement = '1s'", "port = 1")
    await eventually(lambda: watched.cluster.psql("SHOW log_min_duration_statement") == "1s")
    await watched.restart()
    findings = await watched.until(lambda: len(watched.events) > 1)
    expected = [
        ("setting_changed", "log_min_duration_statement", "-1", "1s"),
        ("restart_pending", "port", str(watched.cluster.port), "1"),
    ]
    assert watched.told == expected
    await watched.restart()
    findings = await watched.look()
    assert watched.told == expected
    assert the_value(findings, CHANGES) == 1
    assert not findings.rows


@pytest.mark.integration
async def test_a_pending_value_that_no_file_names_any_more_is_the_default(
    watch: Watch, new_cluster: NewCluster
) -> None:
    """It was taken out: what comes with the restart is the default. A name is the same in whatever letters."""
    watched = watch(new_cluster())
    await watched.set("max_wal_senders = 3")
    watched.cluster.stop()
    watched.cluster.start()
    await watched.look()
    await watched.cluster.execute("ALTER SYSTEM RESET max_wal_senders")
    await watched.cluster.execute("SELECT pg_reload_conf()")
    await watched.until(lambda: bool(watched.events))
    assert watched.told == [("restart_pending", "max_wal_senders", "3", "DEFAULT")]
    watched.cluster.configure(Max_WAL_Senders="7")
    await watched.until(lambda: len(watched.events) > 1)
    assert watched.told[1:] == [("restart_pending", "max_wal_senders", "3", "7")]


@pytest.mark.integration
async def test_secrets_in_settings_are_told_to_have_changed_and_never_shown(
    watch: Watch, new_cluster: NewCluster
) -> None:
    """Neither in an event nor in what is remembered; that there was none before is no secret."""
    watched = watch(new_cluster())
    await watched.look()
    await watched.set("primary_conninfo = 'password=hunter2'", "restore_command = 'get hunter3'")
    await watched.until(lambda: len(watched.events) > 1)
    masked = [("setting_changed", name, "", MASK) for name in ("primary_conninfo", "restore_command")]
    assert sorted(watched.told) == masked
    await watched.set("primary_conninfo = 'password=hunter4'")
    await watched.until(lambda: len(watched.events) > 2)
    assert watched.told[2:] == [("setting_changed", "primary_conninfo", MASK, MASK)]
    assert watched.memory is not None
    assert "hunter" not in watched.memory
    assert "hunter" not in repr(watched.events)
    await watched.restart()
    await watched.look()
    assert len(watched.events) == 3


@pytest.mark.integration
async def test_settings_that_only_tell_a_state_never_change(watch: Watch, postgres15: Cluster) -> None:
    """Neither how the server was built, nor where it stands, nor Toban's own session are remembered."""
    watched = watch(postgres15)
    await watched.look()
    assert watched.memory is not None
    remembered = json.loads(watched.memory)["values"]
    assert remembered["work_mem"] == "4MB"
    states = {"in_hot_standby", "server_version", "transaction_read_only", "transaction_isolation", "data_directory"}
    own = {"statement_timeout", "lock_timeout", "search_path", "application_name", "TimeZone", "client_encoding"}
    assert (states | own) & set(remembered) == set()


@pytest.mark.integration
async def test_a_pending_value_that_the_role_may_not_see_is_a_gap_with_its_mend(
    watch: Watch, new_cluster: NewCluster
) -> None:
    """The event is told without it; with what the hint says done, the value is there."""
    cluster = new_cluster()
    await cluster.execute("CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher")
    watched = watch(cluster, "watcher")
    await watched.look()
    await watched.set("max_connections = 50")
    findings = await watched.until(lambda: bool(watched.events))
    assert watched.told == [("restart_pending", "max_connections", "40", "")]
    (gap,) = findings.gaps
    assert (gap.reason, gap.count) == (Reason.PRIVILEGE, 1)
    assert "max_connections" in gap.detail
    await cluster.execute(gap.hint.removeprefix("as a superuser: ").replace("TO toban", "TO watcher"))
    findings = await watched.look()
    assert findings.gaps == ()
    assert watched.told[1:] == [("restart_pending", "max_connections", "40", "50")]
    assert "denied" not in cluster.log_text()


@pytest.mark.integration
async def test_nothing_is_compared_while_the_memory_does_not_answer(
    watch: Watch, new_cluster: NewCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hanging disk costs no measurement, and what happened meanwhile is told once it answers."""
    monkeypatch.setattr("collectors.contract.RECALL_SECONDS", 0.01)
    watched = watch(new_cluster())
    await watched.look()
    await watched.set("work_mem = '8MB'")
    await eventually(lambda: watched.cluster.psql("SHOW work_mem") == "8MB")
    await watched.restart()
    watched.collector.recall = no_answer
    findings = await watched.look()
    assert not findings.rows
    assert found(findings, CHANGES) == []
    watched.collector.recall = watched.recall
    await watched.look()
    assert watched.told == [("setting_changed", "work_mem", "4MB", "8MB")]


@pytest.mark.integration
async def test_settings_without_a_history_are_compared_within_the_process(
    watch: Watch, new_cluster: NewCluster
) -> None:
    """`toban metrics` measures without one; a memory that cannot be read is none."""
    watched = watch(new_cluster())
    watched.collector.recall = None
    findings = await watched.look()
    assert watched.events == []
    assert found(findings, CHANGES) == []  # how many there were in all is not known
    watched.memory = "nonsense"
    await watched.restart()
    await watched.look()
    assert watched.events == []
    assert recalled(watched.memory) is not None


@pytest.mark.parametrize(
    ("name", "vartype", "secret"),
    [
        ("primary_conninfo", "string", True),
        ("archive_command", "string", True),
        ("ssl_passphrase_command", "string", True),
        ("app.jwt_key", "string", True),
        ("pgaudit.role", "string", True),
        ("ssl_key_file", "string", False),
        ("krb_server_keyfile", "string", False),
        ("password_encryption", "enum", False),
        ("log_replication_commands", "bool", False),
        ("pg_stat_statements.track", "enum", False),
        ("shared_preload_libraries", "string", False),
        ("wal_keep_size", "integer", False),
    ],
)
def test_settings_that_may_hold_a_secret_are_known_by_name_and_type(name: str, vartype: str, secret: bool) -> None:  # noqa: FBT001 - the expected answer
    """Text that carries logins or commands, and whatever text is not PostgreSQL's own."""
    assert may_be_secret(name, vartype) is secret


@pytest.mark.parametrize("body", [None, "", "nonsense", "[]", "1", '{"other": 1}'])
def test_a_memory_that_cannot_be_read_is_none(body: str | None) -> None:
    """Whatever stands there, the next look is the first."""
    assert recalled(body) is None
