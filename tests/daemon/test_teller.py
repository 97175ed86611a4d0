"""The log tells of changes, once."""

import pytest

from collectors.contract import Kind
from daemon.configuration import Problem, Problems
from daemon.pacing import Due
from daemon.teller import Teller
from daemon.turns import Turned
from daemon.watch import Watch
from tests.builders import a_collection, a_failure, a_gap
from tests.daemon.fakes import FakeCollector, FakeSource
from tests.daemon.serving import Told
from toban.clock import SystemClock
from toban.errors import UnavailableError
from toban.outcomes import Failure, Gap, Reason


class Story:
    """A target, and what is told of it turn by turn."""

    def __init__(self) -> None:
        self.told = Told()
        self.teller = Teller(self.told.log)
        self.watch = self.a_watch()

    def a_watch(self) -> Watch:
        """The target, with one collector."""
        collector = FakeCollector(FakeSource(), lambda: None, name="activity")
        return Watch("main", Kind.POSTGRESQL, FakeSource(), [collector], budget_seconds=0, clock=SystemClock())

    def turn(self, failure: Failure | None = None, *gaps: Gap) -> list[str]:
        """One turn; what was said of it."""
        collection = a_collection(failure=failure, gaps=gaps)
        before = len(self.told.entries)
        self.watch.note(collection)
        self.teller.turned(self.watch, Turned(collection=collection, fresh_until=0.0, due=Due(at=0.0, reason="")))
        return [entry["event"] for entry in self.told.entries[before:]]


@pytest.fixture
def story() -> Story:
    """Nothing was told yet."""
    return Story()


def test_a_target_is_told_of_when_it_comes_goes_and_comes_back(story: Story) -> None:
    """Once each, however many turns there are."""
    down = a_failure(Reason.UNREACHABLE, hint="is it running?")
    turns = [None, None, down, down, None, None]
    assert [story.turn(failure) for failure in turns] == [
        ["target up"],
        [],
        ["target down"],
        [],
        ["target up again"],
        [],
    ]
    (said,) = story.told.of("target down")
    assert (said["target"], said["reason"], said["hint"]) == ("main", "unreachable", "is it running?")


def test_a_pair_that_brings_nothing_is_told_once_by_its_reason_and_again_when_that_changes(story: Story) -> None:
    """A privilege that is missing is not repeated every fifteen seconds."""
    denied, slow = a_failure(Reason.PRIVILEGE, hint=""), a_failure(Reason.TIMEOUT)
    told = [story.turn(failure) for failure in (denied, denied, slow, None, None)]
    assert told == [["target up", "nothing collected"], [], ["nothing collected"], ["collected again"], []]
    assert "hint" not in story.told.of("nothing collected")[0]


def test_what_is_left_out_is_told_when_it_changes(story: Story) -> None:
    """With what and why; and that nothing is missing any more."""
    gap = a_gap("relations", Reason.LOCKED)
    told = [story.turn(None, *gaps) for gaps in ((gap,), (gap,), ())]
    assert told == [["target up", "left out"], [], ["left out"]]
    assert [entry["missing"] for entry in story.told.of("left out")] == ["relations (locked)", "nothing any more"]


def test_a_target_that_left_is_new_when_it_comes_again(story: Story) -> None:
    """Nothing of its former life is remembered."""
    story.turn(a_failure(Reason.PRIVILEGE), a_gap())
    story.turn(None, a_gap())
    story.teller.forget("main")
    story.watch = story.a_watch()
    assert story.turn(None, a_gap()) == ["target up", "left out"]


def test_a_refused_configuration_is_told_problem_by_problem(story: Story) -> None:
    """Each on a line of its own; an error with one line has one."""
    story.teller.refused(Problems([Problem(file="a", line=1, why="x"), Problem(file="a", line=2, why="y")]))
    story.teller.refused(UnavailableError("http.listen", "in use"))
    refused = story.told.of("configuration refused, the old one stays in force")
    assert [entry["problem"] for entry in refused] == ["a:1: x", "a:2: y", "toban: http.listen: in use"]
