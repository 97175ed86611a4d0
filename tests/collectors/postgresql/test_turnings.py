"""Claims about what has happened to a server between two sightings."""

from dataclasses import replace

import pytest

from collectors.postgresql.turnings import Sighting, happened, recalled
from toban.events import Event, EventKind


def a_sighting(
    *,
    release: str = "16.4",
    version_num: int = 160004,
    started_at: float = 1_795_000_000.25,
    standby: bool = False,
    timeline: int | None = None,
) -> Sighting:
    """A primary that runs."""
    return Sighting(release=release, version_num=version_num, started_at=started_at, standby=standby, timeline=timeline)


def test_nothing_happened_to_a_server_that_runs_on() -> None:
    """The same sighting twice is no event."""
    assert happened(a_sighting(), a_sighting(), 5.0) == ()


def test_restart_tells_both_starts() -> None:
    """When it was started before, and when now."""
    assert happened(a_sighting(), a_sighting(started_at=1_795_000_060.0), 5.0) == (
        Event(kind=EventKind.RESTARTED, before="2026-11-18T11:06:40+00:00", after="2026-11-18T11:07:40+00:00", at=5.0),
    )


@pytest.mark.parametrize(
    ("timelines", "seconds", "kind"),
    [
        ((1, 1), 60.0, EventKind.RESTARTED),
        ((1, 2), 60.0, EventKind.REPLACED),
        ((None, 2), 60.0, EventKind.RESTARTED),  # a standby that was promoted, too
        ((1, None), 60.0, EventKind.RESTARTED),
        ((1, 1), -60.0, EventKind.REPLACED),
    ],
)
def test_a_server_that_another_answers_for_was_not_restarted(
    timelines: tuple[int | None, int | None], seconds: float, kind: EventKind
) -> None:
    """After a failover behind one address another timeline goes on, or one that had been running for longer."""
    before, now = (a_sighting(timeline=timeline) for timeline in timelines)
    now = replace(now, started_at=before.started_at + seconds)
    assert [event.kind for event in happened(before, now, 5.0)] == [kind]


def test_upgrade_is_a_restart_as_well() -> None:
    """Two events, the versions in words."""
    restarted, upgraded = happened(
        a_sighting(), a_sighting(release="18.0", version_num=180000, started_at=1_795_000_060.0), 5.0
    )
    assert restarted.kind is EventKind.RESTARTED
    assert upgraded == Event(kind=EventKind.UPGRADED, before="16.4", after="18.0", at=5.0)


def test_change_of_sides_is_told() -> None:
    """A promotion and its opposite."""
    assert happened(a_sighting(standby=True), a_sighting(), 5.0) == (
        Event(kind=EventKind.PROMOTED, before="standby", after="primary", at=5.0),
    )
    assert happened(a_sighting(), a_sighting(standby=True), 5.0) == (
        Event(kind=EventKind.DEMOTED, before="primary", after="standby", at=5.0),
    )


def test_sighting_is_recalled_as_it_was() -> None:
    """To the last digit, so that a restart of the daemon is no restart of the server."""
    for seen in (a_sighting(started_at=1_795_000_000.123457, timeline=7), a_sighting(standby=True)):
        assert recalled(seen.body) == seen


@pytest.mark.parametrize("body", [None, "", "nonsense", "[]", "{}", '{"release": 1}', '"x"'])
def test_unreadable_memory_is_none(body: str | None) -> None:
    """Another version of Toban may have written it."""
    assert recalled(body) is None
