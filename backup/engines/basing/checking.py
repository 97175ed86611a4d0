"""A base backup read through: every file against PostgreSQL's own manifest, and the WAL that makes it consistent."""

import asyncio
import errno
import hashlib
import tarfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, Final

from backup.children import Command
from backup.engines.basing.copying import DATA, PLAIN
from backup.engines.basing.manifests import LABEL, NAME, BackupManifest, Listed, read_label, read_manifest, start_of
from backup.engines.basing.streams import through, undisturbed
from backup.engines.contract import Looking
from backup.engines.streams.packing import unpacked_name, unpacking
from backup.errors import BackupError
from backup.wal.segments import (
    LONG_HEADER,
    header_of,
    header_trouble,
    lsn_number,
    segment_name,
)
from toban.backups import BackupRecord, Check, Manifest, Progress, Trouble

VERIFY: Final = "pg_verifybackup"
DUMP: Final = "pg_waldump"
WITHIN_SECONDS: Final = 12 * 3600.0
PIECE_BYTES: Final = 1024 * 1024
MOST_LABEL_BYTES: Final = 64 * 1024
MOST_FAULTS: Final = 20
BASE: Final = "base"
WAL: Final = "pg_wal"
# Written anew by whoever restores, or not listed because it changes while the backup is made.
UNLISTED: Final = (WAL, NAME, "postgresql.auto.conf", "recovery.signal", "standby.signal")
SPEAKING: Final = frozenset({Trouble.DAMAGED, Trouble.MISSING, Trouble.TOOL})
"""What speaks against a backup. Any other trouble is this machine's: it is raised, and decides nothing."""


@dataclass(slots=True, kw_only=True)
class Reading:
    """What was found so far, against what should be there."""

    expected: Mapping[str, Listed]
    seen: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    label: str = ""
    read_bytes: int = 0

    def fault(self, words: str) -> None:
        """Something is not as it should be."""
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(words)

    def archive(self, stream: BinaryIO, prefix: str) -> None:
        """Read one archive wholly. It blocks."""
        try:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=PIECE_BYTES) as archive:
                for member in archive:
                    self._member(archive, member, prefix)
                    archive.members.clear()  # type: ignore[attr-defined] # it would remember every one of a million
            while stream.read(PIECE_BYTES):  # so that the program in front of us comes to its own end
                pass
        except (tarfile.TarError, EOFError, ValueError) as error:
            self.fault(f"an archive breaks off: {error}")

    def finish(self) -> None:
        """Everything was read: what is missing?"""
        for name in sorted(set(self.expected) - self.seen):
            if not _is_unlisted(name):
                self.fault(f"{name} is missing")

    @property
    def check(self) -> Check:
        """What it came to."""
        detail = "; ".join(self.faults) or f"{len(self.seen)} files are as they were copied"
        return Check(name="files", ok=not self.faults, detail=detail)

    def file(self, path: Path, name: str) -> None:
        """Read one file of a folder. It blocks."""
        try:
            with path.open("rb") as stream:
                self._content(stream, name)
        except OSError as error:
            self.fault(f"{name} cannot be read: {error.strerror or error}")

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo, prefix: str) -> None:
        name = prefix + member.name.removeprefix("./")
        if not member.isreg():
            return
        stream = archive.extractfile(member)
        if stream is not None:
            self._content(stream, name)

    def _content(self, stream: IO[bytes], name: str) -> None:
        digest, size = hashlib.sha256(), 0
        while piece := stream.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
            if name == LABEL and size <= MOST_LABEL_BYTES:
                self.label += piece.decode(errors="replace")
        self.read_bytes += size
        self._compare(name, size, digest.digest())

    def _compare(self, name: str, size: int, digest: bytes) -> None:
        listed = self.expected.get(name)
        if listed is None:
            if not _is_unlisted(name):
                self.fault(f"{name} is not in the manifest")
            return
        self.seen.add(name)
        if size != listed.size_bytes:
            self.fault(f"{name} has {size} bytes, and the manifest {listed.size_bytes}")
        elif listed.sha256 is not None and digest != listed.sha256:
            self.fault(f"{name} is not what was copied: its checksum is another")


def _is_unlisted(name: str) -> bool:
    return name.partition("/")[0] in UNLISTED


