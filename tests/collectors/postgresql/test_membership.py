"""Which statements get series of their own."""

from hypothesis import given
from hypothesis import strategies as st

from collectors.postgresql.differencing import Statement, Use
from collectors.postgresql.membership import IDLE_SECONDS, Standing, leaders, revised


def a_statement(number: int) -> Statement:
    """The statement of this number."""
    return Statement(1, 1, number)


def test_leaders_are_first_by_time_by_calls_and_by_mean() -> None:
    """Each ranking sends its first before any sends its second."""
    busy, slow, frequent = a_statement(1), a_statement(2), a_statement(3)
    found = {busy: Use(100, 50.0), slow: Use(1, 10.0), frequent: Use(9000, 1.0), a_statement(4): Use(1, 0.1)}
    assert leaders(found, 3) == [busy, frequent, slow]
    assert leaders(found, 2) == [busy, frequent]


def test_a_member_stays_while_it_is_used() -> None:
    """Once a member, always a member while used: labels do not churn though others lead."""
    old, new = a_statement(1), a_statement(2)
    members = revised({}, {old: Use(1, 1.0)}, top=1, at=0)
    members = revised(members, {old: Use(1, 1.0), new: Use(9, 9.0)}, top=1, at=60)
    assert members.keys() == {old, new}


def test_a_member_leaves_when_long_idle() -> None:
    """After an hour without a call it makes room."""
    members = revised({}, {a_statement(1): Use(1, 1.0)}, top=1, at=0)
    assert revised(members, {}, top=1, at=IDLE_SECONDS - 1).keys() == {a_statement(1)}
    assert revised(members, {}, top=1, at=IDLE_SECONDS) == {}


def test_a_full_house_lets_in_who_outweighs() -> None:
    """When twice `top` are used, a newcomer needs twice the weight of the lightest."""
    house = {a_statement(n): Standing(used_at=0, weight=10.0) for n in (1, 2)}
    used = {a_statement(1): Use(1, 1.0), a_statement(2): Use(1, 5.0)}
    assert revised(house, {**used, a_statement(3): Use(1, 15.0)}, top=1, at=60).keys() == house.keys()
    assert revised(house, {**used, a_statement(3): Use(1, 25.0)}, top=1, at=60).keys() == {
        a_statement(2),
        a_statement(3),
    }


def test_a_full_house_lets_in_for_who_is_idle() -> None:
    """A member that was not used this time gives way to any leader."""
    house = {a_statement(n): Standing(used_at=0, weight=10.0) for n in (1, 2)}
    found = revised(house, {a_statement(1): Use(1, 1.0), a_statement(3): Use(9, 2.0)}, top=1, at=60)
    assert found.keys() == {a_statement(1), a_statement(3)}


@given(st.lists(st.dictionaries(st.integers(1, 30), st.integers(1, 100), max_size=20), max_size=20), st.integers(1, 5))
def test_members_are_at_most_twice_top(turns: list[dict[int, int]], top: int) -> None:
    """Whatever is used, the budget holds."""
    members: dict[Statement, Standing] = {}
    for turn, used in enumerate(turns):
        found = {a_statement(number): Use(calls, calls / 7) for number, calls in used.items()}
        members = revised(members, found, top=top, at=turn * 60.0)
        assert len(members) <= 2 * top
