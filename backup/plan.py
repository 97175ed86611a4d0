"""What is to be backed up, out of what is configured: the jobs with their targets, and all that does not fit together.

Two lines of configuration, a DSN and a repository, are enough: then every target gets the usual jobs.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from backup.engines.contract import Origin
from backup.keeping.fitting import Problem, misfits, near
from backup.keeping.usual import usual
from backup.settings import Backups, Copy, Drill, Encryption, Job, Proof
from toban.backups import Method
from toban.errors import NotFoundError

NamedT = TypeVar("NamedT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that is to be done, and of what."""

    repository: Path | None = None
    jobs: tuple[Job, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)
    settings: Backups = field(default_factory=Backups)
    problems: tuple[Problem, ...] = ()

    @property
    def active(self) -> bool:
        """Whether there is anything to do."""
        return self.repository is not None and bool(self.jobs)

    @property
    def proof(self) -> Proof:
        """How backups are proved."""
        return self.settings.proof

    @property
    def drills(self) -> tuple[Drill, ...]:
        """The drills there are."""
        return self.settings.drills

    @property
    def encryption(self) -> Encryption | None:
        """Who can read the backups."""
        return self.settings.encryption

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets that have jobs, in their order."""
        return tuple(dict.fromkeys(job.target for job in self.jobs))

    def job(self, name: str) -> Job:
        """A job by its name."""
        return _named("backup", name, {job.name: job for job in self.jobs})

    def drill(self, name: str) -> Drill:
        """A drill by its name."""
        return _named("drill", name, {drill.name: drill for drill in self.drills})

    def origin(self, job: Job) -> Origin:
        """What a job backs up, by the job's own way in where it has one."""
        origin = self.origins[job.target]
        chosen = origin.chosen if job.databases is None else _matching(job.databases)
        return Origin(name=origin.name, kind=origin.kind, dsn=job.dsn or origin.dsn, path=origin.path, chosen=chosen)

    def copies(self, job: Job) -> tuple[Copy, ...]:
        """Where else its backups go."""
        return tuple(copy for copy in self.settings.copies if job.copies is None or copy.name in job.copies)

    def wal_job(self, target: str) -> Job | None:
        """The job that keeps a target's WAL, if there is one."""
        return next((job for job in self.jobs if job.target == target and job.method is Method.WAL), None)

    def window(self, target: str) -> float:
        """How far back every moment of a target is to be reachable: as promised, or as long as its WAL is kept."""
        job = self.wal_job(target)
        return max(self.settings.window, job.keep.for_ if job is not None else 0.0)

    @property
    def provable(self) -> tuple[Job, ...]:
        """The jobs whose newest backups the schedule of proofs is about."""
        there = [job for job in self.jobs if job.method is not Method.WAL]
        wanted = self.proof.jobs
        return tuple(job for job in there if wanted is None or job.name in wanted)


def planned(settings: Backups, origins: Iterable[Origin]) -> Plan:
    """The plan for what is configured, with all that is wrong with it; paths begin below `backups`."""
    known = {origin.name: origin for origin in origins}
    written = settings.jobs
    jobs = written if written is not None else (usual(known.values()) if settings.repository is not None else ())
    problems = (*misfits(settings, jobs, known, invented=written is None),)
    return Plan(repository=settings.repository, jobs=jobs, origins=known, settings=settings, problems=problems)


def _named(what: str, name: str, there: Mapping[str, NamedT]) -> NamedT:
    if name in there:
        return there[name]
    hint = f"there are: {', '.join(there)}" if there else "none is configured"
    raise NotFoundError(what, f"none is called {name}{near(name, there)}", hint)


def _matching(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    return lambda name: any(fnmatchcase(name, pattern) for pattern in patterns)
