"""The reference says what the collectors declare, and the page in the manual is what it says."""

import re
from pathlib import Path

import pytest

from backup.metrics import COLLECTOR as BACKUPS
from collectors import COLLECTORS
from daemon.reference.facts import OWN, facts, section_of, sections
from daemon.reference.page import found, page
from daemon.reference.rows import ROWS, Row

MANUAL = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_page_in_the_manual_is_current() -> None:
    """`python -m daemon.reference.page > docs/metrics.md` makes it so."""
    assert MANUAL.read_text() == page()


def test_reference_has_every_collector_and_every_metric() -> None:
    """Nothing that is measured goes undescribed."""
    assert {section.name for section in sections()} == {collector.name for collector in COLLECTORS} | {BACKUPS, OWN}
    declared = {metric.name for collector in COLLECTORS for metric in collector.metrics}
    assert declared <= {fact.name for fact in facts()}


def test_metrics_are_declared_once() -> None:
    """Two collectors with one metric would write one family twice."""
    names = [fact.name for fact in facts()]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("collector", COLLECTORS, ids=lambda collector: str(collector.name))
def test_collector_says_what_it_is_good_for(collector: type) -> None:
    """A sentence or two, ended by a full stop."""
    assert re.fullmatch(r"[A-Z].{20,}\.", collector.purpose)  # type: ignore[attr-defined] # every collector has it


def test_metric_helps_end_alike() -> None:
    """A meaning stands in a table and behind `# HELP`: no line break, and something said."""
    assert [fact.name for fact in facts() if "\n" in fact.help or len(fact.help) < len("Users")] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.id))
def test_question_is_answered_by_metrics(row: Row) -> None:
    """Each pattern of each row finds something: a metric, or the prefix of those that only their target knows."""
    known = facts()
    prefixes = {prefix for section in sections() for prefix in section.prefixes}
    names = {fact.name for fact in known}
    idle = [
        pattern
        for pattern in row.metrics
        if pattern.removesuffix("*") not in prefixes
        and not found(Row(id="", question="", metrics=(pattern,)), known)
        and pattern not in names
    ]
    assert idle == []


def test_questions_are_those_of_the_manual() -> None:
    """Twenty of measuring and two of backups, in order."""
    assert [row.id for row in ROWS] == [*(f"M{number}" for number in range(1, 21)), "B1", "B2"]


def test_metric_answers_a_question() -> None:
    """What answers none would be measured for nobody. Those of Toban itself tell how far to trust the rest."""
    answered = {name for row in ROWS for name in found(row, facts())}
    assert sorted({fact.name for fact in facts() if fact.collector != OWN} - answered) == []


def test_sections_name_the_sql_that_they_ask_with() -> None:
    """A path that exists."""
    asked = {section.name: section.sql for section in sections()}
    assert asked["activity"] == ("collectors/postgresql/queries/activity",)
    assert asked["sqlite"] == ("collectors/sqlite/queries/counts.sql", "collectors/sqlite/queries/quick_check.sql")
    assert [path for paths in asked.values() for path in paths if not (MANUAL.parents[1] / path).exists()] == []


def test_metric_that_only_its_target_knows_belongs_to_its_collector() -> None:
    """By its prefix; what nobody brings belongs to none."""
    settings = section_of("pg_settings_work_mem_bytes")
    assert settings is not None
    assert settings.name == "settings"
    assert section_of("pg_nothing") is None


def test_own_metrics_have_their_labels_and_kinds() -> None:
    """Out of prometheus-client's families."""
    own = {fact.name: fact for fact in facts() if fact.collector == OWN}
    assert own["toban_collect_state"].labels == ("target", "collector", "reason")
    assert own["toban_collect_duration_seconds"].type == "histogram"
    assert own["toban_collect_errors_total"].type == "counter"
    assert own["toban_loop_lag_seconds"].unit == "seconds"
