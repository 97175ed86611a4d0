"""Backups outside of any repository: their files as they lie there, and the record that a repository would make."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from backup.children import Command
from backup.engines.contract import Made, Making
from toban.backups import BackupRecord, Manifest, Status, StoredFile


@dataclass(frozen=True, kw_only=True)
class Lying:
    """A backup's files as they lie there, unsealed."""

    place: Path

    def source(self, name: str) -> tuple[Path, tuple[Command, ...]]:
        """The file itself."""
        return self.place / name, ()

    async def path(self, name: str) -> Path:
        """The file itself."""
        return self.place / name

    async def folder(self) -> Path:
        """The folder itself."""
        return self.place


def recorded(making: Making, made: Made, engine: str, *, began: float, ended: float) -> BackupRecord:
    """What a repository makes of it. A digest that the engine knew already has to be that of the file."""
    files = tuple(
        StoredFile(
            path=str(path.relative_to(making.place)),
            size_bytes=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(making.place.rglob("*"))
        if path.is_file()
    )
    for file in files:
        assert made.digests.get(file.path) in (None, file), f"the digest of {file.path} is not that of the file"
    manifest = Manifest(
        id=making.id,
        name=making.job.name,
        target=making.origin.name,
        kind=making.origin.kind,
        method=making.job.method,
        engine=engine,
        created_at=began,
        finished_at=ended,
        files=files,
    )
    of_made = {name: getattr(made, name) for name in Made.__slots__ if hasattr(manifest, name)}
    return BackupRecord(manifest=replace(manifest, **of_made), status=Status.OK, place=str(making.place))
