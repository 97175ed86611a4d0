"""Folders by restic: real snapshots, files that cannot be read, damage, passwords, and the way back."""

import asyncio
import gzip
import json
import os
import shutil
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from backup.children import Children, Ended, Output
from backup.engines.files import (
    RESTIC,
    Files,
    Restic,
    _checked,
    _complaints,
    _compression,
    _summary,
    forget_gone,
    restic_for,
)
from backup.errors import BackupError
from backup.programs import Programs
from backup.restore.contract import Aim, Moment
from backup.restore.files import FilesRestorer
from backup.settings import Job
from tests.backup.others.making import Shop, a_shop, faults, file_of, flip, wanted
from tests.skips import IMPOSSIBLE
from tests.waiting import eventually
from toban.backups import BackupRecord, Trouble
from toban.secrets import Secret

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not Programs().has(*RESTIC), reason=f"{IMPOSSIBLE}no restic (root: apt-get install restic)"),
]
ODD = "設定 'it''s' \"x\"\n$y.conf"
AWKWARD = " a'b\"c\\d$(e) 秘密\t"


def a_tree(tmp_path: Path) -> Path:
    """A folder with something in it."""
    folder = tmp_path / "etc 'x' 店"
    (folder / "below").mkdir(parents=True)
    (folder / ODD).write_text("setting = 1\n")
    (folder / "below" / "data").write_bytes(os.urandom(300_000))
    (folder / "below" / "private").write_text("secret")
    (folder / "below" / "private").chmod(0o600)
    (folder / "link").symlink_to("below/data")
    return folder


def shop(tmp_path: Path, *paths: Path, **keys: Any) -> Shop:  # noqa: ANN401 - any field or key
    """A job for these folders."""
    (tmp_path / "home").mkdir(exist_ok=True)
    return a_shop(tmp_path / "home", Files(), "host", paths=[str(path) for path in paths], **keys)


def restic_of(work: Shop) -> Path:
    """Where restic keeps it."""
    return work.home / "repository" / "shop" / "files" / "restic"


