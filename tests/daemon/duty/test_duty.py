"""Alerting inside the whole daemon: a real target that is down, a real receiver, a restart and a reload in between."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from daemon.configuration.tree import Configuration
from tests.alerting.receivers import Receiver, Reply
from tests.daemon.serving import Serving, configured, serving
from tests.waiting import eventually
from toban.alerts import Severity, State
from toban.errors import NotFoundError, UsageError
from toban.status import Health

pytestmark = pytest.mark.integration
RULE: dict[str, Any] = {"name": "target_down", "for": "500ms", "keep": "100ms", "where": {"target": "ledger"}}


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    """A receiver that takes everything, and a test that looks at everything it took."""
    receiver = Receiver()
    await receiver.start()
    receiver.always(Reply(status=204))
    yield receiver
    await receiver.stop()
    receiver.judge()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Toban's own values come ten times as often."""
    monkeypatch.setattr("daemon.duty.duty.OWN_SECONDS", 0.2)


def on_duty(folder: Path, hook: Receiver, *rules: dict[str, Any], **alerts: Any) -> Configuration:  # noqa: ANN401 - as YAML has it
    """A daemon that watches one SQLite file, and tells the receiver of nothing but these rules."""
    ledger = {"name": "ledger", "kind": "sqlite", "path": str(folder / "ledger.db")}
    written = {
        "channels": {"hook": {"kind": "webhook", "url": hook.url(), "secret": "hunter2"}},
        "alerts": {"defaults": False, "rules": list(rules or (WHOLE,)), **alerts},
    }
    collect = {"sqlite": {"every": "200ms"}}
    return configured(folder, ledger, only=("cpu",), collect=collect, **written)


WHOLE = {**RULE, "metric": "toban_target_up", "critical": "< 1", "summary": "{target} ({kind}) is down"}


def told(hook: Receiver) -> list[tuple[str, str]]:
    """What it was told: status and severity."""
    return [(request.json["status"], request.json["severity"]) for request in hook.requests]


async def noted(started: Serving, count: int = 1) -> None:
    """The daemon has its receipts for so many messages: what it told is not told again."""
    dispatcher = started.service.duty.dispatcher
    await eventually(lambda: dispatcher.standing.totals.get(("hook", "sent")) == count)


def make(folder: Path) -> None:
    """The file, so that the target is up."""
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        connection.execute("create table entry (id integer)")


async def test_alert_is_told_acknowledged_and_over(tmp_path: Path, hook: Receiver) -> None:
    """From a file that is not there to a receiver, by way of rules, desk, book and channel; and back."""
    async with serving(on_duty(tmp_path, hook)) as started:
        await eventually(lambda: told(hook) == [("firing", "critical")])
        (alert,) = started.service.duty.active()
        first = hook.requests[0].json
        assert (first["rule"], first["target"], first["summary"]) == (
            "target_down",
            "ledger",
            "ledger (sqlite) is down",
        )
        assert started.service.duty.component().state is Health.CRITICAL
        assert 'toban_alerts_active{severity="critical"} 1.0' in await started.page()
        await noted(started)
        assert 'toban_notifications_total{channel="hook",result="sent"} 1.0' in await started.page()
        duty = started.service.duty
        after = await duty.acknowledge(alert.episode[:4], who="dba", note="at it", for_seconds=None)
        assert (after.state, after.acknowledged_by) == (State.ACKNOWLEDGED, "dba")
        assert duty.component().state is Health.OK
        await eventually(lambda: told(hook)[1:] == [("acknowledged", "critical")])
        make(tmp_path)
        await eventually(lambda: told(hook)[2:] == [("resolved", "critical")])
        assert started.service.duty.active() == ()


async def test_alert_goes_on_after_a_restart_and_is_told_once(tmp_path: Path, hook: Receiver) -> None:
    """The same episode; the second daemon tells only of what is new, here that it is over."""
    async with serving(on_duty(tmp_path, hook)) as started:
        await eventually(lambda: told(hook) == [("firing", "critical")])
        await noted(started)
        (before,) = started.service.duty.active()
    async with serving(on_duty(tmp_path, hook)) as started:
        (after,) = started.service.duty.active()
        assert (after.episode, after.started_at) == (before.episode, before.started_at)
        make(tmp_path)
        await eventually(lambda: told(hook)[1:] == [("resolved", "critical")])
    assert {request.json["episode"] for request in hook.requests} == {before.episode}


async def test_reload_that_drops_the_rule_ends_its_alert(tmp_path: Path, hook: Receiver) -> None:
    """Whoever was told learns that nobody watches that any more."""
    other = {"name": "other", "metric": "toban_sqlite_wal_bytes", "warning": "> 1TB"}
    async with serving(on_duty(tmp_path, hook)) as started:
        await eventually(lambda: told(hook) == [("firing", "critical")])
        await noted(started)
        assert await started.reload(on_duty(tmp_path, hook, other))
        await eventually(lambda: told(hook)[1:] == [("resolved", "critical")])
        assert "target_down is no longer configured" in hook.requests[1].json["description"]


