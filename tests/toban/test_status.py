"""The verdict on the whole, and its reasons."""

from dataclasses import replace

import pytest

from toban.status import Component, Health, PairStanding, TargetStanding, judge, judge_target

NOW = 1_795_000_000.0


def a_target(*, up: bool | None = True, reason: str = "", pairs: tuple[PairStanding, ...] = ()) -> TargetStanding:
    """A target that answers."""
    return TargetStanding(name="main", kind="postgresql", up=up, reason=reason, pairs=pairs)


def a_pair(reason: str = "", detail: str = "", gaps: tuple[str, ...] = ()) -> PairStanding:
    """A collector whose last turn was good."""
    return PairStanding(collector="activity", last_success_at=NOW, reason=reason, detail=detail, gaps=gaps)


@pytest.mark.parametrize(
    ("target", "state", "reason"),
    [
        (a_target(up=None), Health.UNKNOWN, "not tried yet"),
        (a_target(up=False, reason="unreachable: refused"), Health.CRITICAL, "unreachable: refused"),
        (a_target(pairs=(a_pair("privilege", "denied"),)), Health.WARNING, "activity: denied"),
        (
            a_target(pairs=(a_pair("privilege"), a_pair("timeout"))),
            Health.WARNING,
            "activity: privilege; activity: timeout",
        ),
        (a_target(pairs=(a_pair(gaps=("relations: locked (1)",)),)), Health.OK, ""),
        (a_target(pairs=(a_pair("version", "needs 14"),)), Health.WARNING, "needs 14"),
        (replace(a_target(pairs=(a_pair("version", "needs 16"),)), last_success_at=NOW), Health.OK, ""),
        (a_target(), Health.OK, ""),
    ],
)
def test_target_is_judged_with_its_reason(target: TargetStanding, state: Health, reason: str) -> None:
    """Down is critical, something missing a warning; what was only left out this time is fine."""
    verdict = judge_target(target)
    assert (verdict.name, verdict.state, verdict.reason) == ("main", state, reason)


def test_whole_is_as_bad_as_its_worst_part() -> None:
    """In this order: ok, unknown, warning, critical."""
    fine, missing, down = a_target(), a_target(pairs=(a_pair("privilege"),)), a_target(up=False)
    loop, history = Component(name="loop", state=Health.OK), Component(name="history", state=Health.WARNING)
    for targets, own, worst in (
        ((fine,), (loop,), Health.OK),
        ((fine, a_target(up=None)), (loop,), Health.UNKNOWN),
        ((fine, a_target(up=None)), (history,), Health.WARNING),
        ((missing, fine), (loop,), Health.WARNING),
        ((missing, down), (history,), Health.CRITICAL),
    ):
        assert judge(targets, own, NOW).health is worst


def test_whole_of_nothing_is_unknown() -> None:
    """There is nothing to judge by."""
    assert judge((), (), NOW).health is Health.UNKNOWN


def test_whole_lists_its_own_parts_before_the_targets() -> None:
    """One list for whoever asks what is wrong."""
    status = judge([a_target()], [Component(name="loop", state=Health.OK)], NOW)
    assert [component.name for component in status.components] == ["loop", "main"]
    assert (len(status.targets), status.taken_at) == (1, NOW)
