"""Nothing grows without a bound, whatever somebody writes into a log."""

import pytest

from collectors.checkpoints import Checkpoints
from collectors.logs.attempts import ADDRESSES_MAX, Attempts, caller_of
from collectors.logs.matching import SEEN_BYTES, LineMatches, bounded
from collectors.logs.tally import BUCKET_ADDRESSES_MAX, LEVELS_MAX, STATES_MAX, Tally
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
    for number in range(BUCKET_ADDRESSES_MAX + 5):
        tally.failed_login(f"address-{number}")
    for number in range(STATES_MAX + 5):
        tally.state(str(number))
    assert len(tally.sqlstates) == STATES_MAX + 1
    assert tally.sqlstates["other"] == 5
    assert len(tally.levels) == LEVELS_MAX + 1
    assert tally.levels["other"] == 5
    day = tally.day()
    assert day.failures["other"] == 5
    assert day.failures.total() == BUCKET_ADDRESSES_MAX + 5
    assert tally.forget(START + 90_000) == [int(START // 300) * 300]
    assert tally.day().failures.total() == 0


def test_flood_of_addresses_hides_no_attacker() -> None:
    """Who comes after all the others are counted is found out and named like any other."""
    tally = Tally(Attempts(10, 300), 20)
    tally.at(None, START)
    for number in range(BUCKET_ADDRESSES_MAX):
        tally.failed_login(f"address-{number}")
    for _ in range(12):
        tally.failed_login("192.0.2.1")
    assert tally.attempts.over(START) == {"192.0.2.1"}
    assert tally.day().failures["192.0.2.1"] == 2  # those since it was over
    assert tally.day().failures.total() == BUCKET_ADDRESSES_MAX + 12


def test_what_a_wrong_clock_counted_ahead_is_dropped() -> None:
    """The clock was set a year ahead, and back: neither a count nor an attack stays until then."""
    tally = Tally(Attempts(1, 300), 20)
    ahead = START + 365 * 86_400
    tally.at(None, ahead)
    tally.lines("error")
    for _ in range(2):
        tally.failed_login("192.0.2.1")
    assert tally.attempts.over(ahead) == {"192.0.2.1"}
    assert tally.forget(START) == [int(ahead // 300) * 300]
    assert tally.day().levels.total() == 0
    assert tally.attempts.over(START) == set()


@pytest.mark.parametrize(
    ("written", "caller"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:53211", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:aaaa::7", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::1", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]:443", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::1"),
        ("[local]", "[local]"),
        ("db1.example.org", "db1.example.org"),
        ("", ""),
    ],
)
def test_address_stands_for_whoever_may_change_it(written: str, caller: str) -> None:
    """A port says nothing, and of IPv6 one customer has a whole /64 to try passwords from."""
    assert caller_of(written) == caller


def test_long_line_is_cut_before_an_expression_sees_it() -> None:
    """Wherever in the block it stands; a block of usual lines is not copied."""
    usual = b"a line\n" * 5000
    assert bounded(usual) is usual
    for before in (0, 1, 3000):
        block = usual[: 7 * before] + b"x" * (SEEN_BYTES + 1) + b"\n" + usual
        cut = bounded(block)
        assert max(map(len, cut.split(b"\n"))) == SEEN_BYTES
        assert cut.count(b"\n") == block.count(b"\n")
        assert [len(line) for _, line in LineMatches("xx").each(block)] == [SEEN_BYTES]


def test_memory_without_a_file_lasts_as_long_as_the_process() -> None:
    """Pieces are written, replaced and removed together."""
    memory = Checkpoints()
    memory.save("logs:app", {"a": "1", "b": "2"})
    memory.save("logs:app", {"a": "3", "b": None})
    assert memory.load("logs:app") == {"a": "3"}
    assert memory.load("logs:other") == {}
    assert memory.set_aside() is None
    memory.forget("logs:app")
    assert memory.load("logs:app") == {}