def tree(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Every file below a folder, with its mode and what is in it."""
    return {
        str(path.relative_to(folder)): (
            stat.S_IMODE(path.lstat().st_mode),
            str(path.readlink()) if path.is_symlink() else path.read_bytes(),
        )
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A repository with two backups of a tree, to copy from: restic takes a second to open one."""

    home: Path
    tree: Path
    records: tuple[BackupRecord, ...]

    def copied(self, tmp_path: Path) -> tuple[Shop, tuple[BackupRecord, ...]]:
        """A copy that a test may break, and its records."""
        work = shop(tmp_path, self.tree, exclude=["*.tmp"])
        shutil.copytree(self.home / "repository", work.home / "repository", symlinks=True)
        work.count = 2
        places = [work.home / Path(record.place).relative_to(self.home) for record in self.records]
        return work, tuple(
            replace(record, place=str(place)) for record, place in zip(self.records, places, strict=True)
        )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Two backups; between them a file was removed, that the job leaves out anyhow."""
    folder = tmp_path_factory.mktemp("files")
    tree = a_tree(folder)
    (tree / "waste.tmp").write_text("waste")
    work = shop(folder, tree, exclude=["*.tmp"])

    async def two() -> tuple[BackupRecord, ...]:
        return await work.made(), await work.made()

    records = asyncio.run(two())
    (tree / "waste.tmp").unlink()
    assert work.leftovers() == []
    return Kept(home=work.home, tree=tree, records=records)


async def test_files_come_back_as_they_were(kept: Kept, tmp_path: Path) -> None:
    """Contents, modes and links, under odd names; a second snapshot keeps what is unchanged once."""
    work, (record, again) = kept.copied(tmp_path)
    assert again.manifest.detail["added_bytes"] < 20_000 < record.manifest.detail["added_bytes"]
    listing = gzip.decompress(file_of(record, "listing.jsonl.gz").read_bytes()).decode().splitlines()
    assert f"{kept.tree}/{ODD}" in {json.loads(line).get("path") for line in listing}
    assert faults(await work.verified(record)) == {}
    place = tmp_path / "back"
    asked = wanted(record, data_dir=place)
    assert (await FilesRestorer().preflight(asked, work.around)).ok
    done = await FilesRestorer().restore(asked, work.around, work.workspace(), work.told.append)
    assert tree(place / str(kept.tree)[1:]) == tree(kept.tree)
    assert done.restored_bytes >= 300_000
    assert stat.S_IMODE((restic_of(work).parent / "restic.key").stat().st_mode) == 0o600
    assert work.leftovers() == []


async def test_files_are_estimated_by_the_last_backup(kept: Kept, tmp_path: Path) -> None:
    """The first by what is there; none of what is named being there is a failure."""
    work, records = kept.copied(tmp_path)
    assert ((await Files().estimate(work.making())).source_bytes or 0) > 300_000
    last = await Files().estimate(work.making(earlier=records[::-1]))
    assert last.source_bytes == records[1].manifest.source_bytes
    assert last.size_bytes == records[1].manifest.detail["added_bytes"]
    with pytest.raises(BackupError, match="is not there") as failed:
        await Files().estimate(shop(tmp_path / "home", tmp_path / "not there").making())
    assert failed.value.trouble is Trouble.MISSING


async def test_files_that_cannot_be_read_are_noted_and_old_snapshots_go(kept: Kept, tmp_path: Path) -> None:
    """Restic's status 3: a snapshot without some files, kept, and said. One whose backup has gone is forgotten."""
    _, (first, second) = kept.copied(tmp_path)
    unreadable = Path("/proc") / str(os.getpid()) / "mem"
    work = shop(tmp_path, kept.tree, tmp_path / "not there", unreadable)
    work.count = 2
    shutil.rmtree(first.place)
    third = await work.made()
    assert third.manifest.notes[0] == "it is incomplete: some files could not be read"
    assert "not there" in " ".join(third.manifest.notes[1:])
    assert str(unreadable) in " ".join(third.manifest.notes[1:])
    assert third.manifest.notes[-1] == "1 snapshots went whose backups had gone"
    assert third.manifest.detail["files"] == 3
    there = {path.name[:8] for path in (restic_of(work) / "snapshots").iterdir()}
    assert there == {record.manifest.detail["snapshot"][:8] for record in (second, third)}
    Path(first.place).mkdir()  # noqa: ASYNC240 - nothing waits
    assert faults(await work.verified(first)) == {"snapshot": f"snapshot {first.manifest.detail['snapshot']} is gone"}


@pytest.mark.parametrize("what", ["flipped", "truncated", "removed", "index"])
async def test_files_damage_in_restics_repository_is_found_out(what: str, kept: Kept, tmp_path: Path) -> None:
    """A byte turned over in a pack, a pack cut short, a pack gone, a spoiled index."""
    work, (record, _) = kept.copied(tmp_path)
    packs = [path for path in (restic_of(work) / "data").rglob("*") if path.is_file()]
    pack = max(packs, key=lambda path: path.stat().st_size)
    if what == "index":
        pack = next((restic_of(work) / "index").iterdir())
    pack.chmod(0o600)
    if what in ("flipped", "index"):
        flip(pack, pack.stat().st_size // 2)
    elif what == "truncated":
        os.truncate(pack, pack.stat().st_size // 2)
    else:
        pack.unlink()
    assert list(faults(await work.verified(record))) == ["restic data" if what == "flipped" else "restic structure"]
    if what != "flipped":
        return  # reading what is not there restic tries for a minute
    place = tmp_path / "back"
    with pytest.raises(BackupError):
        await FilesRestorer().restore(wanted(record, data_dir=place), work.around, work.workspace(), work.told.append)
    assert not place.exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []  # noqa: ASYNC240 - nothing waits


async def test_files_password_of_the_job_is_kept_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever restores names it, or a file that holds it, as restic has it; without it the reason is told."""
    work = shop(tmp_path, a_tree(tmp_path), password=AWKWARD)
    record = await work.made()
    everything = b"".join(path.read_bytes() for path in work.home.rglob("*") if path.is_file())
    assert AWKWARD.encode() not in everything
    for secret, why in ((None, "its password is not known here"), (Secret("another"), "the password does not fit")):
        look = await FilesRestorer().preflight(wanted(record, data_dir=tmp_path / "back", secret=secret), work.around)
        assert why in faults(look.checks)["snapshot"]
    found = await work.verified(record)
    assert [(check.name, check.ok) for check in found] == [("restic repository", None)]
    (tmp_path / "word").write_text(AWKWARD)
    right = wanted(record, data_dir=tmp_path / "back", secret=Secret(AWKWARD))
    assert (await FilesRestorer().preflight(right, work.around)).ok
    monkeypatch.setenv("RESTIC_PASSWORD_FILE", str(tmp_path / "word"))
    assert restic_for(record.place, record.manifest, tmp_path, work.around, None).password_file == tmp_path / "word"


async def test_files_without_their_key_say_so_and_begin_no_other_repository(kept: Kept, tmp_path: Path) -> None:
    """A new key would open nothing of what is there."""
    work, _ = kept.copied(tmp_path)
    (restic_of(work).parent / "restic.key").unlink()
    with pytest.raises(BackupError, match="the key of its repository is gone") as failed:
        await work.made()
    assert failed.value.trouble is Trouble.MISSING


async def test_files_go_on_after_a_restic_that_was_killed(kept: Kept, tmp_path: Path) -> None:
    """It leaves a lock and half a snapshot; the next backup is whole."""
    work, _ = kept.copied(tmp_path)
    tree = a_tree(tmp_path)
    (tree / "large").write_bytes(os.urandom(30_000_000))
    killed = shop(tmp_path, tree, bandwidth="2MB", compress="none")  # long enough to be met at work
    killed.count = 2
    task = asyncio.create_task(killed.made())
    await eventually(lambda: list((restic_of(work) / "locks").iterdir()), within_seconds=60)
    for process in psutil.process_iter(["cmdline"]):
        if str(restic_of(work)) in (process.info["cmdline"] or ()):
            process.kill()
    with pytest.raises(BackupError, match="ended by signal 9"):
        await task
    shutil.rmtree(work.home / "repository" / "shop" / "files" / "20261121T020003Z-nightly")
    assert list((restic_of(work) / "locks").iterdir())
    work.count = 3
    record = await work.made()
    assert list((restic_of(work) / "locks").iterdir()) == []
    assert record.manifest.detail["files"] == 3
    assert work.leftovers() == []


async def test_files_restore_refuses_what_it_cannot_do(kept: Kept, tmp_path: Path) -> None:
    """Beforehand, each with its reason; never over a folder with something in it."""
    work, (record, _) = kept.copied(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("precious")
    for how, name in (
        ({}, "place"),
        ({"data_dir": tmp_path / "full", "replace": True}, "place"),
        ({"data_dir": tmp_path / "no" / "x"}, "place"),
        ({"data_dir": tmp_path / "x", "moment": Moment(aim=Aim.TIME, at=1.0)}, "moment"),
        ({"data_dir": tmp_path / "x", "database": "d"}, "database"),
    ):
        asked = wanted(record, **how)
        assert list(faults((await FilesRestorer().preflight(asked, work.around)).checks)) == [name]
        with pytest.raises(BackupError):
            await FilesRestorer().restore(asked, work.around, work.workspace(), work.told.append)
    assert (tmp_path / "full" / "x").read_text() == "precious"
    shutil.rmtree(restic_of(work))
    look = await FilesRestorer().preflight(wanted(record, data_dir=tmp_path / "x"), work.around)
    assert "restic's repository is not there" in faults(look.checks)["snapshot"]


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        ("Fatal: wrong password or no key found", Trouble.PRIVILEGE),
        ("unable to create lock in backend: repository is already locked exclusively by PID 1", Trouble.LOCKED),
        ("Fatal: write: no space left on device", Trouble.SPACE),
        ("ciphertext verification failed", Trouble.DAMAGED),
        ("signal: broken", Trouble.TOOL),
    ],
)
def test_files_failures_of_restic_have_their_trouble(said: str, trouble: Trouble, tmp_path: Path) -> None:
    """Which decides whether another attempt makes sense, and whether the backup is to blame."""
    restic = Restic(
        place=tmp_path, password_file=tmp_path, program="restic", folder=tmp_path, children=Children(), secrets=()
    )
    ended = Ended(command=restic.command("check"), status=1, said=said)
    assert restic.failure(Output(stdout=b"", ended=(ended,))).trouble is trouble


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("kill -9 $$", None),
        ("echo 'Fatal: write: no space left on device' >&2; exit 1", None),
        ("echo 'Fatal: repository contains errors' >&2; exit 1", False),
    ],
)
async def test_files_that_restic_could_not_look_at_are_not_called_damaged(
    script: str, expected: object, tmp_path: Path
) -> None:
    """What this machine lacks, or somebody who ends it, says nothing about what is kept."""
    program = tmp_path / "restic"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    restic = Restic(
        place=tmp_path, password_file=tmp_path, program=str(program), folder=tmp_path, children=Children(), secrets=()
    )
    assert (await _checked(restic, "data", "well", "check")).ok is expected


def test_files_are_read_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository that is mounted read-only takes no lock of restic's."""
    restic = Restic(
        place=tmp_path, password_file=tmp_path, program="restic", folder=tmp_path, children=Children(), secrets=()
    )
    assert "--no-lock" not in restic.command("check").words
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "--no-lock" in restic.command("check").words


async def test_files_snapshots_of_somebodys_own_are_never_let_go(tmp_path: Path) -> None:
    """Those alone go that are tagged with the id of a backup which has no folder any more."""
    went = list[str]()

    @dataclass(frozen=True, kw_only=True)
    class Told(Restic):
        async def snapshots(self) -> list[dict[str, Any]]:
            tags: tuple[list[str], ...] = (["20261121T020001Z-etc"], ["20261121T020002Z-etc"], ["mine"], [])
            return [{"id": str(number), "tags": one} for number, one in enumerate(tags)]

        async def run(self, *words: str, within_seconds: float = 0.0) -> Output:
            went.extend(words)
            return Output(stdout=b"", ended=())

    for number in range(4):
        (tmp_path / "restic" / "snapshots" / str(number)).mkdir(parents=True)
    (tmp_path / "20261121T020002Z-etc").mkdir()
    restic = Told(
        place=tmp_path / "restic", password_file=tmp_path, program="", folder=tmp_path, children=Children(), secrets=()
    )
    assert await forget_gone(restic, tmp_path, keep="20261121T020003Z-etc") == 1
    assert went == ["forget", "--prune", "0"]


def test_files_summary_is_the_last_that_restic_reports(tmp_path: Path) -> None:
    """Among lines of progress; none where it did not come so far."""
    report = tmp_path / "report"
    report.write_text('{"message_type":"status"}\nno json\n{"message_type":"summary","files_new":1}\n')
    assert _summary(report) == {"message_type": "summary", "files_new": 1}
    report.write_text('{"message_type":"status"}\n')
    assert _summary(report) is None


def test_files_complaints_are_said_as_text_and_not_all_of_them() -> None:
    """Restic says them as JSON or in words."""
    told = ['{"error":{"message":"denied"},"item":"/a"}', "", *(f"line {n}" for n in range(6))]
    assert _complaints("\n".join(told)) == ["/a: denied", "line 0", "line 1", "line 2", "line 3", "and 2 more"]


@pytest.mark.parametrize(("compress", "word"), [("none", "off"), ("zstd:19", "max"), ("zstd", "auto"), (None, "auto")])
def test_files_are_packed_as_restic_can(compress: str | None, word: str) -> None:
    """It has its own way, and two strengths of it."""
    job = Job.model_validate(
        {"name": "n", "target": "t", "method": "files", "paths": ["/x"], **({"compress": compress} if compress else {})}
    )
    assert _compression(job) == word
