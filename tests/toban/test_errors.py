"""What an operator reads when something ends."""

import pytest

from toban.errors import ConfigurationError, NotFoundError, TobanError, UnavailableError, UsageError


@pytest.mark.parametrize(
    ("kind", "status"),
    [(NotFoundError, 1), (UsageError, 2), (ConfigurationError, 2), (UnavailableError, 3)],
)
def test_error_has_the_exit_status_of_its_kind(kind: type[TobanError], status: int) -> None:
    """As the contract has them."""
    assert kind("what", "why").exit_status == status


def test_error_is_one_line_with_its_mend() -> None:
    """Whatever a server's message has in it."""
    assert UnavailableError("main", "FATAL:\n  no room\n", "wait").line == "toban: main: FATAL: no room (wait)"
    assert NotFoundError("target x", "no target has this name").line == "toban: target x: no target has this name"


def test_error_as_text_says_what_and_why() -> None:
    """For a traceback."""
    assert str(UsageError("--since", "no time", "write 7d")) == "--since: no time"
