"""What Toban says of itself and of its targets."""

import shutil
import subprocess
from datetime import UTC
from pathlib import Path

import pytest
from pydantic import ValidationError

from collectors.contract import Kind
from daemon.http.exposition import Format
from daemon.http.sections import plain
from daemon.pacing import Due
from daemon.turns import Turned
from daemon.watch import Watch
from daemon.world import World
from tests.builders import ManualClock, a_collection, a_failure, a_gap
from tests.daemon.fakes import FakeCollector, FakeSource
from tests.daemon.serving import configured
from toban.outcomes import Reason
from toban.samples import Collection


@pytest.fixture
def world(manual_clock: ManualClock) -> World:
    """A labelled PostgreSQL server and a host without labels."""
    made = World(
        clock=manual_clock, zone=UTC, state_path=Path("/nonexistent/state.db"), gauges=lambda: (), components=lambda: ()
    )
    labels = {"env": "prod", "site": '東京 "one"'}
    for name, kind, given in (("main", Kind.POSTGRESQL, labels), ("host", Kind.HOST, {"env": "lab"})):
        collector = FakeCollector(FakeSource(), lambda: None, name="activity")
        budget = 0.5 if kind is Kind.POSTGRESQL else 0.0
        made.watches[name] = Watch(
            name, kind, FakeSource(), [collector], budget_seconds=budget, clock=manual_clock, labels=given
        )
    return made


def turned(world: World, collection: Collection) -> None:
    """One turn, as the service hears of it."""
    world.watches[collection.target].note(collection)
    world.instruments.note(Turned(collection=collection, fresh_until=0.0, due=Due(at=0.0, reason="")))


def page(world: World) -> list[str]:
    """The lines of `/metrics`."""
    return plain(world.page(Format.PLAIN)).decode().splitlines()


def test_target_info_carries_the_configured_labels(world: World) -> None:
    """The union of their names, empty where a target has none; escaped as Prometheus wants it."""
    lines = [line for line in page(world) if line.startswith("toban_target_info{")]
    assert lines == [
        'toban_target_info{env="prod",kind="postgresql",site="東京 \\"one\\"",target="main"} 1.0',
        'toban_target_info{env="lab",kind="host",site="",target="host"} 1.0',
    ]


def test_target_info_keeps_its_own_labels(world: World) -> None:
    """A configured label cannot pretend that a target is of another kind."""
    world.watches["main"].labels["kind"] = "lie"
    assert any('kind="postgresql"' in line for line in page(world) if line.startswith("toban_target_info"))


def test_a_label_called_kind_is_refused_in_the_configuration(tmp_path: Path) -> None:
    """Rather than lost on the way."""
    with pytest.raises(ValidationError, match="it is the target's kind"):
        configured(tmp_path, {"name": "main", "kind": "sqlite", "path": "/x.db", "labels": {"kind": "lie"}})


def test_a_target_that_was_not_tried_is_neither_up_nor_down(world: World) -> None:
    """No line at all, rather than a guess; no budget, no share of it."""
    lines = page(world)
    assert not [line for line in lines if line.startswith(("toban_target_up{", "pg_up{"))]
    used = [line for line in lines if line.startswith("toban_target_budget_used_ratio{")]
    assert used == ['toban_target_budget_used_ratio{target="main"} 0.0']


def test_only_a_postgresql_target_has_the_names_of_postgres_exporter(world: World) -> None:
    """`pg_up` of a host would alarm people."""
    for name in ("main", "host"):
        turned(world, a_collection(target=name))
    lines = page(world)
    assert 'pg_up{target="main"} 1.0' in lines
    assert 'pg_scrape_collector_success{collector="activity",target="main"} 1.0' in lines
    assert not [line for line in lines if line.startswith("pg_") and 'target="host"' in line]


def test_errors_are_counted_from_zero_and_the_state_tells_the_last_reason(world: World) -> None:
    """A counter that appears with its first error hides just that error; the state says why it is empty now."""
    pair = 'collector="activity"'
    assert f'toban_collect_errors_total{{{pair},target="main"}} 0.0' in page(world)
    turned(world, a_collection(failure=a_failure(Reason.TIMEOUT)))
    lines = page(world)
    assert f'toban_collect_errors_total{{{pair},target="main"}} 1.0' in lines
    assert f'toban_collect_state{{{pair},reason="timeout",target="main"}} 1.0' in lines
    turned(world, a_collection())
    assert f'toban_collect_state{{{pair},reason="ok",target="main"}} 1.0' in page(world)
    assert not any('reason="timeout"' in line for line in page(world))


def test_gaps_are_counted_by_what_is_missing_and_why(world: World) -> None:
    """What was left out of the last good turn."""
    turned(world, a_collection(gaps=(a_gap(count=2), a_gap(count=3), a_gap("texts", Reason.PRIVILEGE))))
    lines = page(world)
    pair = 'collector="activity"'
    assert f'toban_collect_gaps{{{pair},reason="locked",target="main",what="relations"}} 5.0' in lines
    assert f'toban_collect_gaps{{{pair},reason="privilege",target="main",what="texts"}} 1.0' in lines


def test_a_target_that_leaves_takes_its_error_counts_along(world: World) -> None:
    """And those of the others stay."""
    for name in ("main", "host"):
        turned(world, a_collection(target=name, failure=a_failure()))
    del world.watches["main"]
    counted = [line for line in page(world) if line.startswith("toban_collect_errors_total{")]
    assert [line for line in counted if 'target="main"' in line] == []
    assert len(counted) == 1


def test_a_collector_that_runs_no_more_leaves_its_histogram(world: World) -> None:
    """And one that comes back begins anew."""
    turned(world, a_collection())
    timed = 'toban_collect_duration_seconds_count{collector="activity"} 1.0'
    world.instruments.keep({"activity"})
    assert timed in page(world)
    world.instruments.keep(set())
    assert "toban_collect_duration_seconds_count" not in "".join(page(world))
    turned(world, a_collection())
    assert timed in page(world)


@pytest.mark.integration
def test_promtool_has_nothing_to_say_of_the_instruments(world: World) -> None:
    """Names, types and help, with every kind of line on the page."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on this machine: apt-get install prometheus")
    turned(world, a_collection(gaps=(a_gap(),)))
    turned(world, a_collection(target="host", failure=a_failure()))
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=plain(world.page(Format.PLAIN)),
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (checked.stdout, checked.stderr) == (b"", b"")