async def test_reload_that_changes_a_target_ends_none_of_its_alerts(tmp_path: Path, hook: Receiver) -> None:
    """It is down before and after; whoever was told of it need not be told twice, nor that it is over."""
    changed = on_duty(tmp_path, hook)
    async with serving(on_duty(tmp_path, hook)) as started:
        await eventually(lambda: told(hook) == [("firing", "critical")])
        await noted(started)
        (before,) = started.service.duty.active()
        other = [one.model_copy(update={"labels": {"env": "prod"}}) for one in changed.targets]
        watch = started.service.world.watches["ledger"]
        assert await started.reload(changed.model_copy(update={"targets": tuple(other)}))
        assert started.service.world.watches["ledger"] is not watch
        make(tmp_path)
        await eventually(lambda: told(hook)[1:] == [("resolved", "critical")])
        assert hook.requests[1].json["episode"] == before.episode
        assert "no longer watched" not in hook.requests[1].json["description"]


async def test_reload_takes_another_channel(tmp_path: Path, hook: Receiver) -> None:
    """The alert was told through one; that it is over is told through the one of the same name, where that now is."""
    moved = Receiver()
    await moved.start()
    moved.always(Reply(status=200))
    async with serving(on_duty(tmp_path, hook)) as started:
        await eventually(lambda: told(hook) == [("firing", "critical")])
        await noted(started)
        assert await started.reload(on_duty(tmp_path, moved))
        make(tmp_path)
        await eventually(lambda: told(moved) == [("resolved", "critical")])
    assert len(hook.requests) == 1
    await moved.stop()


async def test_channel_is_tried_and_the_ladder_drilled(tmp_path: Path, hook: Receiver) -> None:
    """Marked messages, each with its receipt, and no statistic of them."""
    make(tmp_path)
    ladder = [{"after": "15m", "notify": ["hook"]}]
    async with serving(on_duty(tmp_path, hook, WHOLE, escalation=ladder)) as started:
        duty = started.service.duty
        assert (await duty.test("hook")).outcome == "sent"
        rungs = [(rung.level, rung.channel, rung.delivery.outcome) async for rung in duty.drill(Severity.CRITICAL)]
        assert rungs == [
            (0, "hook", "sent"),
            (0, "dashboard", "sent"),
            (1, "hook", "sent"),
            (0, "hook", "sent"),
            (0, "dashboard", "sent"),
        ]
        assert all(request.json["test"] for request in hook.requests)
        with pytest.raises(NotFoundError, match="none is called hok"):
            await duty.test("hok")


async def test_orders_that_cannot_be_followed_say_why(tmp_path: Path, hook: Receiver) -> None:
    """No such alert, no such mark, no such letter."""
    make(tmp_path)
    async with serving(on_duty(tmp_path, hook)) as started:
        duty = started.service.duty
        with pytest.raises(NotFoundError, match="no open alert begins with 'zz'"):
            await duty.acknowledge("zz", who="dba", note="", for_seconds=None)
        with pytest.raises(UsageError, match="'perhaps' is no mark"):
            await duty.mark("zz", "perhaps", who="dba")
        with pytest.raises(NotFoundError, match="none begins with feed"):
            await duty.retry("feed")
        assert await duty.retry(None) == 0


async def test_dead_letter_is_sent_again_when_asked(tmp_path: Path, hook: Receiver) -> None:
    """A receiver that refuses for good: dead, told on the dashboard, and on somebody's word tried once more."""
    hook.always(Reply(status=400))
    async with serving(on_duty(tmp_path, hook)) as started:
        duty = started.service.duty
        await eventually(lambda: duty.dispatcher.standing.totals.get(("hook", "dead")) == 1)
        hook.always(Reply(status=204))
        assert await duty.retry(None) == 1
        await eventually(lambda: duty.dispatcher.standing.totals.get(("hook", "sent")) == 1)
        assert hook.requests[0].headers["idempotency-key"] == hook.requests[-1].headers["idempotency-key"]


async def test_part_that_ended_is_told_in_the_health(
    tmp_path: Path, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else would notice, and the heart would go on beating."""

    async def ends(*_: object) -> None:
        return

    monkeypatch.setattr("alerting.windows.Windows.run", ends)
    make(tmp_path)
    async with serving(on_duty(tmp_path, hook)) as started:
        await eventually(lambda: started.service.duty.problems() == ["a part of alerting has ended: the windows"])
        assert started.service.duty.component().state is Health.WARNING


async def test_heart_beats_only_while_all_is_well(tmp_path: Path, hook: Receiver) -> None:
    """A dead man's switch that is pressed while nothing was tried yet would be a lie."""
    make(tmp_path)
    beat = {"url": hook.url("/beat"), "every": "100ms"}
    async with serving(on_duty(tmp_path, hook, WHOLE, heartbeat=beat)) as started:
        await eventually(lambda: "/beat" in {request.target for request in hook.requests})

        async def heard() -> bool:
            return 'toban_heartbeats_total{result="heard"}' in await started.page()

        async def well() -> bool:
            return (await started.get("/api/v1/duty")).status_code == 200

        await eventually(heard)
        await eventually(well)
