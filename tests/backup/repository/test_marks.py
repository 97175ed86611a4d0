import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.repository.repository import Repository
from tests.backup.repository.conftest import Make, brisk
from tests.builders import START
from toban.backups import (
    Belief,
    Check,
    Marks,
    RestoreProof,
    Status,
    Verdict,
    Verification,
)


async def test_marks_are_kept_beside_the_manifest(repository: Repository, make: Make, around: Surroundings) -> None:
    """What becomes known is written down, added to what was known, and read by others."""
    record = await make()
    verified = Verification(at=START + 5, checks=(Check(name="sha256", ok=True),), seconds=1.5)
    proof = RestoreProof(backup=record.id, proved_at=START + 9, verdict=Verdict.PROVEN, reason="it came back")
    assert record.belief is Belief.STORED
    record = await repository.mark(record, lambda marks: replace(marks, verification=verified))
    assert record.belief is Belief.VERIFIED
    record = await repository.mark(record, lambda marks: replace(marks, proof=proof, copies={"nas": START}))
    (found,) = Repository(repository.root, around=around).records()
    assert found == record
    assert (found.belief, found.verified_at, found.proved_at) == (Belief.PROVEN, START + 5, START + 9)
    assert found.marks == Marks(verification=verified, proof=proof, copies={"nas": START})


async def test_marks_of_many_at_once_are_all_kept(repository: Repository, make: Make, around: Surroundings) -> None:
    """Two daemons that mark one backup at the same moment lose nothing of each other."""
    record = await make()
    other = Repository(repository.root, around=around, pause=brisk)

    async def note(one: Repository, name: str) -> None:
        await one.mark(record, lambda marks: replace(marks, copies={**marks.copies, name: START}))

    await asyncio.gather(*(note(one, f"{number}") for number in range(4) for one in (repository, other)))
    await asyncio.gather(*(note(other, f"b{number}") for number in range(4)))
    assert set(repository.records()[0].marks.copies) == {"0", "1", "2", "3", "b0", "b1", "b2", "b3"}


@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        (
            Marks(proof=RestoreProof(backup="x", proved_at=1, verdict=Verdict.DAMAGED, reason="a page is bad")),
            "a proof found it damaged: a page is bad",
        ),
        (
            Marks(
                verification=Verification(
                    at=1,
                    checks=(Check(name="a", ok=None), *(Check(name=name, ok=False, detail="bad") for name in "bcde")),
                )
            ),
            "its verification failed: b: bad; c: bad; d: bad; and 1 more",
        ),
    ],
)
async def test_backup_found_bad_is_damaged(repository: Repository, make: Make, marks: Marks, reason: str) -> None:
    """A proof that failed, or a check that failed, makes it damaged, and it is believed no more."""
    record = await repository.mark(await make(), lambda _: marks)
    assert (record.status, record.reason, record.belief) == (Status.DAMAGED, reason, None)
    assert repository.records() == (record,)


async def test_backup_that_could_not_be_decided_is_no_worse(repository: Repository, make: Make) -> None:
    """A check that could not be made neither verifies a backup nor damages it."""
    unsure = Verification(at=1, checks=(Check(name="a", ok=None, detail="no program"),))
    record = await repository.mark(await make(), lambda _: Marks(verification=unsure))
    assert (record.status, record.belief) == (Status.OK, Belief.STORED)


async def test_marks_that_were_edited_are_believed_in_nothing_but_keep_it(repository: Repository, make: Make) -> None:
    """Somebody who writes `proven` into the marks proves nothing; as a pin may be lost there, it stays."""
    record = await repository.mark(await make(), lambda marks: replace(marks, copies={"nas": START}))
    path = Path(record.place) / "marks.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pinned": None, "proof": {"verdict": "proven"}}))
    (found,) = repository.records()
    assert (found.status, found.belief, found.marks.copies) == (Status.OK, Belief.STORED, {})
    assert "its marks cannot be read" in (found.marks.pinned or "")
