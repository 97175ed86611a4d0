"""Base backups by pg_basebackup: the files of a whole PostgreSQL server, with the WAL that makes them consistent."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Final

from backup.children import Children, Command, Output
from backup.engines.basing.checking import checked
from backup.engines.basing.configuration import configuration_of
from backup.engines.basing.copying import (
    DATA,
    ELSEWHERE,
    PLAIN,
    UNBUILT,
    Hearing,
    Shape,
    failure,
    shape_of,
    words,
)
from backup.engines.basing.following import following
from backup.engines.basing.manifests import NAME as MANIFEST
from backup.engines.basing.manifests import BackupManifest, read_manifest
from backup.engines.basing.parents import parent_of
from backup.engines.basing.server import Server, ask, obstacle
from backup.engines.contract import Estimate, Looking, Made, Making
from backup.engines.streams.packing import packing
from backup.errors import BackupError
from backup.programs import version_of, version_text
from backup.way import Way
from toban.backups import BackupRecord, Check, Method, Scope, StoredFile, Trouble
from toban.secrets import Dsn

PROGRAM: Final = "pg_basebackup"
WAL_ARCHIVE: Final = "pg_wal.tar"


class Base:
    """The engine."""

    name: ClassVar[str] = "base"
    method: ClassVar[Method] = Method.BASE
    kinds: ClassVar[frozenset[str]] = frozenset({"postgresql"})

    async def estimate(self, making: Making) -> Estimate:
        """What the server's tablespaces are; what it takes by how much of them the last one took."""
        async with _reached(making) as (_, server):
            if making.job.type is not Scope.FULL:
                self._parent(making, server)
                return Estimate()  # how much has changed nobody knows beforehand; it is no share of the whole
        source = server.size_bytes
        of_job = (one for one in making.earlier if one.manifest.name == making.job.name)
        last = next((one for one in of_job if one.manifest.scope is Scope.FULL), None)
        if last is not None and last.manifest.source_bytes and source is not None:
            share = last.manifest.size_bytes / last.manifest.source_bytes
            return Estimate(source_bytes=source, size_bytes=round(source * min(1.0, share)))
        return Estimate(source_bytes=source, size_bytes=source)

    async def make(self, making: Making) -> Made:
        """Copy the files, then what of the configuration lies elsewhere."""
        async with _reached(making) as (way, server):
            parent = None if making.job.type is Scope.FULL else self._parent(making, server)
            program = making.around.programs.postgresql(PROGRAM, major=server.major, or_newer=parent is None)
            major = version_of(program) or server.major
            hearing = Hearing(making.around.clock, making.tell)
            listed = None if parent is None else await _manifest_of(making, parent)
            shape = shape_of(making.job, major)
            copying = _Copying(making, way, server, program, major, listed)
            shape, digests = await copying.done(shape, hearing)
            hearing.close()
            made = await _described(making, server, shape, digests)
            return replace(
                made,
                scope=making.job.type,
                parent=None if parent is None else parent.id,
                tools={PROGRAM: version_text(program)},
                notes=(*copying.notes, *hearing.warnings, *made.notes),
                phases=hearing.phases,
                detail={**made.detail, "copied_at": hearing.copied_at},
            )

    async def verify(self, looking: Looking) -> tuple[Check, ...]:
        """Read every file against PostgreSQL's own manifest, and the WAL that belongs to it."""
        return await checked(looking)

    def _parent(self, making: Making, server: Server) -> BackupRecord:
        return parent_of(
            making.job,
            making.earlier,
            engine=self.name,
            system_identifier=server.system_identifier,
            major=server.major,
        )


class _Copying:
    """One run of pg_basebackup, or several where its build lacks a compression."""

    def __init__(
        self, making: Making, way: Way, server: Server, program: Path, major: int, parent: Path | None
    ) -> None:
        self.notes: list[str] = []
        self._making = making
        self._way = way
        self._server = server
        self._program = program
        self._major = major
        self._parent = parent

    async def done(self, shape: Shape, hearing: Hearing) -> tuple[Shape, dict[str, StoredFile]]:
        """Run it; how it was packed in the end, and the digests that are known already."""
        wanted = shape
        output, digests = await self._run(shape, hearing)
        while UNBUILT in output.said and (weaker := shape.weaker()) is not None:
            hearing.warnings.clear()
            shape = weaker
            output, digests = await self._run(shape, hearing)
        if shape != wanted and self._making.job.compress is not None:
            self.notes.append(f"this pg_basebackup has no {wanted.compression}: {shape.text} was taken")
        if not output.ok:
            raise failure(self._making.job, output, hearing.warnings)
        if shape.format == PLAIN:
            await asyncio.to_thread(_move_tablespaces, self._making.place)
        else:
            await self._pack_wal(shape)
        return shape, digests

    async def _run(self, shape: Shape, hearing: Hearing) -> tuple[Output, dict[str, StoredFile]]:
        making = self._making
        told = words(
            shape,
            making.job,
            making.place,
            major=self._major,
            label=f"toban {making.id}",
            tablespaces=self._server.tablespaces,
            parent=self._parent,
        )
        command = Command(
            words=(str(self._program), f"--dbname={self._way.words()}", *told),
            environment=self._way.environment,
            secrets=self._way.secrets,
        )
        async with following(making.place, self._names(shape)) as found:
            output = await self._children.run(command, within_seconds=making.job.timeout, on_line=hearing.hear)
            return output, await found.done() if output.ok else {}

    def _names(self, shape: Shape) -> tuple[str, ...]:
        """The archives that are written from their beginning to their end, so that a digest can follow."""
        if shape.format == PLAIN:
            return ()
        return tuple(f"{name}{shape.suffix}" for name in ("base", *(space.oid for space in self._server.tablespaces)))

    async def _pack_wal(self, shape: Shape) -> None:
        """WAL is never packed by pg_basebackup, but by gzip: the program does it."""
        plain = self._making.place / WAL_ARCHIVE
        if not plain.exists() or shape.text is None:
            return
        packer = packing(self._making.around.programs, shape.text)
        into = plain.with_name(plain.name + packer.suffix)
        output = await self._children.run(
            *packer.commands, within_seconds=self._making.job.timeout, source=plain, into=into
        )
        output.checked(f"backup {self._making.job.name}")
        plain.unlink()

    @property
    def _children(self) -> Children:
        return self._making.around.children.standing_back(self._making.job.nice)


