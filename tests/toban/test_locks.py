"""Claims about the trees of who blocks whom: chains, fans, several blockers, rings; each session once."""

from toban.locks import LockSession, lock_forest


def a_session(key: str, *blocked_by: str, waits: float = 1.0) -> LockSession:
    """A session, which waits when somebody blocks it."""
    return LockSession(
        key=key,
        pid=int(key),
        prepared="",
        blocked_by=blocked_by,
        database="shop",
        user="app",
        application="",
        state="active",
        wait_event="",
        wait_seconds=waits if blocked_by else None,
        transaction_seconds=waits,
        lock_type="relation" if blocked_by else "",
        lock_mode="",
        relation="",
        query="",
    )


def drawn(*sessions: LockSession) -> list[tuple[str, int, str, int]]:
    """Each node's key, depth, parent and number of victims, in the order of drawing."""
    return [(n.session.key, n.depth, n.parent, n.victims) for n in lock_forest(sessions)]


def test_forest_of_nobody_is_empty() -> None:
    """No sessions, no trees."""
    assert lock_forest(()) == ()


def test_chain_hangs_one_below_the_other() -> None:
    """Each below the one it waits for, whatever the order they come in; the root holds up all."""
    chain = [a_session("3", "2"), a_session("1"), a_session("2", "1")]
    assert drawn(*chain) == [("1", 0, "", 2), ("2", 1, "1", 1), ("3", 2, "2", 0)]
    assert [(n.root, n.roots, n.cycle) for n in lock_forest(chain)] == [
        (True, ("1",), False),
        (False, ("1",), False),
        (False, ("1",), False),
    ]


def test_fan_has_its_longest_waiter_first() -> None:
    """Siblings of equal weight stand in the order of their waiting."""
    fan = [a_session("1"), a_session("2", "1", waits=1), a_session("3", "1", waits=9), a_session("4", "1", waits=5)]
    assert drawn(*fan) == [("1", 0, "", 3), ("3", 1, "1", 0), ("4", 1, "1", 0), ("2", 1, "1", 0)]


def test_worst_root_comes_first() -> None:
    """The one whose end frees the most."""
    two = [a_session("1"), a_session("2", "1"), a_session("5"), a_session("6", "5"), a_session("7", "5")]
    assert [key for key, *_ in drawn(*two)] == ["5", "7", "6", "1", "2"]


def test_queue_hangs_behind_the_last_one_that_is_waited_for() -> None:
    """Who waits for the holder and for those before it in the queue stands once, behind the last of them."""
    queue = [a_session("1"), a_session("2", "1"), a_session("3", "1", "2")]
    assert drawn(*queue) == [("1", 0, "", 2), ("2", 1, "1", 1), ("3", 2, "2", 0)]


def test_two_roots_of_one_victim_are_both_named() -> None:
    """It hangs below one of them, and both count it."""
    both = [a_session("1"), a_session("2"), a_session("3", "1", "2")]
    assert sorted(drawn(*both)) == [("1", 0, "", 1), ("2", 0, "", 1), ("3", 1, "2", 0)]
    (victim,) = [n for n in lock_forest(both) if not n.root]
    assert victim.roots == ("1", "2")


def test_ring_begins_at_its_longest_waiter_and_is_marked() -> None:
    """A deadlock that the server has not broken yet is drawn all the same, with what hangs behind it."""
    ring = [a_session("1", "3", waits=1), a_session("2", "1", waits=3), a_session("3", "2", waits=2)]
    behind = a_session("9", "1")
    nodes = lock_forest([*ring, behind])
    assert [(n.session.key, n.depth, n.cycle) for n in nodes] == [
        ("2", 0, True),
        ("3", 1, True),
        ("1", 2, True),
        ("9", 3, False),
    ]
    assert [n.victims for n in nodes] == [3, 3, 3, 0]
    assert {n.roots for n in nodes} == {("2",)}


def test_two_rings_are_two_trees() -> None:
    """Each has its root."""
    rings = [a_session("1", "2", waits=2), a_session("2", "1"), a_session("3", "4", waits=2), a_session("4", "3")]
    assert [n.session.key for n in lock_forest(rings) if n.root] == ["3", "1"]


def test_unknown_blocker_and_oneself_are_nobody() -> None:
    """Who is not there, or is the waiter's own group, cannot be drawn: the waiter begins its tree."""
    assert drawn(a_session("1", "1", "99")) == [("1", 0, "", 0)]


def test_queue_of_hundreds_is_drawn_without_recursion() -> None:
    """A thousand behind each other, each waiting for all before it."""
    keys = [str(n) for n in range(1, 1001)]
    queue = [a_session(key, *keys[: int(key) - 1][-200:]) for key in keys]
    nodes = lock_forest(queue)
    assert [n.session.key for n in nodes] == keys
    assert (nodes[0].victims, nodes[-1].depth) == (999, 999)
