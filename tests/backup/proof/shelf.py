"""Backups made by their real engines into a real repository, and proved out of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backup.engines.base import Base
from backup.engines.contract import Engine, Made, Making, Origin, Surroundings
from backup.engines.dump import Dump
from backup.keeping.reading import believed
from backup.proof.prover import prove_record
from backup.repository.repository import Repository
from backup.restore.base import BaseRestorer
from backup.restore.contract import Restorer
from backup.restore.dump import DumpRestorer
from backup.settings import Encryption, Job, Proof
from toban.backups import BackupRecord, Check, Manifest, Method, RestoreProof
from toban.secrets import Dsn

ENGINES: dict[Method, type[Engine]] = {Method.DUMP: Dump, Method.BASE: Base}


@dataclass(kw_only=True)
class Shelf:
    """One repository and what is made of one server."""

    repository: Repository
    around: Surroundings
    dsn: str
    database: str | None = None
    told: list[str] = field(default_factory=list)

    async def back_up(self, method: Method, **keys: Any) -> BackupRecord:  # noqa: ANN401 - a job's keys
        """Make a backup as a keeper does."""
        engine = ENGINES[method]()
        job = Job.model_validate({"name": method, "target": "main", "method": method, "nice": 0, **keys})
        origin = Origin(
            name="main",
            kind="postgresql",
            dsn=Dsn(self.dsn),
            chosen=lambda name: self.database in (None, name),
        )
        draft = Manifest(
            id="",
            name=job.name,
            target="main",
            kind="postgresql",
            method=method,
            engine=engine.name,
            created_at=self.around.clock.now(),
            finished_at=self.around.clock.now(),
        )
        async with self.repository.making(draft) as partial:
            making = Making(
                id=partial.id,
                job=job,
                origin=origin,
                place=partial.place,
                earlier=self.repository.records(target="main"),
                around=self.around,
                tell=lambda _: None,
            )
            made = await engine.make(making)
            known = {name: getattr(made, name) for name in Made.__slots__ if hasattr(draft, name)}
            return await partial.finish(replace(draft, **known), made.digests)

    async def prove(
        self, record: BackupRecord, settings: Proof | None = None
    ) -> tuple[BackupRecord, RestoreProof, dict[str, Check]]:
        """Prove it, and write it down: the record as it stands then, the proof, its checks by name."""
        proof = await prove_record(
            record,
            shelves=self.repository,
            restorer_of=restorer_of,
            settings=settings or Proof(),
            around=self.around,
            tell=lambda progress: self.told.append(progress.phase),
        )
        standing = await self.repository.mark(record, lambda marks: believed(marks, proof))
        return standing, proof, {check.name: check for check in proof.checks}


def restorer_of(told: Manifest) -> Restorer:
    """The way back."""
    return DumpRestorer() if told.method is Method.DUMP else BaseRestorer()


@asynccontextmanager
async def a_shelf(
    around: Surroundings, root: Path, dsn: str, database: str | None = None, *, encryption: Encryption | None = None
) -> AsyncIterator[Shelf]:
    """A repository below this folder."""
    repository = Repository(root / "repository", around=around, encryption=encryption)
    await repository.open()
    yield Shelf(repository=repository, around=around, dsn=dsn, database=database)
