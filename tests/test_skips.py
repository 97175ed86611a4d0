"""What a skip costs, here and in continuous integration."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import IMPOSSIBLE, unexcused

ROOT = Path(__file__).parents[1]
SKIPPING = 'import pytest\ndef test_one() -> None:\n    pytest.skip("{reason}")\n'
SKIPPED_FILE = 'import pytest\npytest.skip("{reason}", allow_module_level=True)\n'


@pytest.mark.integration
@pytest.mark.parametrize("source", [SKIPPING, SKIPPED_FILE])
@pytest.mark.parametrize("workers", [(), ("--numprocesses=1",)], ids=["alone", "xdist"])
def test_skip_without_excuse_fails_the_run_in_ci(tmp_path: Path, source: str, workers: tuple[str, ...]) -> None:
    """The exit status and a line with the reason tell of it, with and without workers."""
    done = _pytest(tmp_path, source.format(reason="no PostgreSQL 15"), *workers, ci="true")
    assert done.returncode != 0
    assert "FAILED, since this machine could run it: skipped" in done.stdout
    assert "no PostgreSQL 15" in done.stdout


@pytest.mark.integration
def test_skip_with_excuse_passes_in_ci(tmp_path: Path) -> None:
    """What a machine cannot do at all is no fault of the run."""
    assert _pytest(tmp_path, SKIPPING.format(reason=f"{IMPOSSIBLE}no PSI in this kernel"), ci="true").returncode == 0


@pytest.mark.integration
def test_skip_at_a_desk_costs_nothing(tmp_path: Path) -> None:
    """A developer without the server still gets a green run."""
    assert _pytest(tmp_path, SKIPPING.format(reason="no PostgreSQL 15"), ci="").returncode == 0


def test_reason_is_excused_by_its_beginning_alone() -> None:
    """The words have to stand in front."""
    assert not unexcused(f"Skipped: {IMPOSSIBLE}no systemd")
    assert unexcused(f"no server, so {IMPOSSIBLE}nothing")


def _pytest(folder: Path, source: str, *options: str, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_skipping.py").write_text(source)
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-p", "tests.skips", "-c", "/dev/null", "--rootdir", str(folder)]
    return subprocess.run(
        [*command, *options, str(folder / "test_skipping.py"), "-p", "no:cacheprovider"],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
