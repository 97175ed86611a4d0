import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from backup.repository.repository import Repository
from tests.backup.repository.builders import a_draft, unheard
from tests.backup.repository.conftest import Make
from tests.backup.repository.test_repository import ID
from toban.backups import (
    Progress,
    Status,
    Trouble,
)


def damage(place: Path, what: str) -> None:
    """Do something bad to a backup."""
    file = place / "1-app.dump"
    match what:
        case "removed":
            file.unlink()
        case "truncated":
            os.truncate(file, 10)
        case "flipped":
            content = bytearray(file.read_bytes())
            content[7] ^= 1
            file.write_bytes(content)
        case "added":
            (place / "x").write_text("x")
        case "unreadable":
            file.unlink()
            file.mkdir()
        case "pipe":
            os.mkfifo(place / "pipe")
        case "gone":
            place.rename(place.with_name("gone"))


@pytest.mark.parametrize(
    ("what", "failing"),
    [
        ("removed", {"files": "1-app.dump is missing"}),
        ("truncated", {"sizes": "1-app.dump has 10 bytes, not 24"}),
        ("flipped", {"sha256": "1-app.dump is not what was written"}),
        ("added", {"nothing else": "x is none of its files"}),
        ("unreadable", {"files": "1-app.dump is missing"}),
    ],
)
async def test_check_finds_what_happened_to_a_file(
    repository: Repository, make: Make, what: str, failing: dict[str, str]
) -> None:
    """One removed, truncated, flipped or added file fails its own check and no other."""
    record = await make()
    damage(Path(record.place), what)
    checks = await repository.check_files(record, unheard)
    assert {check.name: check.detail for check in checks if not check.ok} == failing


async def test_check_passes_marks_and_what_a_dead_marker_left(repository: Repository, make: Make) -> None:
    """Marks, and a temporary file of somebody who died while writing them, are nothing unexpected."""
    record = await repository.mark(await make(), lambda marks: replace(marks, pinned="audit"))
    (Path(record.place) / ".tmp-1-marks.json").write_text("{")
    heard: list[Progress] = []
    checks = await repository.check_files(record, heard.append)
    assert [(check.name, check.ok) for check in checks] == [
        (name, True) for name in ("manifest", "files", "sizes", "nothing else", "sha256")
    ]
    assert heard[-1] == Progress(phase="digest", done_bytes=24, total_bytes=24, what="1-app.dump")


async def test_check_of_a_backup_that_is_gone_fails(repository: Repository, make: Make) -> None:
    """A folder that is not there, and one that holds a pipe, are said so."""
    record = await make()
    damage(Path(record.place), "pipe")
    failed = [check for check in await repository.check_files(record, unheard) if check.ok is not True]
    assert [(check.name, check.ok) for check in failed] == [("files", False)]
    assert "is neither a file nor a folder" in failed[0].detail
    damage(Path(record.place), "gone")
    (check,) = await repository.check_files(record, unheard)
    assert (check.ok, check.detail) == (False, "manifest.json cannot be read: No such file or directory")


def edited(place: Path, **changed: object) -> None:
    """Somebody edits the manifest."""
    path = place / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda place: edited(place, tag="better"), "does not agree with its own checksum"),
        (lambda place: edited(place, format=2), "is of format 2, newer than this version"),
        (lambda place: (place / "manifest.json").write_text('{"id": '), "is no JSON"),
        (lambda place: (place / "manifest.json").write_text("[" * 100_000), "is no JSON"),
        (lambda place: (place / "manifest.json").write_text("[]"), "is no JSON object"),
        (lambda place: (place / "manifest.json").write_bytes(b"\0" * 4096), "is empty"),
        (lambda place: (place / "manifest.json").write_bytes(b"\xff\xfe"), "is no JSON"),
        (lambda place: (place / "manifest.json").unlink(), "cannot be read: No such file or directory"),
        (lambda place: place.rename(place.with_name(ID.replace("2026", "2025"))), f"is that of main/dump/{ID}"),
    ],
)
async def test_manifest_that_is_not_what_was_written_is_a_damaged_backup(
    repository: Repository, make: Make, change: Callable[[Path], object], reason: str
) -> None:
    """Edited, newer, cut off, emptied, removed or moved: listed as damaged with the reason, and no exception."""
    await make()
    change(repository.root / "main" / "dump" / ID)
    (record,) = repository.records()
    assert (record.status, record.trouble, record.manifest.name) == (Status.DAMAGED, Trouble.DAMAGED, "nightly")
    assert reason in record.reason
    (check,) = await repository.check_files(record, unheard)
    assert (check.ok, reason in check.detail) == (False, True)


async def test_manifest_with_a_path_outside_is_refused(repository: Repository, make: Make) -> None:
    """A manifest that somebody wrote with a right checksum cannot lead out of its folder, nor have another form."""
    from backup.repository.forms import checksum  # noqa: PLC0415 - as a forger would

    record = await make()
    path = Path(record.place) / "manifest.json"
    said = json.loads(path.read_text())
    for change, reason in (
        ({"files": [{"path": "../../x", "size_bytes": 1, "sha256": ""}]}, "names a file outside of its folder"),
        ({"created_at": "today"}, "does not have the form it should"),
    ):
        forged = said | change
        path.write_text(json.dumps(forged | {"checksum": checksum(forged)}))
        (found,) = repository.records()
        assert reason in found.reason


async def test_manifest_reformatted_is_the_same(repository: Repository, make: Make) -> None:
    """Other spaces and another order of keys are no damage: what is said is what counts."""
    record = await make(a_draft(notes=("日本",), detail={"b": [1.5, None], "a": {"x": True}}))
    path = Path(record.place) / "manifest.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(said.items()))))
    assert repository.records() == (record,)