async def checked(looking: Looking) -> tuple[Check, ...]:
    """Every check that there is for a base backup."""
    manifest = looking.record.manifest
    plain = manifest.detail.get("format") == PLAIN
    try:
        name = f"{DATA}/{NAME}" if plain else NAME
        listed = await asyncio.to_thread(read_manifest, await looking.contents.path(name))
    except BackupError as error:
        # Its bytes are those that were written, somebody has seen to that: what does not open them is the wrong key.
        locked = manifest.encryption is not None and error.trouble is Trouble.TOOL
        bad = error.trouble in SPEAKING and not locked
        return (Check(name=NAME, ok=False if bad else None, detail=error.reason),)
    checks = [Check(name=NAME, ok=True, detail=f"{len(listed.files)} files listed"), *_agreed(manifest, listed)]
    if plain:
        checks += [check async for check in _plain(looking, listed)]
    else:
        checks += [check async for check in _archives(looking, listed)]
    return (*checks, *_lineage(looking))


def _agreed(manifest: Manifest, listed: BackupManifest) -> list[Check]:
    """Whether our manifest and PostgreSQL's are of the same backup."""
    start, end = listed.ranges[0].start_lsn, listed.ranges[-1].end_lsn
    same = (manifest.start_lsn, manifest.stop_lsn) == (start, end)
    server = listed.system_identifier
    if server is not None and server != manifest.system_identifier:
        return [Check(name="server", ok=False, detail=f"it is of server {server}")]
    return [Check(name="positions", ok=same, detail=f"WAL from {start} to {end} belongs to it")]


async def _plain(looking: Looking, listed: BackupManifest) -> AsyncIterator[Check]:
    """By pg_verifybackup, which reads the WAL too; where there is none of that version, by ourselves."""
    folder = await looking.contents.folder()
    try:
        program = looking.around.programs.postgresql(VERIFY, major=_major(looking.record))
    except BackupError:
        async for check in _folder(looking, listed, folder / DATA):
            yield check
        return
    alone = not program.with_name(DUMP).exists()  # it looks for the reader of WAL beside it; packages part them
    words = (str(program), *(("--no-parse-wal",) if alone else ()), str(folder / DATA))
    output = await looking.around.children.run(Command(words=words), within_seconds=WITHIN_SECONDS)
    found = undisturbed(output, VERIFY).said.strip().splitlines()[:MOST_FAULTS]
    ok = output.ok and not found
    yield Check(name=VERIFY, ok=ok, detail=output.text.strip() if ok else "; ".join(found) or output.ended[0].why)
    if alone:
        async for check in _wal_in(looking, listed, folder / DATA / WAL):
            yield check


async def _folder(looking: Looking, listed: BackupManifest, folder: Path) -> AsyncIterator[Check]:
    """Every file, and nothing besides."""
    reading = Reading(expected=listed.files)
    names = await asyncio.to_thread(
        lambda: sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())
    )
    for name in names:
        looking.tell(Progress(phase="read", done_bytes=reading.read_bytes, total_bytes=listed.source_bytes, what=name))
        await asyncio.to_thread(reading.file, folder / name, name)
    reading.finish()
    yield reading.check
    yield _labelled(looking.record.manifest, reading.label)
    async for check in _wal_in(looking, listed, folder / WAL):
        yield check


async def _archives(looking: Looking, listed: BackupManifest) -> AsyncIterator[Check]:
    """By ourselves, without extracting anything but the WAL."""
    reading = Reading(expected=listed.files)
    wal: str | None = None
    for name in archives(looking.record):
        stem = archive_stem(name)
        if stem == WAL:
            wal = name
            continue
        prefix = "" if stem == BASE else f"pg_tblspc/{stem}/"
        looking.tell(Progress(phase="read", done_bytes=reading.read_bytes, total_bytes=listed.source_bytes, what=name))
        try:
            await _streamed(looking, name, partial(reading.archive, prefix=prefix))
        except BackupError as error:
            if error.trouble not in SPEAKING:
                raise
            reading.fault(error.reason)
        except OSError as error:
            reading.fault(f"{name} cannot be read: {error.strerror or error}")
    reading.finish()
    yield reading.check
    yield _labelled(looking.record.manifest, reading.label)
    if wal is None:
        yield Check(name="wal", ok=False, detail=f"{WAL}.tar is missing: nothing makes the files consistent")
    else:
        async for check in _wal(looking, wal, listed):
            yield check


def archives(record: BackupRecord) -> tuple[str, ...]:
    """The names of its archives, as they are in the clear."""
    return tuple(str(name) for name in record.manifest.detail.get("archives", ()))


def archive_stem(name: str) -> str:
    """`base`, `pg_wal` or a tablespace's number."""
    return unpacked_name(name).removesuffix(".tar")


def _labelled(manifest: Manifest, label: str) -> Check:
    """Without its label a server would start from the wrong place, and be broken."""
    if not label:
        return Check(name=LABEL, ok=False, detail="is missing")
    begins = start_of(read_label(label))
    return Check(name=LABEL, ok=begins == manifest.start_lsn, detail=f"recovery begins at {begins}")


