import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from alerting.actions import INTERRUPTED, Actions, Command, Runner
from alerting.messages import Letter
from alerting.web import Answer, Web
from tests.alerting.builders import a_notice, an_alert
from tests.alerting.letters import a_letter
from tests.builders import ManualClock
from tests.waiting import eventually
from toban.alerts import Action, Alert, Delivery, Key, Notice, Outcome, What

SHELL = "/bin/sh"


class NoWeb:
    """Actions ask nothing of HTTP."""

    async def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str] | None = None, timeout_seconds: float = 1
    ) -> Answer:
        """Never."""
        raise AssertionError(url)

    async def get(self, url: str, *, timeout_seconds: float = 1) -> Answer:
        """Never."""
        raise AssertionError(url)


class Recorder:
    """A runner that does what the test says."""

    def __init__(self, why_not: str = "", outcome: Outcome = Outcome.SENT, fault: Exception | None = None) -> None:
        self.done: list[str] = []
        self._why_not, self._outcome, self._fault = why_not, outcome, fault

    async def preflight(self, name: str, alert: Alert) -> str:
        """What the test said."""
        return self._why_not

    async def run(self, name: str, alert: Alert) -> Delivery:
        """Remember it."""
        if self._fault is not None:
            raise self._fault
        self.done.append(name)
        return Delivery(outcome=self._outcome, detail=f"did {name}")


def letter(notice: Notice) -> Letter:
    """What the daemon makes of a notice."""
    return a_letter(notice)


def some_actions(*commands: Command, runners: Mapping[str, Runner] | None = None) -> Actions:
    """Actions with these commands."""
    web: Web = NoWeb()
    return Actions(commands, letter=letter, web=web, clock=ManualClock(), runners=runners)


def asking(kind: str, name: str, **changes: object) -> Notice:
    """A notice that asks for an action."""
    alert = an_alert(key=Key("disk_full", "main", (("mount", '/srv "a"; $(touch x)'),)))
    action = Action(kind=kind, name=name)
    return a_notice(alert, What.ACTION, f"action:{kind}:{name}", action=action, **changes)


def shell(script: str, *, timeout_seconds: float = 20.0) -> Command:
    """A command that is a few lines of shell."""
    return Command(name="note", run=(SHELL, "-c", script), timeout_seconds=timeout_seconds)


@pytest.mark.integration
async def test_command_is_given_the_alert_on_its_standard_input(tmp_path: Path) -> None:
    """The fields of the webhook, whole, whatever the labels hold; and nothing of the daemon's environment."""
    told, environment = tmp_path / "told", tmp_path / "environment"
    actions = some_actions(shell(f"cat > {told}; env > {environment}; echo done"))
    delivery = await actions(asking("command", "note"))
    assert (delivery.outcome, delivery.detail) == (Outcome.SENT, "exit 0: done")
    document = json.loads(told.read_text())
    assert document["labels"] == {"mount": '/srv "a"; $(touch x)'}
    assert {"version", "id", "node", "status", "severity", "rule", "target", "labels", "value", "threshold"} < set(
        document
    )
    names = {line.partition("=")[0] for line in environment.read_text().splitlines()}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "LC_ALL"}


@pytest.mark.integration
@pytest.mark.parametrize("status", [1, 75])
async def test_command_that_fails_is_not_tried_again(status: int) -> None:
    """Also where a channel would be: an action is done once or not at all."""
    delivery = await some_actions(shell(f"echo broken >&2; exit {status}"))(asking("command", "note"))
    assert (delivery.outcome, delivery.detail) == (Outcome.REFUSED, f"exit {status}: broken")


@pytest.mark.integration
async def test_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    """Its process group ends with its time."""
    child = tmp_path / "child"
    actions = some_actions(shell(f"sleep 600 & echo $! > {child}; wait", timeout_seconds=0.5))
    delivery = await actions(asking("command", "note"))
    assert delivery.outcome is Outcome.REFUSED
    assert delivery.detail == "did not end within 0.5 s, and was killed"
    pid = int(child.read_text())
    await eventually(lambda: not _runs(pid))


@pytest.mark.integration
async def test_command_that_says_too_much_or_a_secret_is_bounded_and_blotted() -> None:
    """What it says is somebody else's text, on one line."""
    script = "echo postgresql://u:hunter2@h/d; yes | head -c 100000"
    delivery = await some_actions(shell(script))(asking("command", "note"))
    assert delivery.outcome is Outcome.SENT
    assert "hunter2" not in delivery.detail
    assert len(delivery.detail) < 400
    assert "\n" not in delivery.detail


async def test_command_that_is_not_there_is_refused() -> None:
    """Neither its name nor its program is known."""
    actions = some_actions(Command(name="gone", run=("/nowhere/at/all",)))
    assert (await actions(asking("command", "gone"))).outcome is Outcome.REFUSED
    delivery = await actions(asking("command", "other"))
    assert (delivery.outcome, delivery.detail) == (Outcome.REFUSED, "no command other is configured")
    actions.renew([])
    assert (await actions(asking("command", "gone"))).detail == "no command gone is configured"


async def test_interrupted_action_is_not_repeated(tmp_path: Path) -> None:
    """It was under way when the daemon died: whatever it did, it is not done twice."""
    mark = tmp_path / "mark"
    delivery = await some_actions(shell(f"touch {mark}"))(asking("command", "note", perhaps_sent=True))
    assert (delivery.outcome, delivery.detail) == (Outcome.REFUSED, INTERRUPTED)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("backup", "no backups in this version"),
        ("maintenance", "no maintenance tasks in this version"),
        ("magic", "nothing does magic here"),
    ],
)
async def test_action_that_nobody_can_do_is_refused_with_its_reason(kind: str, why: str) -> None:
    """An alert is no place to be silent about that."""
    delivery = await some_actions()(asking(kind, "nightly"))
    assert (delivery.outcome, delivery.detail) == (Outcome.REFUSED, why)


async def test_notice_without_an_action_is_refused() -> None:
    """There is nothing to do."""
    assert (await some_actions()(a_notice())).detail == "it asks for nothing"


async def test_action_is_refused_when_its_preflight_says_no() -> None:
    """And done when it does not."""
    unwilling, willing = Recorder("the disk is full"), Recorder()
    refused = await some_actions(runners={"backup": unwilling})(asking("backup", "nightly"))
    assert (refused.outcome, refused.detail, unwilling.done) == (Outcome.REFUSED, "the disk is full", [])
    done = await some_actions(runners={"backup": willing})(asking("backup", "nightly"))
    assert (done.outcome, done.detail, willing.done) == (Outcome.SENT, "did nightly", ["nightly"])


async def test_runner_that_fails_is_not_tried_again() -> None:
    """Neither where it asks for it, nor where it breaks."""
    later = await some_actions(runners={"backup": Recorder(outcome=Outcome.RETRY)})(asking("backup", "nightly"))
    broken = await some_actions(runners={"backup": Recorder(fault=ValueError("secret"))})(asking("backup", "nightly"))
    assert (later.outcome, later.detail) == (Outcome.REFUSED, "did nightly")
    assert (broken.outcome, broken.detail) == (Outcome.REFUSED, "a fault of Toban's own: ValueError")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
