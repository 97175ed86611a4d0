"""The whole daemon in one loop: it starts, takes changes over, and parts from everything."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from daemon import service as serving_module
from daemon.configuration.tree import Configuration
from history import recording
from history.recording import History
from history.retention import Retention
from tests.builders import a_collection, a_failure, a_sample
from tests.daemon.serving import configured, serving
from tests.ports import free_port
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.errors import ConfigurationError, UnavailableError
from toban.outcomes import Reason
from toban.samples import Collection
from toban.status import Health

pytestmark = pytest.mark.integration
DOWN = {"name": "down", "kind": "sqlite", "path": "/nowhere/there.db"}


class SettableClock(SystemClock):
    """The machine's clock, whose time of day somebody sets."""

    def __init__(self) -> None:
        self.set_by_seconds = 0.0

    def now(self) -> float:
        """The time of day."""
        return super().now() + self.set_by_seconds


class DeafHistory(History):
    """A history whose disk hangs at the end."""

    async def close(self) -> None:
        """Never done."""
        await asyncio.Event().wait()


@pytest.fixture
def hole() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield listening.getsockname()[1]


def blackholed(port: int) -> dict[str, Any]:
    """A target behind it."""
    return {"name": "hole", "kind": "postgresql", "dsn": f"postgresql://x@127.0.0.1:{port}/x"}


async def test_service_answers_before_its_first_round_is_over(tmp_path: Path, hole: int) -> None:
    """While a target that swallows everything is still being tried."""
    async with serving(configured(tmp_path, blackholed(hole))) as started:
        assert (await started.get("/healthz")).status_code == 200
        assert "READY=1" not in started.notifier.said


async def test_service_is_ready_after_its_first_round(tmp_path: Path) -> None:
    """READY is said with a sentence once each target was tried."""
    async with serving(configured(tmp_path, DOWN)) as started:
        await eventually(lambda: "READY=1" in started.notifier.said)
        assert await started.ready()
        assert any("targets answering: 1 of 2; down: down (not found)" in said for said in started.notifier.said)
    assert started.notifier.said[-1].startswith("STOPPING=1")
    assert started.notifier.closed


