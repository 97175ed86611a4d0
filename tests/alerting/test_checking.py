from typing import Any

import pytest

from alerting.rules.checking import Problem, problems
from alerting.settings import read, shipped_rules
from collectors import COLLECTORS
from tests.alerting.ruling import DISK, METRICS, written
from tests.builders import a_metric
from toban.samples import Metric, Type, Unit

FREE = a_metric("toban_disk_free_bytes", unit=Unit.BYTES, labels=("mount",))
HITS = a_metric("toban_hits_total", type=Type.COUNTER)
KNOWN: dict[str, Metric] = {**METRICS, FREE.name: FREE, HITS.name: HITS}
OURS = read([{"name": "target_down", "metric": HITS.name, "critical": "== 0"}])
DISK_RULE = {"name": "disk", "metric": DISK.name, "warning": "> 80%", "critical": "> 95%"}


def found(**section: Any) -> list[Problem]:  # noqa: ANN401 - as YAML gives it
    """Everything that is wrong with a section."""
    return list(
        problems(
            written(**section),
            channels=["mail", "slack"],
            metrics=KNOWN,
            targets=["main", "spare"],
            prefixes=("toban_custom_",),
            ours=OURS,
        )
    )


def of_rule(**said: Any) -> list[Problem]:  # noqa: ANN401 - as YAML gives it
    """Everything that is wrong with one rule; paths begin below it."""
    rule = {key: value for key, value in {**DISK_RULE, **said}.items() if value is not None}
    return [(path[2:], why) for path, why in found(rules=[rule])]


def test_rules_that_are_right_have_no_problem() -> None:
    """A whole one, one of a metric that only its target knows, a change of a shipped one, one that is off."""
    assert (
        found(
            notify={"warning": ["mail"], "critical": ["dashboard", "slack"]},
            escalation=[{"after": "15m", "notify": ["slack"]}],
            commands=[{"name": "note", "run": ["/bin/true"]}],
            rules=[
                DISK_RULE
                | {
                    "where": {"target": ["main", "spare"], "mount": "/srv*"},
                    "clear": "< 75%",
                    "symptom_of": ["target_down"],
                }
                | {"actions": {"critical": [{"command": "note"}]}},
                {"name": "trades", "metric": "toban_custom_trades_count", "warning": "> 5"},
                {"name": "target_down", "critical": "!= 1"},
                {"name": "low", "metric": FREE.name, "info": "< 10GB", "warning": "< 5GB", "critical": "< 1GB"},
                {"name": "grown", "metric": DISK.name, "function": "delta(1h)", "warning": "> 150%"},
                {"name": "ends", "metric": DISK.name, "function": "forecast(100%, 6h)", "warning": "< 12h"},
                {"name": "odd", "metric": DISK.name, "function": "deviation(4w)", "warning": "> 5"},
                {"name": "same", "metric": HITS.name, "function": "rate(5m)", "warning": "!= 1", "critical": "== 5"},
            ],
        )
        == []
    )


def test_shipped_rules_have_no_problem_but_what_the_daemon_itself_brings() -> None:
    """Thresholds, labels and references fit what the collectors declare."""
    metrics = {metric.name: metric for collector in COLLECTORS for metric in collector.metrics}
    prefixes = tuple(prefix for collector in COLLECTORS for prefix in collector.prefixes)
    own = written(rules=[])
    own = own.model_copy(update={"rules": shipped_rules()})
    said = problems(own, channels=(), metrics=metrics, targets=(), prefixes=prefixes, ours=())
    assert [(path, why) for path, why in said if path[-1] != "metric" and "judges the same series" not in why] == []


