"""Nothing grows without a bound, whatever somebody writes into a log."""

from collectors.checkpoints import Checkpoints
from collectors.logs.attempts import ADDRESSES_MAX, Attempts
from collectors.logs.tally import LEVELS_MAX, Tally
from tests.builders import START


def test_addresses_are_bounded_and_attackers_stay() -> None:
    """The ones that have been silent longest leave first, those over the threshold last."""
    attempts = Attempts(2, 60)
    for _ in range(3):
        attempts.fail("192.0.2.1", START)
    for number in range(ADDRESSES_MAX + 10):
        attempts.fail(f"caller-{number}", START + 1)
    assert len(attempts.callers) == ADDRESSES_MAX
    assert attempts.over(START + 2) == {"192.0.2.1"}
    assert f"caller-{ADDRESSES_MAX + 9}" in attempts.callers
    assert "caller-0" not in attempts.callers
    attempts.forget(START + 86_400.5)
    assert "192.0.2.1" not in attempts.callers


def test_levels_and_addresses_beyond_the_bound_are_other() -> None:
    """Invented levels, and a flood from everywhere: the sums stay right."""
    tally = Tally(Attempts(10, 300), 20)
    tally.at(None, START)
    for number in range(LEVELS_MAX + 5):
        tally.lines(f"level{number}")
    for number in range(ADDRESSES_MAX + 5):
        tally.failed_login(f"address-{number}")
    assert len(tally.levels) == LEVELS_MAX + 1
    assert tally.levels["other"] == 5
    day = tally.day()
    assert day.failures["other"] == 5
    assert day.failures.total() == ADDRESSES_MAX + 5
    assert tally.forget(START + 90_000) == [int(START // 300) * 300]
    assert tally.day().failures.total() == 0


def test_memory_without_a_file_lasts_as_long_as_the_process() -> None:
    """Pieces are written, replaced and removed together."""
    memory = Checkpoints()
    memory.save("logs:app", {"a": "1", "b": "2"})
    memory.save("logs:app", {"a": "3", "b": None})
    assert memory.load("logs:app") == {"a": "3"}
    assert memory.load("logs:other") == {}
    assert memory.set_aside() is None
