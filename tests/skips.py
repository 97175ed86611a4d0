"""What a skipped test costs: nothing at a developer's desk, the run in continuous integration.

A machine that lacks a server may skip the tests that need it, and coverage is then not judged. Where `CI` is set
everything is expected to be here, and a skip fails the run unless its reason says that this machine cannot do it.
"""

import os
import re
import shutil
from collections.abc import Generator

import pytest

from tests.installations import absence, installations

IMPOSSIBLE = "this machine cannot: "  # how a reason begins that CI accepts, as in "this machine cannot: no PSI"
EXPECTED_MAJORS = (15, 16, 18)

_LACKING = re.compile(r"([a-z][a-z0-9_-]+): (?:is not on this machine|cannot be started: No such file)")

_unexcused: list[str] = []


def strict() -> bool:
    """Whether a skip needs an excuse."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def unexcused(reason: str) -> bool:
    """Whether a test that was skipped for this reason could have run."""
    return not reason.removeprefix("Skipped: ").startswith(IMPOSSIBLE)


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a report says that it was skipped; an expected failure tells its own reason."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    return f"expected failure: {getattr(report, 'wasxfail', report.longrepr)}"


def lacking(error: BaseException) -> str:
    """Which program or server this machine lacks, where a test ended for want of it; empty where it did not."""
    if isinstance(error, KeyError) and error.args[0] in EXPECTED_MAJORS and error.args[0] not in installations():
        return f"PostgreSQL {error.args[0]}"
    named = _LACKING.search(str(error))
    program = named[1] if named else str(getattr(error, "filename", None) or "")
    return program if program and "/" not in program and shutil.which(program) is None else ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, None, None]:
    """At a desk without such a program, what only that keeps from running is skipped."""
    yield from _spared()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Likewise."""
    yield from _spared()


def _spared() -> Generator[None, None, None]:
    try:
        yield
    except Exception as error:  # whatever a test ends with; raised again, but for a program that is not here
        program = "" if strict() else lacking(error)
        if program:
            pytest.skip(f"no {program} on this machine")
        raise


def pytest_configure(config: pytest.Config) -> None:
    """Without every server some branches cannot be reached: then coverage is shown, not judged."""
    coverage = config.pluginmanager.getplugin("_cov")
    if coverage is not None and missing_servers() and not strict():
        coverage.options.cov_fail_under = 0


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember a skip without excuse."""
    _remember(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Remember a whole file skipped without excuse."""
    _remember(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for skips without excuse."""
    if strict() and _unexcused and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was held against the run, or what was let pass."""
    if strict():
        for skip in _unexcused:
            terminalreporter.write_line(f"FAILED, since this machine could run it: skipped {skip}", red=True)
    elif missing := missing_servers():
        terminalreporter.write_line(f"coverage was not judged: {'; '.join(missing)}", yellow=True)


def missing_servers() -> list[str]:
    """Why not all of the tests can run here."""
    return [absence(major) for major in EXPECTED_MAJORS if major not in installations()]


def _remember(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and unexcused(reason_of(report)):
        _unexcused.append(f"{report.nodeid}: {reason_of(report)}")
