"""`toban history` tells the past to people and to programs, with no daemon running."""

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import structlog
import typer
from typer.testing import CliRunner, Result

from daemon.answers.history import SPARKS, sparkline
from daemon.asked import moment_asked
from daemon.cli.app import app
from history.past import Point
from tests.builders import ManualClock, a_collection
from tests.recorded import commits, load, recording
from toban.clock import SystemClock
from toban.errors import NotFoundError, TobanError, UnavailableError, UsageError

NOON = 1_795_000_000.0


async def fill(state: Path, databases: int) -> None:
    """Ten minutes of a counter in each database and of a gauge, until just now."""
    clock = ManualClock(now=SystemClock().now() - 600)
    async with recording(state, clock) as history:
        for n in range(40):
            samples = [commits(clock, 15.0 * n * (d + 1), f"db{d:02}").samples[0] for d in range(databases)]
            history.offer(a_collection(*samples, collector="database", taken_at=clock.now()))
            history.offer(load(clock, float(n)))
            clock.advance(14.9)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose state file has some past."""
    path = tmp_path / "config.yaml"
    path.write_text(f"state: sqlite://{tmp_path}/state.db\ntimezone: Asia/Tokyo\nlanguage: en\n")
    asyncio.run(fill(tmp_path / "state.db", 25))
    return path


def toban(config: Path, *words: str) -> Result:
    """The command, in this process."""
    return CliRunner().invoke(app, ["-c", str(config), "history", *words], env={"COLUMNS": "200"})


def refused(config: Path, *words: str) -> TobanError:
    """The error that ends the command."""
    result = toban(config, *words)
    assert isinstance(result.exception, TobanError)
    return result.exception


def test_history_command_tells_programs_the_answer_alone(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be said of a spoilt stretch goes to standard error."""
    with closing(sqlite3.connect(config.parent / "state.db")) as connection:
        hour = int(SystemClock().now()) // 3600 * 3600
        place = "SELECT 0, ?, id, x'00' FROM series WHERE metric = 'toban_host_load1'"
        connection.execute(f"INSERT INTO chunk (resolution, start, series_id, body) {place}", (hour,))
        connection.commit()
    monkeypatch.setattr(structlog, "is_configured", lambda: False)  # whatever tests came before in this process
    done = toban(config, "toban_host_load1", "--since", "11m", "--json")
    assert [series["name"] for series in json.loads(done.stdout)] == ["toban_host_load1"]
    assert "history_chunk_spoilt" in done.stderr


def test_history_command_draws_each_series(config: Path) -> None:
    """A sparkline that rises, and lowest, mean, highest and last with their units."""
    result = toban(config, "toban_host_load1", "--since", "11m")
    assert result.exit_code == 0
    (row,) = [line for line in result.stdout.splitlines() if "toban_host_load1{" in line]
    assert "target=main" in row
    assert SPARKS[0] in row
    assert SPARKS[-1] in row
    assert row.split()[-4:] == ["0", "19.5", "39", "39"]


def test_history_command_tells_a_counter_by_the_second(config: Path) -> None:
    """The rate, marked as such."""
    result = toban(config, "pg_stat_database_xact_commit", "--since", "11m")
    assert "1.01/s" in result.stdout


def test_history_command_bounds_what_it_shows_and_says_so(config: Path) -> None:
    """Twenty of twenty-five series, and five more named; all of them when asked."""
    result = toban(config, "pg_*")
    assert result.stdout.count("datname=") == 20
    assert "5 more" in result.stderr
    whole = toban(config, "pg_*", "--all")
    assert (whole.stdout.count("datname="), whole.stderr) == (25, "")


def test_history_command_gives_json(config: Path) -> None:
    """Every field of the promise, times in ISO 8601 with the configured zone."""
    (series,) = json.loads(toban(config, "toban_host_load1", "--since", "11m", "--json").stdout)
    what, figures = {"name", "target", "labels", "unit", "type", "since", "until"}, {"min", "mean", "max", "last"}
    assert set(series) == what | figures | {"points"}
    assert set(series["points"][0]) == {"at", "min", "mean", "max"}
    assert series["points"][0]["at"].endswith("+09:00")
    assert (series["name"], series["type"], series["min"], series["max"]) == ("toban_host_load1", "gauge", 0.0, 39.0)


def test_history_command_of_a_span_without_values_is_not_fine(config: Path) -> None:
    """Exit status 1, and the series with no figures."""
    result = toban(config, "toban_host_load1", "--since", "1ms")
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("toban_host_lod1",), NotFoundError),
        (("*", "--target", "elsewhere"), NotFoundError),
        (("*", "--since", "yesterday"), UsageError),
        (("*", "--since", "2999-01-01"), UsageError),
    ],
)
def test_history_command_refuses_in_one_line(config: Path, words: tuple[str, ...], kind: type[TobanError]) -> None:
    """What cannot be answered says why."""
    assert isinstance(refused(config, *words), kind)


def test_history_command_without_a_state_file_is_unavailable(config: Path) -> None:
    """Exit status 3."""
    (config.parent / "state.db").unlink()
    assert isinstance(refused(config, "*"), UnavailableError)


def test_since_is_a_duration_or_a_time() -> None:
    """Back from now; or a moment with its own offset, or in the configured zone."""
    tokyo = ZoneInfo("Asia/Tokyo")
    assert moment_asked("1h", NOON, UTC) == NOON - 3600
    assert moment_asked("2026-01-01T09:00", NOON, tokyo) == moment_asked("2026-01-01T00:00+00:00", NOON, tokyo)


def test_sparkline_leaves_blanks_where_nothing_is_known() -> None:
    """Lowest and highest are the ends of the scale."""
    points = (Point(0.0, 1, 1.0, 1), Point(3.0, 9, 9.0, 9))
    assert sparkline(points, 0.0, 4.0, 4) == f"{SPARKS[0]}  {SPARKS[-1]}"
    assert sparkline((), 0.0, 4.0, 4) == ""


def test_sparkline_of_a_steady_value_is_flat() -> None:
    """No noise is made up."""
    assert sparkline((Point(0.0, 1, 1.0, 1), Point(1.0, 1, 1.0, 1)), 0.0, 2.0, 2) == SPARKS[0] * 2


def test_history_command_is_known_to_typer() -> None:
    """The app is made of commands; this one among them."""
    assert isinstance(app, typer.Typer)
    assert "history" in {command.callback.__name__ for command in app.registered_commands if command.callback}
