"""Claims about the host as a source."""

import pytest

from collectors.blocking import StuckError
from collectors.host.machine import HostMachine
from toban.outcomes import Reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError(2, "no such file", "/proc/stat"), Reason.UNSUPPORTED),
        (PermissionError(13, "denied", "/proc/stat"), Reason.PRIVILEGE),
        (TimeoutError(), Reason.TIMEOUT),
        (StuckError("processes"), Reason.STUCK),
        (OSError(95, "Operation not supported"), Reason.UNSUPPORTED),
        (ValueError("invalid literal"), Reason.INTERNAL),
    ],
)
def test_host_failures_have_a_reason(error: BaseException, reason: Reason) -> None:
    """Each is a word for programs, and none calls the host down: Toban itself runs there."""
    failure = HostMachine().explain(error)
    assert failure.reason is reason
    assert failure.detail
    assert not failure.down


async def test_host_has_nothing_to_cut_or_close() -> None:
    """Abandoned and closed it can still be read: nothing of it is ever held open."""
    machine = HostMachine()
    machine.abandon()
    await machine.close()
    assert machine.read("stat").startswith("cpu")
