"""Engines put to work as a keeper does it: one backup into a folder, a record of it, a look at it, a way back."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backup.children import Children, Command
from backup.engines.contract import Engine, Looking, Made, Making, Origin, Surroundings
from backup.programs import Programs
from backup.restore.contract import Wanted
from backup.settings import Job
from tests.builders import START
from toban.backups import BackupRecord, Check, Manifest, Progress, Status, StoredFile
from toban.clock import SystemClock
from toban.secrets import Dsn, Secret


@dataclass(frozen=True, kw_only=True)
class Plain:
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


@dataclass(kw_only=True)
class Shop:
    """A folder for backups of one target, and what a keeper does in it."""

    home: Path
    engine: Engine
    job: Job
    origin: Origin
    told: list[Progress] = field(default_factory=list)
    count: int = 0

    @property
    def around(self) -> Surroundings:
        """The world."""
        workspace = self.home / "work"
        workspace.mkdir(mode=0o700, exist_ok=True)
        return Surroundings(
            clock=SystemClock(), children=Children(), programs=Programs(), workspace=workspace, node="node"
        )

    def making(self, **changed: Any) -> Making:  # noqa: ANN401 - any field or key
        """The next backup."""
        self.count += 1
        place = self.home / "repository" / self.origin.name / self.job.method / f"20261121T02000{self.count}Z-nightly"
        place.mkdir(mode=0o700, parents=True)
        given: dict[str, Any] = {
            "id": place.name,
            "job": self.job,
            "origin": self.origin,
            "place": place,
            "earlier": (),
            "around": self.around,
            "tell": self.told.append,
        }
        return Making(**(given | changed))

    async def made(self, **changed: Any) -> BackupRecord:  # noqa: ANN401 - any field or key
        """A backup, as the repository would have it."""
        making = self.making(**changed)
        return recorded(making, await self.engine.make(making), self.engine.name)

    async def verified(self, record: BackupRecord, secret: Secret | None = None) -> tuple[Check, ...]:
        """What the engine finds in it."""
        workspace = self.home / f"look{len(list(self.home.iterdir()))}"
        workspace.mkdir(mode=0o700)
        contents = Plain(place=Path(record.place))
        return await self.engine.verify(
            Looking(
                record=record,
                contents=contents,
                lineage=((record, contents),),
                around=self.around,
                tell=self.told.append,
                workspace=workspace,
                secret=secret,
            )
        )

    def workspace(self) -> Path:
        """A folder for one restore."""
        folder = self.home / f"restore{len(list(self.home.iterdir()))}"
        folder.mkdir(mode=0o700)
        return folder

    def leftovers(self) -> list[str]:
        """What is left in the workspace."""
        return sorted(path.name for path in (self.home / "work").iterdir())


def a_shop(
    home: Path,
    engine: Engine,
    kind: str,
    *,
    dsn: str | None = None,
    path: Path | None = None,
    **keys: Any,  # noqa: ANN401 - any field or key
) -> Shop:
    """A shop for one target, called `shop`; `keys` are the job's."""
    job = Job.model_validate({"name": "nightly", "target": "shop", "method": engine.method, **keys})
    origin = Origin(name="shop", kind=kind, dsn=None if dsn is None else Dsn(dsn), path=path)
    return Shop(home=home, engine=engine, job=job, origin=origin)


def recorded(making: Making, made: Made, engine: str) -> BackupRecord:
    """What the repository makes of it."""
    files = tuple(
        StoredFile(
            path=str(path.relative_to(making.place)),
            size_bytes=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(making.place.rglob("*"))
        if path.is_file()
    )
    manifest = Manifest(
        id=making.id,
        name=making.job.name,
        target=making.origin.name,
        kind=making.origin.kind,
        method=making.job.method,
        engine=engine,
        created_at=START,
        finished_at=START + 1,
        files=files,
        **{
            name: getattr(made, name)
            for name in (
                "source_bytes",
                "server_version",
                "databases",
                "rows",
                "tools",
                "compression",
                "notes",
                "detail",
            )
        },
    )
    return BackupRecord(manifest=manifest, status=Status.OK, place=str(making.place))


def file_of(record: BackupRecord, name: str) -> Path:
    """A file of a backup."""
    return Path(record.place) / name


def wanted(record: BackupRecord, **how: Any) -> Wanted:  # noqa: ANN401 - any field or key
    """A restore of it."""
    return Wanted(record=record, lineage=((record, Plain(place=Path(record.place))),), **how)


def faults(checks: Sequence[Check]) -> dict[str, str]:
    """What speaks against it."""
    return {check.name: check.detail for check in checks if check.ok is False}


def flip(path: Path, at: int) -> None:
    """One byte of a file turned over; counted from the end when negative."""
    with path.open("r+b") as file:
        file.seek(at, 2 if at < 0 else 0)
        where = file.tell()
        byte = file.read(1)
        file.seek(where)
        file.write(bytes([byte[0] ^ 0xFF]))
