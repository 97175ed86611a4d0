"""`toban alerts runbook`, and the same over HTTP: what to do, where there is no manual."""

import json
from pathlib import Path

import pytest

from alerting.shipped import shipped
from alerting.shipped.runbooks import runbook_of
from tests.daemon.alerting.commands import alerts

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.integration


def test_runbook_is_the_manuals_page(config: Path) -> None:
    """Word for word, so that it can be piped."""
    assert alerts(config, "runbook", "target_down").out == (ROOT / "docs/rules/target_down.md").read_text()


def test_runbook_of_ones_own_rule_is_where_it_says(config: Path) -> None:
    """Its address is all that we know."""
    rule = '{name: mine, metric: toban_host_load1, warning: "> 9", runbook: "https://wiki.example.org/x"}'
    config.write_text(config.read_text() + f"alerts: {{rules: [{rule}]}}\n")
    assert alerts(config, "runbook", "mine").out == "https://wiki.example.org/x\n"


def test_runbook_for_programs_is_the_page_or_the_address(config: Path) -> None:
    """One form, with what is not there as null."""
    rule = '{name: mine, metric: toban_host_load1, warning: "> 9", runbook: "https://wiki.example.org/x"}'
    config.write_text(config.read_text() + f"alerts: {{rules: [{rule}]}}\n")
    page = (ROOT / "docs/rules/target_down.md").read_text()
    shipped_one, own = (alerts(config, "runbook", name, "--json").out for name in ("target_down", "mine"))
    assert json.loads(shipped_one) == {"rule": "target_down", "url": None, "text": page}
    assert json.loads(own) == {"rule": "mine", "url": "https://wiki.example.org/x", "text": None}


def test_runbook_that_there_is_not_names_the_nearest(config: Path) -> None:
    """One line, and status 1."""
    ended = alerts(config, "runbook", "target_dwn")
    assert (ended.status, ended.err) == (
        1,
        "toban: runbook of target_dwn: there is none (did you mean target_down?)\n",
    )


def test_every_shipped_rule_has_its_runbook_at_hand() -> None:
    """Also where the package is installed without the manual."""
    assert [rule["name"] for rule in shipped() if not runbook_of(rule["name"])] == []
    assert runbook_of("../README") is None