@pytest.mark.parametrize(
    ("said", "at", "why"),
    [
        (
            {"metric": "toban_disk_rati"},
            ("metric",),
            "no collector brings toban_disk_rati; did you mean toban_disk_ratio?",
        ),
        ({"metric": "zzz"}, ("metric",), "no collector brings zzz"),
        (
            {"notify": {"warning": ["mail", "slak"]}},
            ("notify", "warning", 1),
            "no channel is called slak; did you mean slack?",
        ),
        (
            {"escalation": [{"after": "15m", "notify": ["pager"]}]},
            ("escalation", 0, "notify", 0),
            "no channel is called pager",
        ),
        (
            {"where": {"device": "sda"}},
            ("where", "device"),
            "toban_disk_ratio has no label device; it has target, mount",
        ),
        ({"where": {"target": "mian"}}, ("where", "target"), "no target is called mian; did you mean main?"),
        (
            {"warning": "> 95%", "critical": "> 80%"},
            ("critical",),
            "> 80% is reached before warning (> 95%); critical lies beyond warning",
        ),
        (
            {"warning": "> 80%", "critical": "< 95%"},
            ("critical",),
            "< 95% looks below its value, warning (> 80%) above",
        ),
        ({"critical": "> 80%"}, ("warning",), "> 80% can never be told: critical has the same threshold"),
        (
            {"clear": "< 85%"},
            ("clear",),
            "< 85% lies where warning (> 80%) still holds; write what is well",
        ),
        (
            {"clear": "> 70%"},
            ("clear",),
            "> 70% points the same way as warning (> 80%); write what is well",
        ),
        (
            {"clear": "== 90%"},
            ("clear",),
            "== 90% lies where warning (> 80%) still holds; write what is well",
        ),
        ({"critical": "> 95"}, ("critical",), "> 95 can never be: toban_disk_ratio lies between 0 and 1"),
        ({"critical": ">= 101%"}, ("critical",), ">= 101% can never be: toban_disk_ratio lies between 0 and 1"),
        (
            {"warning": "< 0%", "critical": None},
            ("warning",),
            "< 0% can never be: toban_disk_ratio lies between 0 and 1",
        ),
        (
            {"warning": "== 2", "critical": None},
            ("warning",),
            "== 2 can never be: toban_disk_ratio lies between 0 and 1",
        ),
        (
            {"metric": FREE.name, "warning": "< -1GB", "critical": None},
            ("warning",),
            "< -1GB can never be: toban_disk_free_bytes is never below 0",
        ),
        (
            {"warning": "> 10GB", "critical": None},
            ("warning",),
            "toban_disk_ratio is measured in ratio; > 10GB compares it with a size",
        ),
        (
            {"function": "forecast(100%, 6h)", "warning": "< 10GB", "critical": None},
            ("warning",),
            "forecast(100%, 6h) is measured in seconds; < 10GB compares it with a size",
        ),
        (
            {"function": "forecast(100%, 6h)", "warning": "< 24h", "critical": None},
            ("warning",),
            "< 24h is farther ahead than forecast(100%, 6h) is believed, 12h; widen its window",
        ),
        (
            {"function": "forecast(10GB, 6h)", "warning": "< 1h", "critical": None},
            ("function",),
            "toban_disk_ratio is measured in ratio, which a size is not",
        ),
        (
            {"metric": FREE.name, "function": "deviation(4w)", "warning": "> 5", "critical": None},
            ("function",),
            "toban_disk_free_bytes is not kept in the history, so nothing is known of its earlier weeks",
        ),
        ({"symptom_of": ["disk"]}, ("symptom_of", 0), "a rule is no symptom of itself"),
        (
            {"symptom_of": ["target_dwn"]},
            ("symptom_of", 0),
            "no rule is called target_dwn; did you mean target_down?",
        ),
        (
            {"actions": {"critical": [{"command": "note"}]}},
            ("actions", "critical", 0, "command"),
            "no command is called note",
        ),
        (
            {"actions": {"warning": [{"backup": "nightly"}]}},
            ("actions", "warning", 0, "backup"),
            "backup actions are not in this version; write command",
        ),
    ],
)
def test_rule_that_is_wrong_has_its_sentence(said: dict[str, Any], at: tuple[str | int, ...], why: str) -> None:
    """The key to blame, and why."""
    assert of_rule(**said) == [(at, why)]


