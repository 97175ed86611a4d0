"""What was, and what is tried: show, stats, review, dead letters, test and drill."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.answers import alerts_sending
from daemon.answers.alerts_telling import who_types
from daemon.answers.asking import asked
from history.book.contract import Page
from tests.alerting.notices import a_notice, a_transition
from tests.daemon.alerting.commands import alerts, told
from tests.daemon.commanding import Ended
from tests.daemon.duties import FakeDuty, a_rung, on_duty, written
from toban.alerts import Delivery, Outcome, Standing, State, What
from toban.clock import SystemClock


def test_show_tells_the_life_the_notices_and_the_evidence(config: Path, duty: FakeDuty, state: Path) -> None:
    """Each transition with its reason, each notice with its receipt, and what was the matter."""
    alert = duty.alerts[2]
    kept = {"version": 1, "target": "main", "at": alert.started_at, "left_out": {}, "figures": []}
    page = Page(
        alerts=(alert,),
        transitions=(
            a_transition(alert.episode, at=alert.started_at, after=State.PENDING, reason="600 s > 1m"),
            a_transition(alert.episode, sequence=2, at=alert.started_at + 60, reason="for 1m", by="me"),
        ),
        notices=(a_notice(alert=alert, key="k1", channel="slack", standing=Standing.SENT, receipt={"ts": "17.3"}),),
        evidence={alert.episode: json.dumps(kept)},
        marks={alert.episode: ("real", "ops")},
    )
    written(state, page)
    ended = alerts(config, "show", "b1")
    assert ended.status == 0
    text = " ".join(ended.out.split())
    for piece in (
        "critical firing blocked main b10cked0",
        "600 s > 1m",
        "for 1m",
        "me",
        "slack",
        "ts 17.3",
        "real, by ops",
    ):
        assert piece in text
    assert "What was the matter when it fired" in text
    story = told(config, "show", "b1")
    assert [one["reason"] for one in story["transitions"]] == ["600 s > 1m", "for 1m"]
    assert (story["notices"][0]["receipt"], story["evidence"]) == ({"ts": "17.3"}, kept)
    assert story["mark"] == {"verdict": "real", "by": "ops"}


def test_show_knows_what_the_disk_did_not_take(config: Path, duty: FakeDuty, state: Path) -> None:
    """The daemon still has it in memory."""
    with on_duty(state, duty):
        assert told(config, "show", "b1")["transitions"] == []
        assert alerts(config, "show", "b1").status == 0
    assert alerts(config, "show", "b1").status == 3


def test_dead_letters_are_listed_and_sent_again(config: Path, daemon: FakeDuty, state: Path) -> None:
    """Status 1 while there are any; retry says how many."""
    assert alerts(config, "dead") == Ended(status=0, out="nothing was given up\n", err="")
    letter = a_notice(alert=daemon.alerts[2], key="deadbeef" * 8, standing=Standing.DEAD, detail="550 [no]", attempts=9)
    written(state, Page(notices=(letter,)))
    listed = alerts(config, "dead")
    assert listed.status == 1
    assert "deadbeefdead" in listed.out
    assert "550 [no]" in listed.out
    (one,) = json.loads(alerts(config, "dead", "--json").out)
    assert (one["attempts"], one["rule"]) == (9, "blocked")
    daemon.dead = ["deadbeef" * 8]
    assert alerts(config, "retry", "deadbeef") == Ended(status=0, out="on their way again: 1\n", err="")
    assert alerts(config, "retry", "--all") == Ended(status=1, out="on their way again: 0\n", err="")


def test_stats_have_the_fields_of_the_contract(config: Path, daemon: FakeDuty) -> None:
    """Of what fired in the span."""
    found = told(config, "stats", "--since", "3h")
    assert (found["total"], found["critical"], found["warning"], found["info"]) == (4, 1, 3, 0)
    assert found["mttr_seconds"] == pytest.approx(1200.0)
    text = alerts(config, "stats", "--since", "3h").out
    assert "to answer" in text
    assert "20 min" in text


def test_review_names_the_rules_that_were_often_false(config: Path, duty: FakeDuty, state: Path) -> None:
    """With the command that tries other thresholds; and the targets against the goal."""
    now = SystemClock().now()
    cpu = [replace(duty.alerts[3], episode=f"cpu{n}0000") for n in range(3)]
    begun, over = now - 3600, now - 1800
    key = duty.alerts[3].key._replace(rule="target_down", target="db1")
    down = replace(duty.alerts[3], episode="d0wn0000", key=key, started_at=begun, fired_at=begun, resolved_at=over)
    marks = {"cpu00000": ("false", "me"), "cpu10000": ("false", "me"), "cpu20000": ("real", "me")}
    written(state, Page(alerts=(*cpu, down), marks=marks))
    found = told(config, "review", "--since", "10h", "--goal", "90%")
    assert [(r["rule"], r["fired"], r["false"], r["real"], r["unmarked"]) for r in found["rules"]] == [
        ("cpu", 3, 2, 1, 0),
        ("target_down", 1, 0, 0, 1),
    ]
    assert found["rules"][0]["false_ratio"] == pytest.approx(2 / 3)
    by_target = {one["target"]: one for one in found["targets"]}
    assert by_target["host"]["up_ratio"] == 1.0
    assert by_target["db1"]["down_seconds"] == pytest.approx(1800, abs=5)
    assert (by_target["host"]["attained"], by_target["db1"]["attained"]) == (True, True)
    text = alerts(config, "review", "--since", "10h").out
    assert "db1: up 95 %, down for 30 min, goal 99.9 %: MISSED" in text
    assert "cpu was marked false 2 times out of 3" in text
    assert "  toban alerts backtest cpu --since 10h" in text
    assert "backtest target_down" not in text


def test_review_of_a_quiet_time_is_a_sentence(config: Path, state: Path) -> None:
    """And the targets all the same."""
    written(state, Page())
    text = alerts(config, "review").out
    assert "no rule has fired in this span" in text
    assert "host: up 100 %, down for 0 s, goal 99.9 %: attained" in text


def test_test_shows_the_receipt_or_the_reason(config: Path, daemon: FakeDuty) -> None:
    """Status 0 when it went out, else 1."""
    daemon.deliveries = {
        "slack": Delivery(outcome=Outcome.SENT, receipt={"ts": "17.3"}),
        "mail": Delivery(outcome=Outcome.REFUSED, detail="535 wrong password"),
    }
    assert alerts(config, "test", "slack") == Ended(status=0, out="slack has it: ts 17.3\n", err="")
    assert alerts(config, "test", "mail") == Ended(status=1, out="mail did not take it: 535 wrong password\n", err="")
    assert json.loads(alerts(config, "test", "mail", "--json").out)["outcome"] == "refused"
    unknown = alerts(config, "test", "fax")
    assert (unknown.status, unknown.err) == (1, "toban: channel fax: is not configured (there are: slack, mail)\n")


def test_test_without_a_daemon_opens_the_channel_itself(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what is configured."""
    seen: list[str] = []

    def alone(_: object, channel: str) -> Delivery:
        seen.append(channel)
        return Delivery(outcome=Outcome.SENT, detail="250 ok")

    assert alerts_sending.try_channel(asked(config, "en"), channel="mail", as_json=False, alone=alone) == 0
    assert (seen, capsys.readouterr().out) == (["mail"], "mail has it: 250 ok\n")


