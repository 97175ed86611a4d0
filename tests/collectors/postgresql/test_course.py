"""How far counters have come: known only between two readings of the same counting."""

from collectors.postgresql.course import Course, Reading, part


def a_reading(at: float, epoch: float | None = 1.0, **counters: int) -> Reading:
    """Counters by the number behind their letter."""
    return Reading(epoch=(epoch,), at=at, counters={int(name[1:]): (value,) for name, value in counters.items()})


def test_growth_is_what_came_on_top() -> None:
    """Of those in both readings; what fell was reset alone."""
    course = Course()
    assert course.enter("app", a_reading(10.0, t1=5, t2=5, t3=5)).by_oid == {}
    growth = course.enter("app", a_reading(70.0, t1=7, t2=3, t4=9))
    assert (growth.seconds, growth.by_oid) == (60.0, {1: (2,)})
    assert growth.of(1) == (2,)
    assert growth.of(2) is growth.of(4) is None


def test_growth_is_unknown_for_one_interval_after_a_reset() -> None:
    """A reset, a restart, another server: then it is known again."""
    course = Course()
    course.enter("app", a_reading(0.0, t1=5))
    assert course.enter("app", a_reading(1.0, 2.0, t1=9)).by_oid == {}
    assert course.enter("app", a_reading(2.0, 2.0, t1=10)).by_oid == {1: (1,)}


def test_growth_of_databases_that_went_is_forgotten() -> None:
    """A new one under an old name begins anew."""
    course = Course()
    course.enter("app", a_reading(0.0, t1=5))
    course.forget(["web"])
    assert course.enter("app", a_reading(1.0, t1=9)).by_oid == {}


def test_a_part_of_nothing_is_unknown() -> None:
    """Neither zero nor all."""
    assert part(0, 0) is None
    assert part(1, 4) == 0.25
