"""Engines put to work as a keeper does it: one backup into a folder, a record of it, a look at it, a way back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backup.children import Children
from backup.engines.contract import Engine, Looking, Making, Origin, Surroundings
from backup.programs import Programs
from backup.restore.contract import Wanted
from backup.settings import Job
from tests.backup.lying import Lying, recorded
from tests.builders import START
from toban.backups import BackupRecord, Check, Progress
from toban.clock import SystemClock
from toban.secrets import Dsn, Secret

Plain = Lying


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
        return recorded(making, await self.engine.make(making), self.engine.name, began=START, ended=START + 1)

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