async def _wal(looking: Looking, name: str, listed: BackupManifest) -> AsyncIterator[Check]:
    """The WAL that came with it: there without a gap, of this server, and readable to the end."""
    folder = looking.workspace / "verified-wal"
    folder.mkdir(mode=0o700)
    try:
        await _streamed(looking, name, partial(extracted, folder=folder))
    except (BackupError, tarfile.TarError, OSError, EOFError, ValueError) as error:
        trouble = _trouble_of(error)
        if trouble not in SPEAKING:
            raise BackupError(name, f"cannot be looked at: {error}", trouble=trouble) from error
        yield Check(name="wal", ok=False, detail=f"{name} cannot be read: {error}")
        return
    async for check in _wal_in(looking, listed, folder):
        yield check


def _trouble_of(error: Exception) -> Trouble:
    """It was being laid out in the workspace: for want of room there it is not damaged."""
    if isinstance(error, BackupError):
        return error.trouble
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Trouble.SPACE if full else Trouble.DAMAGED


async def _wal_in(looking: Looking, listed: BackupManifest, folder: Path) -> AsyncIterator[Check]:
    faults = await asyncio.to_thread(_wal_faults, looking.record.manifest, listed, folder)
    yield Check(name="wal", ok=not faults, detail="; ".join(faults) or "there without a gap")
    if not faults:
        yield await _records(looking, listed, folder)


def extracted(stream: BinaryIO, folder: Path) -> None:
    """The segments and histories of an archive of WAL, written to a folder. It blocks."""
    with tarfile.open(fileobj=stream, mode="r|", bufsize=PIECE_BYTES) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() and "/" not in member.name else None
            if content is not None:
                with (folder / member.name).open("wb") as file:
                    while piece := content.read(PIECE_BYTES):
                        file.write(piece)
    while stream.read(PIECE_BYTES):
        pass


def _wal_faults(manifest: Manifest, listed: BackupManifest, folder: Path) -> list[str]:
    size = int(manifest.detail.get("segment_bytes", 16 * 1024 * 1024))
    faults = []
    for ranged in listed.ranges:
        first, last = lsn_number(ranged.start_lsn) // size, max(lsn_number(ranged.end_lsn) - 1, 0) // size
        for number in range(first, last + 1):
            name = segment_name(ranged.timeline, number, size)
            path = folder / name
            if not path.exists():
                faults.append(f"segment {name} is missing")
                continue
            with path.open("rb") as file:
                trouble = header_trouble(header_of(file.read(LONG_HEADER.size)), name, manifest.system_identifier)
            faults += [f"segment {name} {trouble}"] if trouble else []
    return faults[:MOST_FAULTS]


async def _records(looking: Looking, listed: BackupManifest, folder: Path) -> Check:
    """Each record has a checksum of its own: pg_waldump reads them all."""
    try:
        program = looking.around.programs.postgresql(DUMP, major=_major(looking.record))
    except BackupError as error:
        return Check(name="wal records", ok=None, detail=error.reason)
    for ranged in listed.ranges:
        words = (
            *(str(program), "--quiet", f"--path={folder}", f"--timeline={ranged.timeline}"),
            *(f"--start={ranged.start_lsn}", f"--end={ranged.end_lsn}"),
        )
        output = await looking.around.children.run(Command(words=words), within_seconds=WITHIN_SECONDS)
        if not undisturbed(output, DUMP).ok:
            return Check(name="wal records", ok=False, detail=output.ended[0].why)
    return Check(name="wal records", ok=True, detail="every record is whole")


def _lineage(looking: Looking) -> list[Check]:
    """What an increment builds on is there, and of the same server; whether it fits is found by combining them."""
    wanted = looking.record.manifest.parent
    if wanted is None:
        return []
    there = next((record for record, _ in looking.lineage if record.id == wanted), None)
    same = there is not None and there.manifest.system_identifier == looking.record.manifest.system_identifier
    detail = f"it builds on {wanted}" + (
        "" if same else ", which is not there" if there is None else ", of another server"
    )
    return [Check(name="parent", ok=same, detail=detail)]


async def _streamed(looking: Looking, name: str, take: Callable[[BinaryIO], None]) -> None:
    source, opening = looking.contents.source(name)
    commands = (*opening, *unpacking(looking.around.programs, name))
    await through(looking.around.children, commands, source, take, within_seconds=WITHIN_SECONDS, what=name)


def _major(record: BackupRecord) -> int:
    return int(record.manifest.server_version.partition(".")[0])
