"""The forecast of a restore: by the size of today and the restores before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.forecast import Pace, forecast, paces_of, restoring_seconds
from tests.backup.proof.scenes import a_record
from toban.backups import BackupRecord, DrillRecord, Marks, Method, RestoreProof, Verdict

GIGABYTE = 1024**3
PACES = st.lists(
    st.builds(
        Pace,
        at=st.floats(0, 1e9),
        size_bytes=st.integers(1, 10**14),
        seconds=st.floats(0.01, 1e6),
    ),
    min_size=1,
    max_size=30,
)


def paces(*measured: tuple[float, float]) -> list[Pace]:
    """Gigabytes and seconds, one after the other."""
    return [
        Pace(at=float(number), size_bytes=int(size * GIGABYTE), seconds=seconds)
        for number, (size, seconds) in enumerate(measured)
    ]


def a_drill(backup: str, **more: object) -> DrillRecord:
    """A drill of this backup that took a minute for a gigabyte."""
    given_ = {"rto_seconds": 60.0, "restored_bytes": GIGABYTE, **more}
    return DrillRecord(
        id="d",
        name="quarterly",
        target="main",
        backup=backup,
        at=5.0,
        wanted="latest",
        ok=True,
        **given_,  # type: ignore[arg-type]
    )


def test_forecast_says_that_nobody_knows_before_the_first_restore() -> None:
    """No restore before, or no size: no number."""
    assert forecast([], GIGABYTE).seconds is None
    assert forecast([], GIGABYTE).reason == "nothing like it has been restored yet"
    assert forecast(paces((1, 10)), None).reason == "nobody knows how much it is today"
    assert forecast([Pace(at=0, size_bytes=0, seconds=0)], GIGABYTE).seconds is None


def test_forecast_grows_with_the_size_by_one_restore() -> None:
    """Ten seconds for one gigabyte are thirty for three."""
    found = forecast(paces((1, 10)), 3 * GIGABYTE)
    assert found.seconds == pytest.approx(30)
    assert found.reason == "3 GB at 102 MB/s, by the last restore"


def test_forecast_takes_what_does_not_grow_apart() -> None:
    """Five seconds always, and ten for each gigabyte."""
    found = forecast(paces((1, 15), (2, 25), (10, 105)), 20 * GIGABYTE)
    assert found.seconds == pytest.approx(205)
    assert found.reason == "20 GB at 102 MB/s and 5 s beside, by the last 3 restores"


def test_forecast_bears_with_one_restore_that_was_disturbed() -> None:
    """One that took a hundred times as long does not move it."""
    found = forecast(paces((1, 10), (1, 10), (1, 1000), (1, 10)), 2 * GIGABYTE)
    assert found.seconds == pytest.approx(20)


def test_forecast_follows_the_newest_restores() -> None:
    """Twenty on a new machine push out those on the old one."""
    assert forecast(paces(*[(1, 100)] * 30, *[(1, 10)] * 20), GIGABYTE).seconds == pytest.approx(10)


def test_forecast_never_falls_with_the_size() -> None:
    """A larger one that was quicker tells of the machine, not of the size."""
    found = forecast(paces((1, 100), (10, 50)), 20 * GIGABYTE)
    assert found.seconds == pytest.approx(20 * (100 + 5) / 2)


@given(PACES, st.integers(1, 10**14), st.integers(0, 10**14))
def test_forecast_is_never_negative_and_never_less_for_more(measured: list[Pace], size: int, more: int) -> None:
    """Whatever was measured."""
    less, larger = forecast(measured, size), forecast(measured, size + more)
    assert less.seconds is not None
    assert larger.seconds is not None
    assert 0 <= less.seconds <= larger.seconds * (1 + 1e-9) + 1e-9


def test_paces_are_those_of_drills_and_proofs_of_the_same_kind() -> None:
    """Another target's, another method's, an unfinished drill and an undecided proof are left out."""
    proof = RestoreProof(
        backup="", proved_at=9.0, verdict=Verdict.PROVEN, reason="", rto_seconds=20.0, phases={"restore": 15.0}
    )
    ours = a_record(Method.BASE, source_bytes=2 * GIGABYTE)
    marked = BackupRecord(manifest=ours.manifest, status=ours.status, marks=Marks(proof=proof))
    drills = [
        a_drill(ours.id),
        a_drill("of another"),
        a_drill(ours.id, rto_seconds=None),
    ]
    found = paces_of(drills, [marked], target="main", method=Method.BASE)
    assert found == (
        Pace(at=5.0, size_bytes=GIGABYTE, seconds=60.0),
        Pace(at=9.0, size_bytes=2 * GIGABYTE, seconds=20.0),
    )
    assert paces_of(drills, [marked], target="other", method=Method.BASE) == ()
    assert paces_of(drills, [ours], target="main", method=Method.BASE) == found[:1]


def test_restoring_is_told_by_its_phases_where_it_was_not_measured_as_one() -> None:
    """What came after the server answered does not count."""
    proof = RestoreProof(
        backup="",
        proved_at=9.0,
        verdict=Verdict.PROVEN,
        reason="",
        phases={"start": 1.0, "restore": 15.0, "recovery": 2.0, "amcheck": 100.0},
    )
    assert restoring_seconds(proof) == 18.0
