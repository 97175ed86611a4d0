import re
from typing import Any

import pytest
from pydantic import ValidationError

from alerting.quiet import Window
from alerting.rules.written import Alerts, RuleSettings
from alerting.settings import compiled, policy_of, read, shipped_rules
from tests.alerting.ruling import DISK, METRICS, a_rule, written
from toban.alerts import Action, Severity, Step
from toban.language import Language
from toban.samples import Unit

OURS = read(
    [
        {"name": "disk", "metric": DISK.name, "warning": "> 80%", "critical": "> 90%", "for": "1m"}
        | {"presets": {"dataset": {"critical": "> 95%", "for": "5m"}}},
        {"name": "optional", "metric": DISK.name, "enabled": False, "info": "> 50%"},
    ]
)
WHOLE: dict[str, Any] = {
    "preset": "tuning",
    "notify": {"warning": ["mail"], "critical": ["mail", "pager"]},
    "acknowledgement": {"for": "4h", "worse": "10%"},
    "repeat": None,
    "escalation": [{"after": "15m", "notify": ["slack"]}, {"after": "30m", "severities": ["critical"]}],
    "quiet": [
        {"name": "nightly", "cron": "0 1 * * *", "for": "1h", "match": {"rule": "disk_*"}, "why": "batch"},
        {"cron": "0 2 * * 0", "for": "30m", "match": {"target": ["main", "spare"]}},
    ],
    "heartbeat": {"url": "https://127.0.0.1/beat", "every": "30s"},
    "commands": [{"name": "note", "run": ["/bin/true", "--y"], "timeout": "10s"}],
    "rules": [
        {
            "name": "connections",
            "metric": "pg_connections_used_ratio",
            "function": "mean(5m)",
            "where": {"target": "main", "mount": ["/srv*", "!/srv/tmp"]},
            "warning": "> 80%",
            "critical": "> 95%",
            "for": "1m",
            "clear": "< 75%",
            "keep": "5m",
            "vanish": True,
            "symptom_of": ["target_down"],
            "excused_by": ["vacuum"],
            "notify": {"warning": []},
            "escalation": [],
            "repeat": "1h",
            "actions": {"critical": [{"backup": "nightly"}, {"command": "note"}]},
            "runbook": "https://127.0.0.1/runbook",
            "summary": "{value} of the connections",
        }
    ],
}


def names(alerts: Alerts, channels: tuple[str, ...] = ("mail",)) -> list[str]:
    """The rules in force."""
    return [rule.name for rule in compiled(alerts, channels, METRICS, ours=OURS)]


def test_alerts_have_safe_defaults() -> None:
    """Nothing said: the shipped rules, everybody told, a ladder of 15, 30 and 60 minutes."""
    (rule,) = compiled(Alerts(), ["mail", "pager"], METRICS, ours=OURS)
    assert rule.policy.first == {
        Severity.INFO: (),
        Severity.WARNING: ("mail", "pager", "dashboard"),
        Severity.CRITICAL: ("mail", "pager", "dashboard"),
    }
    assert rule.policy.steps == tuple(
        Step(after_seconds=s, channels=("mail", "pager")) for s in (900.0, 1800.0, 3600.0)
    )
    assert (rule.policy.repeat_seconds, rule.policy.lease_seconds, rule.policy.worse_ratio) == (14400.0, 28800.0, 0.2)
    assert (rule.unit, rule.for_seconds, rule.keep_seconds, rule.runbook) == (
        Unit.RATIO,
        60.0,
        0.0,
        "docs/rules/disk.md",
    )


def test_alerts_without_channels_have_no_ladder() -> None:
    """There is nobody to climb to; the dashboard shows it."""
    (rule,) = compiled(Alerts(), [], METRICS, ours=OURS)
    assert (rule.policy.steps, rule.policy.first[Severity.CRITICAL]) == ((), ("dashboard",))


