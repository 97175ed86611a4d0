"""Keys of age's and GPG's, made anew for a test."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backup.programs import Programs
from backup.settings import Encryption
from tests.skips import IMPOSSIBLE

USER = "toban@example.org"


def needs(program: str) -> None:
    """Skips where a program is not installed."""
    if not Programs().has(program):
        pytest.skip(f"{IMPOSSIBLE}{program} is not installed")


def an_age_key(folder: Path) -> Encryption:
    """An identity of age's."""
    needs("age")
    identity = folder / "identity.txt"
    made = subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True, text=True)
    return Encryption(method="age", recipients=(made.stderr.rpartition(": ")[2].strip(),), identity=identity)


@contextmanager
def a_gpg_key(home: Path) -> Iterator[Encryption]:
    """A key of GPG's without a passphrase, in a home of its own."""
    needs("gpg")
    home.chmod(0o700)
    words = ["gpg", "--homedir", str(home), "--batch", "--passphrase", ""]
    subprocess.run(
        [*words, "--quick-generate-key", USER, "future-default", "default", "never"], check=True, capture_output=True
    )
    try:
        yield Encryption(method="gpg", recipients=(USER,), home=home)
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False, capture_output=True)
