"""What the daemon knows besides the values: hosts, maintenance under way, the time left, and what happened."""

from pathlib import Path

import pytest

from collectors.postgresql.progress import RUNNING
from collectors.trends import TIME_TO_FULL
from daemon.duty.surroundings import DaemonSurroundings, hosts_of
from history.current import Current
from tests.alerting.builders import an_alert
from tests.builders import START, ManualClock, a_collection, a_sample
from tests.daemon.serving import configured
from toban.alerts import Key
from toban.events import Event, EventKind


@pytest.fixture
def current() -> Current:
    """Nothing measured yet."""
    return Current()


@pytest.fixture
def known(current: Current) -> DaemonSurroundings:
    """With all targets on this host."""
    return DaemonSurroundings(current, ManualClock())


def test_hosts_are_addresses_and_this_one_goes_by_its_targets_name(tmp_path: Path) -> None:
    """Over loopback and over a Unix socket it is this machine."""
    targets = (
        {"name": "far", "kind": "postgresql", "dsn": "postgresql://x@db1.example.org:5432/x"},
        {"name": "near", "kind": "postgresql", "dsn": "postgresql://x@127.0.0.1:5432/x"},
        {"name": "file", "kind": "sqlite", "path": "/srv/x.db"},
    )
    assert hosts_of(configured(tmp_path, *targets)) == {
        "toban": "host",
        "host": "host",
        "far": "db1.example.org",
        "near": "host",
        "file": "host",
    }


def test_progress_names_the_commands_under_way(current: Current, known: DaemonSurroundings) -> None:
    """As rules write them; one of which none runs is not under way."""
    running = a_sample(RUNNING, 2.0, labels=("vacuum full",))
    none = a_sample(RUNNING, 0.0, labels=("create index",))
    current.accept(a_collection(running, none, target="main", collector="progress"), 1e12)
    assert known.progress("main") == ("vacuum_full",)
    assert known.progress("other") == ()


@pytest.mark.parametrize(
    ("metric", "labels", "left"),
    [
        ("toban_host_disk_used_ratio", (("mount", "/srv"),), 1800.0),
        ("toban_host_disk_used_ratio", (("mount", "/home"),), None),
        ("toban_host_cpu_ratio", (), None),
    ],
)
def test_time_left_is_that_of_what_the_alert_is_about(
    current: Current, known: DaemonSurroundings, metric: str, labels: tuple[tuple[str, str], ...], left: float | None
) -> None:
    """Another mount's forecast is no reason to hurry."""
    samples = [
        a_sample(TIME_TO_FULL, 1800.0, labels=("disk", "/srv")),
        a_sample(TIME_TO_FULL, 9.0, labels=("disk", "/")),
    ]
    current.accept(a_collection(*samples, target="host", collector="trends"), 1e12)
    assert known.left_seconds(an_alert(key=Key("r", "host", labels), metric=metric)) == left


def test_time_left_of_a_forecast_is_its_own_value(known: DaemonSurroundings) -> None:
    """The rule judges nothing else."""
    assert known.left_seconds(an_alert(metric=TIME_TO_FULL.name, value=600.0)) == 600.0


def test_scene_remembers_what_happened_and_forgets_a_target_that_left(known: DaemonSurroundings) -> None:
    """Old news is not told."""
    event = Event(kind=EventKind.RESTARTED, at=START)
    known.scene.note(a_collection(target="main", rows=(event,)))
    assert list(known.scene.events("main", START - 1)) == [event]
    assert list(known.scene.events("main", START + 1)) == []
    known.scene.forget("main")
    assert list(known.scene.events("main", 0)) == []


def test_evidence_of_an_episode_is_at_hand_for_its_next_messages(
    known: DaemonSurroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded: in a storm the oldest goes."""
    monkeypatch.setattr("daemon.duty.surroundings.MOST_REMEMBERED", 1)
    first, second = an_alert(episode="first000"), an_alert(episode="second00")
    document = known.evidence(first)
    assert known.evidence_of("first000") == document
    known.evidence(second)
    assert known.evidence_of("first000") is None
    assert known.evidence_of("second00") is not None


def test_scene_of_a_target_elsewhere_has_no_host(known: DaemonSurroundings) -> None:
    """What this machine does says nothing of another."""
    assert list(known.scene.host("far")) == []
