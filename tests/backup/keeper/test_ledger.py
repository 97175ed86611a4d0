"""What a schedule remembers besides the backups."""

import json
from pathlib import Path

import pytest

from backup.keeping.ledger import Ledger
from backup.repository.layout import DESCRIPTION
from tests.builders import START, ManualClock


def described(root: Path) -> None:
    """As a repository is; where it can be."""
    if root.is_dir():
        (root / DESCRIPTION).touch()


async def a_ledger(root: Path, clock: ManualClock, *keys: str, node: str = "db1") -> Ledger:
    """Opened, for these, in what looks like a repository."""
    described(root)
    ledger = Ledger(root, node, clock)
    await ledger.open(keys or ("nightly",))
    return ledger


async def test_ledger_remembers_since_when_a_job_is_known(tmp_path: Path) -> None:
    """Over a restart; a new one is known from then on, and one that is gone is forgotten."""
    clock = ManualClock()
    await a_ledger(tmp_path, clock, "nightly", "weekly")
    clock.advance(100)
    again = await a_ledger(tmp_path, clock, "nightly", "base")
    assert [again.known_since(key) for key in ("nightly", "base")] == [START, START + 100]
    clock.advance(100)
    assert (await a_ledger(tmp_path, clock, "weekly")).known_since("weekly") == START + 200


async def test_ledger_knows_what_was_begun_and_not_seen_to_end(tmp_path: Path) -> None:
    """By its moment: killed twice at one of them, there are two."""
    clock = ManualClock()
    ledger = await a_ledger(tmp_path, clock)
    for times in (1, 2):
        ledger = await a_ledger(tmp_path, clock)
        await ledger.begin("nightly", START)
        assert ledger.attempts("nightly", START) == times
    await ledger.begin("nightly", START + 60)
    assert [ledger.attempts("nightly", moment) for moment in (START, START + 60)] == [0, 1]
    await ledger.withdraw("nightly")
    assert ledger.attempts("nightly", START + 60) == 0
    await ledger.withdraw("nightly")
    assert ledger.attempts("nightly", START + 60) == 0


async def test_ledger_knows_when_something_was_done(tmp_path: Path) -> None:
    """Proofs leave no folder to tell it by."""
    clock = ManualClock()
    ledger = await a_ledger(tmp_path, clock, "proof:")
    assert ledger.done_at("proof:") is None
    clock.advance(5)
    await ledger.done("proof:")
    assert (await a_ledger(tmp_path, clock, "proof:")).done_at("proof:") == START + 5


async def test_clock_that_was_set_back_makes_nothing_known_in_the_future(tmp_path: Path) -> None:
    """A job that is known since next year would never be missed."""
    clock = ManualClock()
    ledger = await a_ledger(tmp_path, clock)
    clock.jump(-1000)
    assert ledger.known_since("nightly") == START - 1000
    assert ledger.known_since("nobody") == START - 1000


async def test_nodes_that_share_a_repository_have_a_ledger_each(tmp_path: Path) -> None:
    """Also those with odd names; each is private, and JSON."""
    clock = ManualClock()
    await a_ledger(tmp_path, clock, "a", node="北/1")
    await a_ledger(tmp_path, clock, "b")
    files = sorted((tmp_path / ".toban" / "schedules").iterdir())
    assert [list(json.loads(file.read_text())) for file in files] == [["a"], ["b"]]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'{"nightly": {"known_since": "x"}}'])
async def test_ledger_that_cannot_be_read_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    """Nothing depends on it that another round does not mend."""
    clock = ManualClock()
    await a_ledger(tmp_path, clock)
    (tmp_path / ".toban" / "schedules" / "db1.json").write_bytes(content)
    clock.advance(50)
    assert (await a_ledger(tmp_path, clock)).known_since("nightly") == START + 50


async def test_ledger_that_cannot_be_written_is_kept_in_memory(tmp_path: Path) -> None:
    """The repository is read-only, or is no folder at all."""
    (tmp_path / "file").write_text("")
    ledger = await a_ledger(tmp_path / "file", ManualClock())
    await ledger.begin("nightly", START)
    await ledger.done("nightly")
    assert (ledger.attempts("nightly", START), ledger.done_at("nightly")) == (1, START)


async def test_ledger_makes_nothing_where_the_repository_is_not(tmp_path: Path) -> None:
    """Its disk is not mounted: what is remembered stays in memory, and the place stays as it is."""
    ledger = await a_ledger(tmp_path, ManualClock())
    (tmp_path / DESCRIPTION).unlink()
    gone = tmp_path / ".toban"
    gone.rename(tmp_path / "elsewhere")
    await ledger.begin("nightly", START)
    assert ledger.attempts("nightly", START) == 1
    assert not gone.exists()


async def test_ledger_knows_since_when_there_is_a_good_one(tmp_path: Path) -> None:
    """The earliest that was seen, over a restart: the one of then is let go in time."""
    clock = ManualClock()
    ledger = await a_ledger(tmp_path, clock)
    assert ledger.good_since("nightly") is None
    await ledger.saw_good({"nightly": START + 5, "unknown": START})
    await ledger.saw_good({"nightly": START + 99})
    again = await a_ledger(tmp_path, clock)
    assert (again.good_since("nightly"), again.good_since("unknown")) == (START + 5, None)
    await again.saw_good({"nightly": START})
    assert again.good_since("nightly") == START
