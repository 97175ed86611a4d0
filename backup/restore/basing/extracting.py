"""The files of base backups laid out as a data directory: unpacked or copied, and increments combined."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from backup.children import NO_SPACE, Command
from backup.engines.basing.checking import BASE, UNLISTED, WAL, archive_stem, archives
from backup.engines.basing.copying import DATA, PLAIN
from backup.engines.basing.manifests import NAME, read_manifest
from backup.engines.contract import Contents, Surroundings, Tell
from backup.engines.streams.packing import unpacking
from backup.errors import BackupError
from backup.repository.turns import finished
from toban.backups import BackupRecord, Progress, Trouble

COMBINE: Final = "pg_combinebackup"
LINKING_SINCE: Final = 18
WITHIN_SECONDS: Final = 24 * 3600.0
LOOK_SECONDS: Final = 1.0
MODE: Final = 0o700
SPACES: Final = "pg_tblspc"
MAP: Final = "tablespace_map"  # where the tablespaces were: they are elsewhere now
MOST_NAMED: Final = 3
# Folders that a server wants though nothing need be in them; a copy elsewhere may have lost those of a plain backup.
FOLDERS: Final = (
    *("pg_commit_ts", "pg_dynshmem", "pg_logical/mappings", "pg_logical/snapshots", "pg_multixact/members"),
    *("pg_multixact/offsets", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat", "pg_stat_tmp"),
    *("pg_subtrans", SPACES, "pg_twophase", f"{WAL}/archive_status"),
)
Lineage = Sequence[tuple[BackupRecord, Contents]]


async def lay_out(lineage: Lineage, stage: Path, around: Surroundings, *, jobs: int, tell: Tell) -> None:
    """Fill `stage` with the files as the last of the lineage has them."""
    total = sum(record.manifest.source_bytes or 0 for record, _ in lineage)
    async with _growing(stage, total, tell):
        if len(lineage) == 1:
            await _one(*lineage[0], stage, around, jobs)
            return
        parts = stage.with_name("parts")
        folders = []
        for place, (record, contents) in enumerate(lineage):
            folders.append(parts / str(place))
            await asyncio.to_thread(folders[-1].mkdir, mode=MODE, parents=True)
            await _one(record, contents, folders[-1], around, jobs)
        await _combine(lineage[-1][0], folders, stage, around)
        await finished(asyncio.to_thread(shutil.rmtree, parts))


async def _one(record: BackupRecord, contents: Contents, into: Path, around: Surroundings, jobs: int) -> None:
    """The files of one backup, increments as they are."""
    if record.manifest.detail.get("format") == PLAIN:
        folder = await contents.folder()
        words = (str(around.programs.other("cp")), "-a", "--reflink=auto", "--no-preserve=ownership", "--")
        await _run(around, record, Command(words=(*words, f"{folder / DATA}/.", str(into))))
    else:
        await asyncio.to_thread(_prepare, into, record)
        turn = asyncio.Semaphore(jobs)

        async def unpack(name: str) -> None:
            async with turn:
                await _unpack(record, contents, name, into, around)

        try:
            async with asyncio.TaskGroup() as together:
                for name in archives(record):
                    together.create_task(unpack(name))
        except BaseExceptionGroup as group:  # the first tells why; the others were only stopped
            raise group.exceptions[0] from None
        await asyncio.to_thread(shutil.copyfile, await contents.path(NAME), into / NAME)
    await finished(asyncio.to_thread(_complete, into))


def _prepare(into: Path, record: BackupRecord) -> None:
    """The folders that archives are unpacked to. Tablespaces lie in place: a link could lead to a live server's."""
    (into / WAL).mkdir(mode=MODE)
    (into / SPACES).mkdir(mode=MODE)
    for stem in map(archive_stem, archives(record)):
        if stem.isdigit():
            (into / SPACES / stem).mkdir(mode=MODE)


async def _unpack(record: BackupRecord, contents: Contents, name: str, into: Path, around: Surroundings) -> None:
    stem = archive_stem(name)
    where = {BASE: into, WAL: into / WAL}.get(stem, into / SPACES / stem)
    source, opening = contents.source(name)
    left_out = (f"--exclude={SPACES}/?*", f"--exclude=./{SPACES}/?*", f"--exclude={MAP}", f"--exclude=./{MAP}")
    words = (
        *(str(around.programs.other("tar")), "--extract", "--file=-", "--no-same-owner", f"--directory={where}"),
        *(("--anchored", *left_out) if stem == BASE else ()),
    )
    await _run(around, record, *opening, *unpacking(around.programs, name), Command(words=words), source=source)


async def _combine(record: BackupRecord, folders: list[Path], stage: Path, around: Surroundings) -> None:
    """What the increments changed, laid over the full one."""
    major = int(record.manifest.server_version.partition(".")[0])
    program = around.programs.postgresql(COMBINE, major=major)
    linking = ("--link",) if major >= LINKING_SINCE else ()  # the parts are ours, and go at once
    options = ("--no-sync", "--manifest-checksums=SHA256", *linking, f"--output={stage}")
    await _run(around, record, Command(words=(str(program), *options, *(str(folder) for folder in folders))))


async def _run(around: Surroundings, record: BackupRecord, *commands: Command, source: Path | None = None) -> None:
    output = await around.children.run(*commands, source=source, within_seconds=WITHIN_SECONDS)
    if not output.ok and any(words in output.said for words in NO_SPACE):  # tar's last words are others
        raise BackupError(f"restore of {record.id}", "no space left where it is laid out", trouble=Trouble.SPACE)
    output.checked(f"restore of {record.id}")


def _complete(into: Path) -> None:
    """Everything that PostgreSQL listed must be there, in its size; and the folders that may be empty."""
    listed = read_manifest(into / NAME)
    short = []
    for name, one in listed.files.items():
        if name == MAP or name.partition("/")[0] in UNLISTED:
            continue
        try:
            whole = (into / name).lstat().st_size == one.size_bytes
        except OSError:
            whole = False
        if not whole:
            short.append(name)
    if short:
        why = f"{len(short)} files are missing or cut off: {', '.join(short[:MOST_NAMED])}"
        raise BackupError("restore", why, "toban backup verify tells more", trouble=Trouble.DAMAGED)
    for folder in FOLDERS:
        (into / folder).mkdir(mode=MODE, parents=True, exist_ok=True)


def link_tablespaces(stage: Path, home: Path) -> list[str]:
    """Move the tablespaces below the data directory and link to them, where it will be; their numbers. It blocks."""
    found = []
    for folder in sorted((stage / SPACES).iterdir()):
        if folder.is_symlink() or not folder.is_dir():
            folder.unlink()
            continue
        kept = stage / "tablespaces" / folder.name
        kept.parent.mkdir(mode=MODE, exist_ok=True)
        folder.rename(kept)
        folder.symlink_to(home / "tablespaces" / folder.name)
        found.append(folder.name)
    return found


@asynccontextmanager
async def _growing(stage: Path, total: int, tell: Tell) -> AsyncIterator[None]:
    """Tell how far it is by what the disk has less: looking at every file would cost more than unpacking it."""
    before = _free(stage)

    async def watch() -> None:
        while True:
            done = max(0, before - _free(stage))
            tell(Progress(phase="files", done_bytes=min(done, total), total_bytes=total or None))
            await asyncio.sleep(LOOK_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
