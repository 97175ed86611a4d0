"""`toban alerts rules`, `backtest` and `test` without a daemon: what is configured, and what history says of it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from daemon.answers import alerts_alone
from history.book.contract import Page
from tests.alerting.notices import an_alert
from tests.builders import ManualClock, a_collection, a_metric, a_sample
from tests.daemon.commanding import Ended, toban
from tests.daemon.duties import written
from tests.recorded import recording
from toban.alerts import Key, State
from toban.clock import SystemClock
from toban.samples import Unit

RULES = """
channels:
  tool: {kind: exec, run: [/bin/true]}
  broken: {kind: exec, run: [/bin/false]}
alerts:
  defaults: false
  rules:
    - name: cpu
      metric: toban_host_cpu_ratio
      warning: "> 70%"
      critical: "> 90%"
      for: 1m
      clear: "< 60%"
      keep: 5m
      where: {target: [host, "db*"]}
      notify: {warning: [], critical: [tool]}
      escalation: [{after: 15m, notify: [broken]}]
      runbook: https://example.org/cpu
    - {name: swap, metric: toban_host_swap_used_ratio, warning: "> 50%"}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Two rules and two channels."""
    path = tmp_path / "config.yaml"
    path.write_text(f"state: sqlite://{tmp_path}/state.db\ntimezone: UTC\nlanguage: en\n{RULES}")
    return path


def alerts(config: Path, *words: str, lang: str = "en") -> Ended:
    """The command."""
    return toban("-c", config, "--lang", lang, "alerts", *words)


def told(config: Path, *words: str) -> Any:  # noqa: ANN401 - whatever JSON can carry
    """What it answers to programs."""
    ended = alerts(config, *words, "--json")
    assert ended.status == 0, ended.err
    return json.loads(ended.out)


def test_rules_are_a_table(config: Path) -> None:
    """By name, with thresholds and who hears of them."""
    rows = [line.split() for line in alerts(config, "rules").out.splitlines()]
    assert ["cpu", "toban_host_cpu_ratio", "target=host|db*", ">", "70%", ">", "90%", "1m", "tool"] in rows
    assert "有効なルール" in alerts(config, "rules", lang="ja").out


def test_one_rule_is_shown_with_everything(config: Path) -> None:
    """Ladder, repeat and runbook too."""
    text = " ".join(alerts(config, "rules", "cpu").out.split())
    for piece in ("keep 5m", "critical: tool", "after 15m: broken", "repeated every 4h", "https://example.org/cpu"):
        assert piece in text
    assert len(told(config, "rules")) == 2
    (rule,) = told(config, "rules", "c*")
    assert (rule["name"], rule["critical"], rule["keep_seconds"]) == ("cpu", "> 90%", 300.0)
    assert rule["escalation"] == [{"after_seconds": 900.0, "notify": ["broken"], "severities": ["critical", "warning"]}]


def test_shipped_rules_are_all_listed(tmp_path: Path) -> None:
    """Each has a threshold, or looks for what is absent."""
    path = tmp_path / "config.yaml"
    path.write_text(f"state: sqlite://{tmp_path}/state.db\n")
    found = told(path, "rules")
    assert {"connections", "disk", "cpu"} <= {rule["name"] for rule in found}
    assert [rule["name"] for rule in found if not (rule["warning"] or rule["critical"] or rule["info"])] == []


def test_a_rule_that_there_is_not_is_status_1(config: Path) -> None:
    """In one line."""
    line = "toban: rule nope: none is called so (toban alerts rules lists them)\n"
    assert alerts(config, "rules", "nope") == Ended(status=1, out="", err=line)
    assert alerts(config, "backtest", "nope") == Ended(status=1, out="", err=line)


def remember(config: Path) -> float:
    """Half an hour of a processor: calm, five minutes at 80 %, calm; when it was busy."""
    begin = SystemClock().now() - 1800
    metric = a_metric("toban_host_cpu_ratio", unit=Unit.RATIO, kept=True)

    async def fill() -> None:
        clock = ManualClock(now=begin)
        async with recording(config.parent / "state.db", clock) as history:
            for minute in range(30):
                value = 0.8 if 10 <= minute < 15 else 0.2
                for _ in range(4):
                    sample = a_sample(metric, value, taken_at=clock.now())
                    history.offer(a_collection(sample, target="host", collector="cpu", taken_at=clock.now()))
                    clock.advance(15)

    asyncio.run(fill())
    return begin + 600


def test_backtest_tells_what_would_have_fired(config: Path) -> None:
    """As it is written, and as asked; against what was recorded and what people called it."""
    busy = remember(config)
    key = Key("cpu", "host")
    times = {"started_at": busy, "fired_at": busy + 60, "changed_at": busy + 360, "resolved_at": busy + 360}
    recorded = an_alert("00000cpu", key=key, state=State.RESOLVED, **times)
    written(config.parent / "state.db", Page(alerts=(recorded,), marks={"00000cpu": ("false", "me")}))
    found = told(config, "backtest", "cpu", "--warning", "> 85%", "--since", "1h")
    as_written, as_asked = found["results"]
    assert (found["rule"], found["series"]) == ("cpu", 1)
    assert (as_written["would_fire"], as_written["caught"], as_written["false_caught"]) == (1, 1, 1)
    assert as_written["firing_seconds"] > 200
    assert (as_asked["warning"], as_asked["would_fire"], as_asked["missed"], as_asked["false_missed"]) == (
        "> 85%",
        0,
        1,
        1,
    )
    ended = alerts(config, "backtest", "cpu", "--warning", "> 85%", "--since", "1h")
    assert "as asked: critical > 90%, warning > 85%, clear < 60%, for 1m" in " ".join(ended.out.split())
    assert "series: 1." in ended.out


def test_backtest_without_a_book_tells_of_the_history_alone(config: Path) -> None:
    """Nothing was recorded, so all of it is more."""
    remember(config)
    (as_written,) = told(config, "backtest", "cpu", "--since", "1h")["results"]
    assert (as_written["would_fire"], as_written["caught"], as_written["extra"]) == (1, 0, 1)


@pytest.mark.parametrize(
    ("words", "status", "word"),
    [
        (("swap",), 1, "no series matches"),
        (("cpu", "--target", "db9"), 1, "no series of target db9 matches"),
        (("cpu", "--warning", "high"), 2, "toban: backtest:"),
        (("cpu", "--since", "1ms"), 1, "there is no history of toban_host_cpu_ratio"),
    ],
)
def test_backtest_says_why_it_cannot(config: Path, words: tuple[str, ...], status: int, word: str) -> None:
    """No history, or no threshold."""
    remember(config)
    ended = alerts(config, "backtest", *words)
    assert ended.status == status, ended.err
    assert word in ended.err


def test_backtest_without_a_state_is_unavailable(config: Path) -> None:
    """Status 3."""
    assert alerts(config, "backtest", "cpu").status == 3


def test_test_opens_the_channel_itself_when_no_daemon_runs(config: Path) -> None:
    """A real program, and its answer."""
    assert alerts(config, "test", "tool") == Ended(status=0, out="tool has it: exit 0\n", err="")
    failed = alerts(config, "test", "broken")
    assert failed.status == 1
    assert failed.out.startswith("broken did not take it: ")
    unknown = alerts(config, "test", "fax")
    assert (unknown.status, unknown.err) == (
        1,
        "toban: channel fax: none is called so (there are: dashboard, tool, broken)\n",
    )
    assert alerts(config, "test", "dashboard").status == 0


def test_a_channel_that_hangs_is_given_up(config: Path) -> None:
    """After its own timeout."""
    config.write_text(
        f"state: sqlite://{config.parent}/state.db\nlanguage: en\n"
        "channels: {slow: {kind: exec, run: [/bin/sleep, '60'], timeout: 200ms}}\n"
    )
    ended = alerts(config, "test", "slow")
    assert (ended.status, ended.out.startswith("slow did not take it: did not end within ")) == (1, True)


def test_a_channel_that_is_deaf_to_its_timeout_is_given_up_too(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever sends."""

    class Deaf:
        async def send(self, _: object) -> None:
            await asyncio.Event().wait()

        async def close(self) -> None:
            """Nothing is open."""

    config.write_text(
        f"state: sqlite://{config.parent}/state.db\nlanguage: en\n"
        "channels: {slow: {kind: exec, run: [/bin/true], timeout: 100ms}}\n"
    )
    monkeypatch.setattr(alerts_alone, "open_channel", lambda *_: Deaf())
    assert alerts(config, "test", "slow").out == "slow did not take it: no answer within 0.1 s\n"
