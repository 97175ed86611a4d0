"""Debian's Chromium, without a window: what a person would see of a page, as the text and the sizes of its boxes."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.skips import IMPOSSIBLE

OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"),
    *("--disable-dev-shm-usage", "--no-first-run", "--virtual-time-budget=2000"),
)
DUMP_SECONDS = 90.0


def chromium() -> str:
    """The program; the test is skipped where it is missing."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip(f"{IMPOSSIBLE}no Chromium: apt-get install chromium")
    return found


def rendered(page: str, folder: Path, *, width: int = 390, height: int = 844) -> str:
    """The document after the browser has laid it out and run what it would run."""
    place = folder / "page.html"
    place.write_text(page)
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                chromium(),
                *OPTIONS,
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                "--dump-dom",
                place.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=DUMP_SECONDS,
            check=True,
        )
    return done.stdout