async def test_service_says_which_targets_were_not_tried_and_is_ready_all_the_same(
    tmp_path: Path, hole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that swallows everything does not keep systemd waiting for ever."""
    monkeypatch.setattr(serving_module, "FIRST_ROUND_WITHIN_SECONDS", 0.01)
    async with serving(configured(tmp_path, blackholed(hole))) as started:
        await eventually(lambda: "READY=1" in started.notifier.said)
        assert "hole" in started.told.of("some targets were not tried yet")[0]["targets"]


async def test_service_reloads_within_its_first_round_without_being_ready_too_early(tmp_path: Path, hole: int) -> None:
    """The target that held the round up is taken away: now the round ends, and READY is said once."""
    async with serving(configured(tmp_path, blackholed(hole))) as started:
        await eventually(lambda: started.service.world.untried() == ["hole"])
        assert await started.reload(configured(tmp_path))
        await eventually(lambda: "READY=1" in started.notifier.said)
        assert "RELOADING=1" not in "".join(started.notifier.said)
        assert started.notifier.said.count("READY=1") == 1


async def test_reload_brings_and_takes_away_targets_and_renames_them(tmp_path: Path) -> None:
    """A new name is a new target; the old one's values, counts and standing leave at once."""
    async with serving(configured(tmp_path, DOWN)) as started:
        await eventually(lambda: started.told.of("target down"))
        assert 'toban_collect_errors_total{collector="sqlite"' in await started.page()
        host = started.service.world.watches["host"]
        assert await started.reload(configured(tmp_path, {**DOWN, "name": "renamed"}))
        page = await started.page()
        assert 'target="down"' not in page
        assert 'target="host"' in page
        assert started.service.world.watches["host"] is host
        await eventually(lambda: [e for e in started.told.of("target down") if e["target"] == "renamed"])


async def test_collectors_that_a_reload_switches_off_leave_the_page_at_once(tmp_path: Path) -> None:
    """Their values, and how long they took."""
    async with serving(configured(tmp_path, only=("cpu", "memory"))) as started:
        timed = 'toban_collect_duration_seconds_count{collector="memory"}'

        async def both() -> bool:
            page = await started.page()
            return "toban_host_memory_used_ratio" in page and timed in page

        await eventually(both)
        await started.reload(configured(tmp_path, only=("cpu",)))
        page = await started.page()
        assert 'collector="memory"' not in page
        assert "toban_host_memory" not in page
        await eventually(lambda: started.service.world.watches["host"].up)


async def test_the_last_turn_of_a_target_that_was_taken_away_is_not_heard(tmp_path: Path) -> None:
    """It ends while the target is already gone: its values would stay for good."""
    async with serving(configured(tmp_path, DOWN)) as started:
        watch = started.service.world.watches["down"]
        turned = await watch.pairs[0].turn()
        await started.reload(configured(tmp_path))
        started.service._accept(watch, turned)
        assert 'target="down"' not in await started.page()


async def test_a_refused_reload_leaves_everything_and_is_counted(tmp_path: Path) -> None:
    """The old configuration stays in force; systemd is told that the attempt is over."""

    def refuse() -> Configuration:
        raise ConfigurationError("config.yaml", "is nonsense")

    async with serving(configured(tmp_path)) as started:
        await eventually(lambda: "READY=1" in started.notifier.said)
        assert not await started.service.reload(refuse)
        assert started.told.of("configuration refused, the old one stays in force")[0]["problem"].endswith("nonsense")
        assert 'toban_reloads_total{result="refused"} 1.0' in await started.page()
        assert [said.partition("\n")[0] for said in started.notifier.said][-2:] == ["RELOADING=1", "READY=1"]


async def test_a_configuration_is_read_beside_the_loop(tmp_path: Path) -> None:
    """Its disk may hang: the watch goes on meanwhile."""
    readers: list[threading.Thread] = []

    def read() -> Configuration:
        readers.append(threading.current_thread())
        return configured(tmp_path)

    async with serving(configured(tmp_path)) as started:
        assert await started.service.reload(read)
    assert readers != [threading.main_thread()]


async def test_a_fault_of_our_own_in_a_reload_ends_nothing(tmp_path: Path) -> None:
    """Whatever a file makes of the reader: it is refused like any bad one, told without what looks like a secret."""

    def stumble() -> Configuration:
        raise KeyError("password=hunter2")

    async with serving(configured(tmp_path)) as started:
        before = started.service.configuration
        assert not await started.service.reload(stumble)
        assert started.service.configuration is before
        (told,) = started.told.of("configuration refused, the old one stays in force")
        assert "internal fault: KeyError" in told["problem"]
        assert "hunter2" not in told["problem"]


async def test_a_new_state_waits_for_a_restart_and_is_told(tmp_path: Path) -> None:
    """The state in force stays, with its socket; nobody believes that it has moved."""
    async with serving(configured(tmp_path)) as started:
        elsewhere = f"sqlite://{tmp_path}/elsewhere.db"
        assert await started.reload(configured(tmp_path, state=elsewhere, language="ja", timezone="Asia/Tokyo"))
        (warned,) = started.told.of("another state is written; it needs a restart")
        assert (warned["written"], warned["in_force"]) == (elsewhere, f"sqlite://{tmp_path}/state.db")
        assert (tmp_path / "state.sock").is_socket()
        assert started.service.configuration.state_path == tmp_path / "state.db"
        assert started.service.world.zone == ZoneInfo("Asia/Tokyo")
        assert "監視対象" in started.service._pulse.sentence()
    assert not (tmp_path / "state.sock").exists()


async def test_reloads_at_once_end_as_the_last_one_says(tmp_path: Path) -> None:
    """Two SIGHUPs in a row leave one set of targets, not a mixture."""
    async with serving(configured(tmp_path)) as started:
        await started.reload(configured(tmp_path, DOWN))
        await started.reload(configured(tmp_path, {**DOWN, "name": "other"}))
        assert list(started.service.world.watches) == ["host", "other"]


async def test_stop_does_not_wait_for_a_history_that_cannot_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, and the daemon goes."""
    monkeypatch.setattr(serving_module, "CLOSE_HISTORY_SECONDS", 0.01)
    history = DeafHistory(tmp_path / "state.db", SystemClock(), Retention())
    async with serving(configured(tmp_path), history=history) as started:
        await eventually(started.ready)
    assert started.told.of("the history did not close in time")
    assert started.notifier.closed
    await History.close(history)


async def test_the_last_values_are_kept_however_long_the_rest_takes_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that hangs holds the alerts up to the very end: what was measured is on disk before."""
    monkeypatch.setattr(recording, "COMMIT_SECONDS", 3600.0)
    history = History(tmp_path / "state.db", SystemClock(), Retention())
    async with serving(configured(tmp_path), history=history) as started:
        await eventually(lambda: history._waiting)
        with monkeypatch.context() as hanging:
            hanging.setattr(started.service.duty, "stop", asyncio.Event().wait)
            stopping = asyncio.create_task(started.service.stop())
            await eventually(lambda: not history._waiting)
            assert not stopping.done()
            stopping.cancel()
            await asyncio.wait({stopping})


async def test_stop_comes_also_before_a_start_that_failed(tmp_path: Path) -> None:
    """A port in use: nothing was begun, and nothing is left."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UnavailableError, match="in use"):
            async with serving(configured(tmp_path, http={"listen": address})):
                pass
    assert not (tmp_path / "state.sock").exists()


async def test_nothing_listens_where_the_configuration_says_none(tmp_path: Path) -> None:
    """`http.listen: null`: the local socket alone; a reload opens and closes the port."""
    quiet = configured(tmp_path, http={"listen": None})
    async with serving(quiet) as started:
        assert started.service.front.address is None
        assert (tmp_path / "state.sock").is_socket()
        await started.reload(configured(tmp_path))
        assert (await started.get("/healthz")).status_code == 200
        await started.reload(quiet)
        assert started.service.front.address is None


async def test_ipv6_is_an_address_like_any_other(tmp_path: Path) -> None:
    """`[::1]:8432`."""
    async with serving(configured(tmp_path, http={"listen": "[::1]:0"})) as started:
        assert (await started.get("/healthz")).status_code == 200


async def test_a_clock_that_is_set_changes_no_cadence_and_drops_no_value(tmp_path: Path) -> None:
    """An hour forward, two hours back: the turns go on, and what they measured stays on the page."""
    clock = SettableClock()
    async with serving(configured(tmp_path), clock=clock) as started:
        ledger = started.service.world.watches["host"].ledgers["cpu"]
        for step in (0.0, 3600.0, -7200.0):
            clock.set_by_seconds += step
            before = ledger.last

            def turned(before: Collection | None = before) -> bool:
                return ledger.last is not before and abs((ledger.last_success_at or 0) - clock.now()) < 60

            await eventually(turned)
            assert "toban_host_cpus" in await started.page()


async def test_the_token_is_asked_for_as_soon_as_a_reload_has_set_it(tmp_path: Path) -> None:
    """No restart, and no moment in between."""
    port = free_port()
    async with serving(configured(tmp_path, http={"listen": f"127.0.0.1:{port}"})) as started:
        assert (await started.get("/metrics")).status_code == 200
        await started.reload(configured(tmp_path, http={"listen": f"127.0.0.1:{port}", "metrics_token": "s3cret"}))
        assert (await started.get("/metrics")).status_code == 401


async def test_components_tell_what_is_wrong_with_the_daemon_itself(tmp_path: Path) -> None:
    """A state that cannot be written is a warning with its reason; targets that nobody tries are critical."""
    (tmp_path / "blocked").write_text("a file where a folder should be")
    blocked = configured(tmp_path, state=f"sqlite://{tmp_path}/blocked/state.db")
    async with serving(blocked) as started:
        await eventually(lambda: started.service.history.trouble)
        found = {c.name: c for c in started.service.world.status().components}
        assert (found["history"].state, found["loop"].state) == (Health.WARNING, Health.OK)
        assert found["history"].reason
        assert started.told.of("no local socket")
        watch = started.service.world.watches["host"]
        await watch.stop()
        watch._opened_at = watch.tried_at = watch.pairs[0].due_at = -1e9
        loop = next(c for c in started.service.world.status().components if c.name == "loop")
        assert (loop.state, loop.reason) == (Health.CRITICAL, "not tried: host")


async def test_values_go_to_the_present_and_to_the_history(tmp_path: Path) -> None:
    """The way of every value."""
    history = History(tmp_path / "state.db", SystemClock(), Retention())
    async with serving(configured(tmp_path), history=history) as started:
        watch = started.service.world.watches["host"]
        await eventually(lambda: watch.up)
        assert list(started.service.world.current.samples(SystemClock().monotonic(), pattern="toban_host_cpus"))
        assert await history.flush()


async def test_a_target_that_goes_down_takes_its_values_off_the_page(tmp_path: Path) -> None:
    """As heard from a turn, in the daemon's own words."""
    async with serving(configured(tmp_path)) as started:
        await eventually(started.ready)
        current = started.service.world.current
        current.accept(a_collection(a_sample(), target="gone"), float("inf"))
        assert 'toban_test_value{target="gone"}' in await started.page()
        current.accept(a_collection(target="gone", failure=a_failure(Reason.UNREACHABLE)), 0.0)
        assert 'toban_test_value{target="gone"}' not in await started.page()
