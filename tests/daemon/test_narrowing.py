"""What the running daemon could not judge, in words."""

from typing import Any

from daemon.answers.narrowing import _unanswered_there
from toban.language import Language


def a_target(**pair: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever the field takes
    """A target as `/api/v1/status` tells of it, with one collector."""
    told = {"name": "bloat", "reason": "", "detail": "", "hint": "", "gaps": [], "last_success_at": "now", **pair}
    return {"name": "main", "collectors": [told, {**told, "name": "other", "reason": "locked"}]}


def lines(**pair: Any) -> list[str]:  # noqa: ANN401 - whatever the field takes
    """What is said of it."""
    return list(_unanswered_there([a_target(**pair)], "bloat", Language.EN))


def test_what_the_daemon_measured_needs_no_words() -> None:
    """Other collectors have their own."""
    assert lines() == []


def test_what_the_daemon_could_not_measure_is_told_with_its_mend() -> None:
    """The reason of the whole, that it is still to come, or what was left out."""
    assert lines(reason="privilege", detail="no", hint="GRANT") == [
        "main: no advice on bloat: privilege missing: no; hint: GRANT"
    ]
    assert lines(last_success_at=None) == ["main: no advice on bloat: not tried yet"]
    assert lines(gaps=["bloat in app: locked (2)"]) == ["main: bloat in app: locked (2)"]
