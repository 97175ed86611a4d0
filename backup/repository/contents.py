"""A backup's files as its engine wrote them, whether or not they lie there sealed."""

import asyncio
from pathlib import Path

from backup.children import Children, Command
from backup.errors import BackupError
from backup.programs import Programs
from backup.repository.layout import FOLDER_MODE
from backup.repository.sealing import SEAL_SECONDS, suffix, unsealing
from backup.settings import Encryption
from toban.backups import BackupRecord, Trouble


class StoredContents:
    """What one backup holds. What has to be opened first is opened into the workspace, once."""

    def __init__(
        self,
        record: BackupRecord,
        workspace: Path,
        *,
        children: Children,
        programs: Programs,
        encryption: Encryption | None = None,
    ) -> None:
        self.record = record
        self._place = Path(record.place)
        self._opened = workspace / f"opened-{record.id}"
        self._children = children
        self._programs = programs
        self._encryption = encryption
        self._sealed_by = record.manifest.encryption
        self._suffix = suffix(self._sealed_by)
        self._turn = asyncio.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Its files, by the names that the engine gave them."""
        return tuple(file.path.removesuffix(self._suffix) for file in self.record.manifest.files)

    def source(self, name: str) -> tuple[Path, tuple[Command, ...]]:
        """The file to read from, and the programs to pipe it through to have it in the clear."""
        path = self._stored(name)
        if self._sealed_by is None:
            return path, ()
        return path, (unsealing(self._sealed_by, self._encryption, self._programs),)

    async def path(self, name: str) -> Path:
        """The file in the clear: the one in the repository (never to be written to), or one in the workspace."""
        path, commands = self.source(name)
        if not commands:
            return path
        async with self._turn:
            opened = self._opened / name
            if not opened.exists():
                await self._open(path, commands, opened)
        return opened

    async def folder(self) -> Path:
        """All of them in the clear, in one folder: the repository's own (never to be written to), or a copy."""
        if self._sealed_by is None:
            return self._place
        for name in self.names:
            await self.path(name)
        return self._opened

    async def _open(self, path: Path, commands: tuple[Command, ...], opened: Path) -> None:
        """Under another name until it is whole."""
        opened.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        half = opened.with_name(opened.name + ".half")
        half.unlink(missing_ok=True)
        output = await self._children.run(*commands, source=path, into=half, within_seconds=SEAL_SECONDS)
        output.checked(f"opening {path.name}", "is the key under backups.encryption the one it was sealed for?")
        half.rename(opened)

    def _stored(self, name: str) -> Path:
        """A file of the manifest, that is there."""
        stored = name + self._suffix
        if stored not in {file.path for file in self.record.manifest.files}:
            raise BackupError(self.record.id, f"has no file {name}", trouble=Trouble.MISSING)
        path = self._place / stored
        if not path.is_file():
            raise BackupError(self.record.id, f"its file {stored} is gone", trouble=Trouble.MISSING)
        return path