def test_section_names_channels_that_there_are() -> None:
    """Above the rules too."""
    assert found(notify={"critical": ["pager"]}, escalation=[{"after": "1m", "notify": ["sms"]}]) == [
        (("notify", "critical", 0), "no channel is called pager"),
        (("escalation", 0, "notify", 0), "no channel is called sms"),
    ]


def test_rule_without_a_metric_has_the_name_of_a_shipped_one() -> None:
    """Else it changes nothing."""
    assert found(rules=[{"name": "target_dwn", "critical": "> 5"}, {"name": "target_don", "enabled": False}]) == [
        (("rules", 0, "metric"), "is missing, and no shipped rule has this name; did you mean target_down?"),
        (("rules", 1, "name"), "no shipped rule has this name; did you mean target_down?"),
    ]


def test_symptoms_go_in_no_circle() -> None:
    """By whatever way; told at each rule of it."""
    rules = [
        {"name": name, "metric": DISK.name, "where": {"mount": name}, "warning": "> 5%", "symptom_of": [of]}
        for name, of in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"))
    ]
    assert found(rules=rules) == [
        (("rules", 0, "symptom_of", 0), "goes in a circle: a → b → c → a"),
        (("rules", 1, "symptom_of", 0), "goes in a circle: b → c → a → b"),
        (("rules", 2, "symptom_of", 0), "goes in a circle: c → a → b → c"),
    ]


def test_rules_do_not_judge_the_same_twice() -> None:
    """The same series, severity and side; another mount, function or side is another thing."""
    other = [
        DISK_RULE | {"name": "srv", "where": {"mount": "/srv"}},
        DISK_RULE | {"name": "mean", "function": "mean(5m)"},
        {"name": "low", "metric": DISK.name, "warning": "< 1%"},
    ]
    assert found(rules=[DISK_RULE, *other]) == []
    assert found(rules=[DISK_RULE, DISK_RULE | {"name": "again"}]) == [
        (
            ("rules", 1, "warning"),
            "disk judges the same series for warning already; give one of them another where",
        )
    ]
    assert found(defaults=True, rules=[{"name": "silent", "metric": HITS.name, "critical": "!= 1"}]) == [
        (
            ("rules", 0, "critical"),
            "target_down judges the same series for critical already; name it target_down to replace that one",
        )
    ]


def test_backups_and_tasks_are_known_by_name_once_there_are_any() -> None:
    """Then a name that is none is told."""
    alerts = written(
        rules=[DISK_RULE | {"actions": {"info": [{"backup": "nightly"}], "critical": [{"maintenance": "vacum"}]}}]
    )
    said = problems(
        alerts, channels=(), metrics=KNOWN, targets=(), backups=["nightly"], maintenance=["vacuum"], ours=()
    )
    assert list(said) == [
        (("rules", 0, "actions", "critical", 0, "maintenance"), "no maintenance is called vacum; did you mean vacuum?")
    ]


def test_rule_that_is_left_without_a_threshold_is_a_mistake() -> None:
    """Taking away the only one a shipped rule has would leave nothing to judge by."""
    why = "has no threshold left; write info, warning or critical, or enabled: false"
    assert found(rules=[{"name": "target_down", "critical": None}]) == [(("rules", 0), why)]
    assert found(rules=[{"name": "target_down", "critical": None, "enabled": False}]) == []
    assert found(rules=[{"name": "target_down", "critical": None, "warning": "== 0"}]) == []


def test_two_steps_at_the_same_time_are_a_mistake() -> None:
    """Only the highest of those that are due goes out; for different severities they are two ladders."""
    twice = [{"after": "15m", "notify": ["mail"]}, {"after": "1h"}, {"after": "15m", "notify": ["slack"]}]
    why = "step 1 is taken then, too; name all channels in one step"
    assert found(escalation=twice) == [(("escalation", 2, "after"), why)]
    assert of_rule(escalation=twice) == [(("escalation", 2, "after"), why)]
    apart = [{"after": "15m", "severities": ["warning"]}, {"after": "15m", "severities": ["critical"]}]
    assert found(escalation=apart) == []