def test_rule_in_force_has_all_that_is_written() -> None:
    """Every key finds its place."""
    (rule,) = compiled(written(**WHOLE), ["mail", "pager", "slack"], METRICS, ours=())
    assert (str(rule.function), str(rule.clear), rule.for_seconds, rule.keep_seconds, rule.vanish) == (
        *("mean(5m)", "< 75%", 60.0, 300.0, True),
    )
    assert (rule.symptom_of, rule.excused_by, rule.runbook) == (
        ("target_down",),
        ("vacuum",),
        WHOLE["rules"][0]["runbook"],
    )
    assert [(one.name, one.written) for one in rule.where] == [
        ("target", ("main",)),
        ("mount", ("/srv*", "!/srv/tmp")),
    ]
    assert rule.summary == dict.fromkeys(Language, "{value} of the connections")
    assert rule.policy.first == {
        Severity.INFO: (),
        Severity.WARNING: (),
        Severity.CRITICAL: ("mail", "pager"),
    }
    assert (rule.policy.steps, rule.policy.repeat_seconds, rule.policy.lease_seconds) == ((), 3600.0, 14400.0)
    assert rule.policy.actions[Severity.CRITICAL] == (
        Action(kind="backup", name="nightly"),
        Action(kind="command", name="note"),
    )


def test_policy_of_a_rule_that_says_nothing_is_the_section_s() -> None:
    """Channels, steps and repeats."""
    section = {key: value for key, value in WHOLE.items() if key != "rules"}
    (rule,) = compiled(Alerts.model_validate(section), ["mail", "pager", "slack"], METRICS, ours=OURS)
    assert rule.policy.first[Severity.WARNING] == ("mail",)
    assert rule.policy.repeat_seconds == 0.0
    assert rule.policy.steps == (
        Step(after_seconds=900.0, channels=("slack",)),
        Step(after_seconds=1800.0, channels=("mail", "pager", "slack"), severities=(Severity.CRITICAL,)),
    )


def test_settings_are_shown_so_that_they_read_back() -> None:
    """What is shown is what is in force: the same rules come out of it."""
    before = written(**WHOLE)
    after = Alerts.model_validate(before.model_dump(mode="json") | {"heartbeat": WHOLE["heartbeat"]})
    assert after == before
    assert compiled(after, ["mail"], METRICS, ours=()) == compiled(before, ["mail"], METRICS, ours=())
    assert before.model_dump(mode="json")["heartbeat"]["url"] == "********"
    assert before.model_dump(mode="json")["rules"][0]["where"]["target"] == "main"


def test_settings_of_empty_sections_are_their_defaults() -> None:
    """A key with only comments beneath."""
    empty = Alerts.model_validate(dict.fromkeys(("notify", "escalation", "quiet", "heartbeat", "commands", "rules")))
    assert compiled(empty, ["mail"], METRICS, ours=OURS) != ()
    assert empty.escalation == ()


def test_quiet_times_are_windows() -> None:
    """A list is any of; one without a name goes by its number."""
    assert written(**WHOLE).windows == (
        Window(name="nightly", cron="0 1 * * *", for_seconds=3600.0, match=(("rule", "disk_*"),), why="batch"),
        Window(name="2", cron="0 2 * * 0", for_seconds=1800.0, match=(("target", "main"), ("target", "spare"))),
    )


def test_preset_changes_the_shipped_rules() -> None:
    """Only what it says otherwise."""
    (rule,) = compiled(Alerts(preset="dataset"), ["mail"], METRICS, ours=OURS)
    assert (str(rule.warning), str(rule.critical), rule.for_seconds) == ("> 80%", "> 95%", 300.0)
    (own,) = compiled(written(preset="dataset", rules=[OURS[0].model_dump()]), ["mail"], METRICS, ours=())
    assert str(own.critical) == "> 95%"


def test_rule_of_a_shipped_name_replaces_it() -> None:
    """All of it; with `enabled: false` it is off, by its name alone."""
    (rule,) = compiled(
        Alerts.model_validate({"rules": [{"name": "disk", "metric": DISK.name, "critical": "> 99%"}]}),
        ["mail"],
        METRICS,
        ours=OURS,
    )
    assert (rule.warning, str(rule.critical), rule.for_seconds) == (None, "> 99%", 0.0)
    assert names(Alerts(rules=(RuleSettings(name="disk", enabled=False),))) == []
    assert names(Alerts(defaults=False)) == []


