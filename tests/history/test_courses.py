"""What is followed in memory: bounded, the same as the file would tell, and honest where the clock was set back."""

from contextlib import AbstractContextManager

import pytest

from history import courses as courses_module
from history.courses import LONG, SHORT, Course, Courses, Remembered
from history.past import Point
from history.reading import SeriesHistory
from tests.builders import a_collection, a_metric, a_sample
from toban.samples import Type, Unit

HOUR = 3600.0
USED = a_metric("toban_host_disk_used_bytes", labels=("mount",), kept=True)
OTHER = a_metric("toban_host_load1", kept=True)


def nothing() -> AbstractContextManager[Remembered]:
    """A past that is never asked."""
    raise AssertionError("nobody asked for the file")


def some_courses() -> Courses:
    """Courses of one metric, with no past."""
    return Courses({USED.name}, nothing)


def offered(courses: Courses, at: float, value: float, mount: str = "/") -> None:
    """One reading arrives, another of what nobody follows beside it."""
    samples = (a_sample(USED, value, labels=(mount,), taken_at=at), a_sample(OTHER, 1.0, taken_at=at))
    courses.offer(a_collection(*samples, taken_at=at))


def remembered(points: list[Point], since: float = 0.0) -> SeriesHistory:
    """A series out of the file."""
    return SeriesHistory(
        name=USED.name,
        target="main",
        labels={"mount": "/"},
        type=Type.GAUGE,
        unit=Unit.BYTES,
        since=since,
        until=10 * HOUR,
        points=tuple(points),
        lowest=0.0,
        mean=0.0,
        highest=0.0,
        last=points[-1].mean if points else None,
    )


def the_course(courses: Courses) -> Course:
    """The only one there is."""
    (course,) = courses.of("main", USED.name).values()
    return course


def test_course_holds_a_mean_for_each_step_at_its_mean_moment() -> None:
    """Two readings of one five minutes are one point between them; the step under way counts."""
    courses = some_courses()
    for at, value in [(0, 10), (100, 20), (300, 30)]:
        offered(courses, at, value)
    course = the_course(courses)
    assert course.short() == [(50, 15), (300, 30)]
    assert course.long() == [(400 / 3, 20)]
    assert (course.last, course.seen_at) == (30, 300)


def test_course_is_bounded() -> None:
    """A year of readings is eight days of hours and six hours of five minutes."""
    course = Course()
    for hour in range(24 * 365):
        course.add(hour * HOUR, hour)
    assert (len(course.long()), len(course.short())) == (LONG.width + 1, SHORT.width + 1)


def test_course_begins_anew_where_the_clock_was_set_back() -> None:
    """A growth between two clocks would be nonsense."""
    course = Course()
    for at in (0, 1000, 2000, 500):
        course.add(at, at)
    assert course.short() == [(500, 500)]


def test_courses_follow_nothing_else() -> None:
    """A metric that nobody draws a trend of takes no memory; another target's is its own."""
    courses = some_courses()
    offered(courses, 0, 1)
    assert courses.of("main", OTHER.name) == {}
    assert courses.of("elsewhere", USED.name) == {}
    assert [key.name for key in courses.of(None, USED.name)] == ["/"]


def test_courses_take_the_file_before_what_arrived_since() -> None:
    """The overlap counts once, and the file does not overrule the present."""
    courses = some_courses()
    offered(courses, 1000, 7)
    short = remembered([Point(0, 1, 1, 1), Point(300, 2, 2, 2), Point(900, 3, 3, 3)])
    courses.fill([short], [remembered([])])
    course = the_course(courses)
    assert course.short() == [(150, 1), (450, 2), (1000, 7)]
    assert (course.last, course.seen_at) == (7, 1000)
    assert courses.filled


def test_courses_of_the_file_alone_have_their_last() -> None:
    """A daemon that has just started knows where it stood."""
    courses = some_courses()
    courses.fill([remembered([Point(300, 2, 2, 2), Point(600, 4, 4, 4)])], [])
    course = the_course(courses)
    assert (course.last, course.seen_at) == (4, 600)


def test_courses_are_bounded_and_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has long gone makes room; while nothing has, one more is left out."""
    monkeypatch.setattr(courses_module, "MOST_COURSES", 2)
    courses = some_courses()
    for mount in ("/a", "/b", "/c"):
        offered(courses, 0, 1, mount)
    assert [key.name for key in courses.of(None, USED.name)] == ["/a", "/b"]
    offered(courses, LONG.back_seconds + 1, 1, "/a")
    offered(courses, LONG.back_seconds + 1, 1, "/c")
    assert [key.name for key in courses.of(None, USED.name)] == ["/a", "/c"]


def test_courses_that_are_too_many_are_left_out_until_old_ones_have_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are looked over once an hour at most: too many series must not cost a look at all of them each."""
    monkeypatch.setattr(courses_module, "MOST_COURSES", 2)
    courses, late = some_courses(), LONG.back_seconds + 1.0

    def known(at: float) -> set[str]:
        offered(courses, at, 1.0, "/c")
        return {key.name for key in courses.of("main", USED.name)}

    offered(courses, 0.0, 1.0, "/a")
    offered(courses, 0.0, 1.0, "/b")
    assert known(late - 2.0) == {"/a", "/b"}
    assert known(late) == {"/a", "/b"}
    assert known(late + courses_module.SWEEP_SECONDS) == {"/c"}


def test_course_that_is_measured_seldom_is_fresh_for_longer() -> None:
    """Two hours and a half of a series that comes by the hour; a quarter of an hour of one that comes by the minute."""
    seldom, often = Course(), Course()
    for number in range(3):
        seldom.add(HOUR * (number + 1), 1.0)
        often.add(HOUR * 3 - 60.0 * (2 - number), 1.0)
    at = 3 * HOUR
    assert [seldom.fresh(at + late, 900.0) for late in (2.5 * HOUR, 2.6 * HOUR)] == [True, False]
    assert [often.fresh(at + late, 900.0) for late in (900.0, 901.0)] == [True, False]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_courses_take_numbers_alone(value: float) -> None:
    """One NaN would make every mean of its hour one."""
    courses = some_courses()
    offered(courses, 0.0, value)
    assert courses.of("main", USED.name) == {}