@asynccontextmanager
async def _reached(making: Making) -> AsyncIterator[tuple[Way, Server]]:
    """The server that is to be backed up, found fit for it."""
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="base-", dir=making.around.workspace))
    try:
        way = Way(_dsn(making), folder)
        server = await ask(way)
        hindered = obstacle(server, making.job)
        if hindered is not None:
            raise hindered
        yield way, server
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _dsn(making: Making) -> Dsn:
    dsn = making.job.dsn or making.origin.dsn
    if dsn is None:
        why = f"target {making.origin.name} has no dsn"
        raise BackupError(f"backup {making.job.name}", why, trouble=Trouble.CONFIGURATION)
    return dsn


async def _manifest_of(making: Making, parent: BackupRecord) -> Path:
    """The list of files that an increment is measured against, in the clear."""
    if making.opened is not None:
        contents = making.opened(parent)
        return await contents.path(manifest_name(parent))
    if parent.manifest.encryption is not None:
        why = f"{parent.id} is sealed, and nobody can open it here"
        raise BackupError(f"backup {making.job.name}", why, trouble=Trouble.CONFIGURATION)
    return Path(parent.place) / manifest_name(parent)


def manifest_name(record: BackupRecord) -> str:
    """Where PostgreSQL's own manifest lies in a backup."""
    return f"{DATA}/{MANIFEST}" if record.manifest.detail.get("format") == PLAIN else MANIFEST


async def _described(making: Making, server: Server, shape: Shape, digests: dict[str, StoredFile]) -> Made:
    """What was made, by PostgreSQL's own manifest and ours."""
    root = making.place / DATA if shape.format == PLAIN else making.place
    listed = await asyncio.to_thread(read_manifest, root / MANIFEST)
    kept, notes = await configuration_of(making, server)
    if shape.format == PLAIN:
        digests = await asyncio.to_thread(_known, listed, root)
    first, last = listed.ranges[0], listed.ranges[-1]
    return Made(
        source_bytes=listed.source_bytes,
        server_version=server.version,
        system_identifier=listed.system_identifier or server.system_identifier,
        start_lsn=first.start_lsn,
        stop_lsn=last.end_lsn,
        timeline=last.timeline,
        databases=server.databases,
        compression=shape.text,
        notes=tuple(notes),
        detail=_detail(server, shape, kept, await asyncio.to_thread(_archives, making.place)),
        digests=digests,
    )


def _detail(server: Server, shape: Shape, kept: list[dict[str, Any]], archives: list[str]) -> dict[str, Any]:
    """What a restore needs to know."""
    return {
        "format": shape.format,
        "archives": archives,
        "segment_bytes": server.segment_bytes,
        "tablespaces": [asdict(space) for space in server.tablespaces],
        "configuration": kept,
        "files": dict(server.files),
        "page_checksums": server.has_page_checksums,
        "from_standby": server.is_standby,
        "data_directory": server.files.get("data_directory"),
        "port": server.port,
    }


def _archives(place: Path) -> list[str]:
    return sorted(path.name for path in place.glob("*.tar*"))


def _known(listed: BackupManifest, root: Path) -> dict[str, StoredFile]:
    """The digests that the server computed while it read the files, of those that lie there in full. It blocks."""
    found: dict[str, StoredFile] = {}
    for name, one in listed.files.items():
        path = root / name
        if one.sha256 is not None and path.is_file() and path.stat().st_size == one.size_bytes:
            stored = f"{DATA}/{name}"
            found[stored] = StoredFile(path=stored, size_bytes=one.size_bytes, sha256=one.sha256.hex())
    return found


def _move_tablespaces(place: Path) -> None:
    """Put them where the links to them are: links would lead out of the backup, and nowhere once it is renamed."""
    for link in [found for found in (place / DATA / "pg_tblspc").iterdir() if found.is_symlink()]:
        there = link.readlink()
        if there != place / ELSEWHERE / link.name:
            why = f"a tablespace was made meanwhile, and its files were copied to {there}"
            raise BackupError("backup", why, f"remove {there} on this machine", trouble=Trouble.TOOL)
        link.unlink()
        there.rename(link)
    if (place / ELSEWHERE).exists():
        (place / ELSEWHERE).rmdir()