def test_rule_without_a_metric_changes_the_shipped_one() -> None:
    """What it does not say stays, the preset's figures among it; one that is off by default is on by its name."""
    alerts = Alerts.model_validate(
        {"preset": "dataset", "rules": [{"name": "disk", "warning": "> 85%", "repeat": None}]}
    )
    (rule,) = compiled(alerts, ["mail"], METRICS, ours=OURS)
    assert (str(rule.warning), str(rule.critical), rule.policy.repeat_seconds) == ("> 85%", "> 95%", 0.0)
    assert names(Alerts(defaults=False, rules=(RuleSettings(name="optional"),))) == ["optional"]
    assert names(Alerts(defaults=False, rules=(RuleSettings(name="unknown"),))) == []


def test_absence_needs_no_threshold() -> None:
    """Its window is one."""
    rule = a_rule(function="absent(10m)", warning=None, critical=None)
    assert (str(rule.warning), rule.unit) == (">= 10m", Unit.SECONDS)
    assert a_rule(function="absent(10m)", warning=None).warning is None


def test_shipped_rules_compile_under_every_preset() -> None:
    """All of them have a threshold and a runbook."""
    for preset in ("standard", "tuning", "dataset"):
        rules = compiled(Alerts.model_validate({"preset": preset}), ["mail"], METRICS)
        assert len(rules) == sum(rule.enabled for rule in shipped_rules())
        assert [rule.name for rule in rules if not rule.runbook] == []


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"rules": [{"name": "a", "metric": "m"}]}, "has no threshold; write info, warning or critical"),
        ({"rules": [{"name": "a", "metric": "m", "warning": "80%"}]}, "'80%' compares with nothing"),
        ({"rules": [{"name": "a", "metric": "m", "function": "foo(5m)"}]}, "'foo(5m)' is no function"),
        ({"rules": [{"name": "a", "where": {"mount": []}}]}, "an empty list lets nothing through"),
        ({"quiet": [{"cron": "0 1 * *", "for": "1h"}]}, "is no cron line; write minute hour day month weekday"),
        ({"quiet": [{"cron": "0 99 * * *", "for": "1h"}]}, "is no cron line: Bad hour"),
        ({"quiet": [{"cron": "0 0 31 2 *", "for": "1h"}]}, "is no cron line"),
        ({"commands": [{"name": "a", "run": ["x"]}]}, "'x' is no absolute path; begin it with /"),
        (
            {"rules": [{"name": "a", "actions": {"critical": [{"backup": "a", "command": "b"}]}}]},
            "is one thing to do: a backup, a command or a maintenance task",
        ),
        ({"rules": [{"name": "a", "actions": {"critical": [{}]}}]}, "is one thing to do"),
        ({"preset": "fast"}, "Input should be 'standard', 'tuning' or 'dataset'"),
        ({"escalation": [{"after": 900}]}, "900 is no duration"),
    ],
)
def test_settings_refuse_what_does_not_fit(section: dict[str, Any], said: str) -> None:
    """Each with its sentence."""
    with pytest.raises(ValidationError, match=re.escape(said)):
        written(**section)


def test_policy_of_a_drill_is_what_a_rule_without_wishes_has() -> None:
    """The section's channels and ladder."""
    (rule,) = compiled(Alerts(), ["mail"], METRICS, ours=OURS)
    assert policy_of(Alerts(), ["mail"]) == rule.policy


def test_ladder_is_climbed_from_its_lowest_rung_however_it_is_written() -> None:
    """Else a rung that was written above an earlier one would never be reached."""
    steps = [{"after": "1h", "notify": ["pager"]}, {"after": "15m", "notify": ["mail"]}]
    policy = policy_of(written(escalation=steps), ["mail", "pager"])
    assert [(step.after_seconds, step.channels) for step in policy.steps] == [(900.0, ("mail",)), (3600.0, ("pager",))]


def test_value_of_a_metric_without_a_unit_is_told_in_that_of_its_threshold() -> None:
    """`25 MB`, and not eight digits; where thresholds differ, or the metric knows better, as it was."""
    plain = {"name": "plain", "metric": "toban_custom_x", "warning": "> 20MB", "critical": "> 1GB"}
    mixed = {**plain, "name": "mixed", "critical": "> 9"}
    rules = compiled(written(rules=[plain, mixed]), ["mail"], METRICS, ours=())
    assert [rule.unit for rule in rules] == [Unit.BYTES, Unit.NONE]
    assert a_rule(warning="> 0.5", critical=None).unit is Unit.RATIO