def test_drill_prints_a_line_for_each_rung(config: Path, daemon: FakeDuty) -> None:
    """Status 1 when one of them failed."""
    daemon.rungs = (a_rung("mail"), a_rung("slack", level=1), a_rung("mail", what=What.RESOLVED))
    ended = alerts(config, "drill")
    assert ended.status == 0
    assert ended.out.splitlines() == [
        "A drill: a marked critical alert goes up the ladder",
        "at once  mail has it: ts 17.3 (250 ms)",
        "level 1, after 15 min  slack has it: ts 17.3 (250 ms)",
        "over  mail has it: ts 17.3 (250 ms)",
        "all arrived: 3, failed: 0",
    ]
    daemon.rungs = (a_rung("mail"), a_rung("pager", level=2, sent=False))
    failed = alerts(config, "drill", "--severity", "warning")
    assert (failed.status, failed.out.splitlines()[-1]) == (1, "failed: 1 of 2")
    found = json.loads(alerts(config, "drill", "--json").out)
    assert [one["ok"] for one in found] == [True, False]


def test_a_drill_that_reaches_nobody_is_not_fine(config: Path, daemon: FakeDuty) -> None:
    """Nobody would be told of a real one either."""
    ended = alerts(config, "drill", "--severity", "info")
    assert (ended.status, ended.out.splitlines()[-1]) == (1, "nobody would be told of this severity")


def test_a_daemon_that_is_not_on_duty_yet_is_unavailable(config: Path, state: Path) -> None:
    """Status 3; what was written before is read all the same."""
    written(state, Page())
    with on_duty(state, None):
        assert alerts(config, "ack", "b1").status == 3
        assert alerts(config, "drill").status == 3
        assert alerts(config).out == "no active alerts\n"


def test_who_types_is_the_person_behind_sudo() -> None:
    """As named, else who became root, else the login; a number where the machine knows no name."""
    assert who_types("me", {"SUDO_USER": "dba"}, 0) == "me"
    assert who_types(None, {"SUDO_USER": "dba"}, 0) == "dba"
    assert who_types(None, {}, 0) == "root"
    assert who_types(None, {}, 4_000_000) == "uid 4000000"
