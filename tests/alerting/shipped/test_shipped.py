"""The shipped rules as a whole: well-formed, explained in both languages, each with a page and a test of its own."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from alerting.rules.checking import problems
from alerting.rules.rule import Rule
from alerting.rules.written import Alerts
from alerting.settings import compiled, shipped_rules
from alerting.shipped import PRESETS, SUBJECTS, by_subject, shipped
from alerting.shipped.page import figures, page
from collectors.postgresql.progress import COMMANDS
from tests.alerting.shipped.judging import METRICS, rule_of
from toban.alerts import Severity

HERE = Path(__file__).parent
RUNBOOKS = Path(__file__).parents[3] / "docs" / "rules"
FILES = Path(__file__).parents[3] / "alerting" / "shipped"
NAMES = [rule["name"] for rule in shipped()]
KNOWN = {"target", "value", "threshold"}


def each(**chosen: Any) -> tuple[Rule, ...]:  # noqa: ANN401 - any key of the section
    """All rules in force."""
    return compiled(Alerts.model_validate(chosen), ["mail"], METRICS)


def test_each_rule_has_a_name_of_its_own() -> None:
    """Two of one name would be one."""
    assert sorted(NAMES) == sorted(set(NAMES))


def test_each_file_is_read() -> None:
    """A file that no subject names would be forgotten."""
    assert {file.stem for file in FILES.glob("*.yaml")} == set(SUBJECTS)


def test_each_rule_is_proved_by_a_test() -> None:
    """One that makes it fire and clear on a real thing: `judging("…")` is how such a test begins."""
    proved = {name for file in HERE.glob("test_*.py") for name in re.findall(r'judging\(\s*"(\w+)"', file.read_text())}
    assert proved == set(NAMES)


def test_rules_are_without_fault() -> None:
    """What an operator who had written them would be told is nothing."""
    written = Alerts(rules=shipped_rules())
    assert list(problems(written, channels=("mail",), metrics=METRICS, targets=("main", "host"))) == []


@pytest.mark.parametrize("rule", shipped(), ids=NAMES)
def test_rule_says_itself_in_both_languages(rule: Mapping[str, Any]) -> None:
    """With names of labels that its metric has, the same in both; Japanese is Japanese."""
    names = [set(re.findall(r"\{(\w+)\}", rule["summary"][language])) for language in ("en", "ja")]
    assert names[0] == names[1]
    assert names[0] <= KNOWN | set(METRICS[rule["metric"]].labels)
    assert re.search(r"[ぁ-ん]|[一-龯]", rule["summary"]["ja"])


@pytest.mark.parametrize("rule", shipped(), ids=NAMES)
def test_rule_has_a_runbook(rule: Mapping[str, Any]) -> None:
    """It repeats the rule's figures, says what it means, what to look at, what to do, and when it is wrong."""
    text = (RUNBOOKS / f"{rule['name']}.md").read_text()
    assert text.startswith(f"# {rule['name']}\n")
    assert figures(rule) in text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        "What it means",
        "Look at this",
        "Do that",
        "When it is wrong",
    ]
    assert rule_of(rule["name"]).runbook == f"docs/rules/{rule['name']}.md"


def test_each_runbook_has_its_rule() -> None:
    """A page of a rule that is gone would mislead."""
    assert {file.stem for file in RUNBOOKS.glob("*.md")} - {"README"} == set(NAMES)


def test_page_in_the_manual_is_current() -> None:
    """`python -m alerting.shipped.page > docs/rules/README.md` makes it so."""
    assert (RUNBOOKS / "README.md").read_text() == page()


def test_causes_are_rules_and_lead_to_no_circle() -> None:
    """What explains another is not explained by it."""
    causes = {rule["name"]: set(rule.get("symptom_of", ())) for rule in shipped()}
    assert set().union(*causes.values()) <= set(causes)
    for name, its_causes in causes.items():
        seen, ahead = set[str](), set(its_causes)
        while ahead:
            seen |= ahead
            ahead = set().union(*(causes[one] for one in ahead)) - seen
        assert name not in seen


def test_work_that_excuses_is_seen_and_is_nobodys_routine() -> None:
    """The server tells of it; and it is not what autovacuum does all day, which would excuse everything."""
    seen = {command.replace(" ", "_") for command in COMMANDS} - {"vacuum", "analyze"}
    assert {work for rule in shipped() for work in rule.get("excused_by", ())} <= seen


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_has_the_handbooks_figures(preset: str) -> None:
    """Table A1, and the 95 % of the data set system."""
    bounds = {
        rule.name: tuple(bound.text for bound in (rule.warning, rule.critical) if bound) for rule in each(preset=preset)
    }
    full = "> 95%" if preset == "dataset" else "> 90%"
    assert {name: bounds[name] for name in FIGURES} == {**FIGURES, "disk": ("> 80%", full), "log_disk": ("> 80%", full)}


FIGURES = {
    "connections": ("> 80%", "> 95%"),
    "cpu": ("> 70%", "> 90%"),
    "memory": ("> 70%", "> 90%"),
    "disk": ("> 80%", "> 90%"),
    "log_disk": ("> 80%", "> 90%"),
    "cache_hit": ("< 90%", "< 80%"),
    "query_running": ("> 5s", "> 10s"),
    "replication_lag": ("> 30s", "> 60s"),
    "disk_busy": ("> 80%",),
    "certificate": ("< 30d",),
}


def test_what_needs_nobody_is_told_to_nobody() -> None:
    """Slow statements and the cache are for the dashboard alone; what stands for weeks climbs to nobody at night."""
    lasting = {"certificate", "security_updates", "firewall", "vulnerable_packages", "files_large", "archiver_late"}
    for rule in each():
        quiet = rule.name in {"cache_hit", "query_running", "mariadb_query_running", "mariadb_buffer_pool"}
        first = ("dashboard",) if quiet else ("mail", "dashboard")
        assert [rule.policy.first[severity] for severity in Severity] == [(), first, first]
        assert bool(rule.policy.steps) is not (quiet or rule.name in lasting)
        assert (rule.policy.repeat_seconds == 86400.0) is (rule.name in lasting)


def test_page_groups_the_rules_by_subject() -> None:
    """In the order of the files."""
    assert re.findall(r"^## (.+)$", page(), re.MULTILINE) == list(by_subject())
