"""What of the jobs does not fit the targets or each other: every mistake with its path below `backups`."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from difflib import get_close_matches
from typing import Final

from backup.engines.contract import Origin
from backup.keeping.moments import moment_of
from backup.settings import Backups, Job
from toban.backups import Method, Scope

Problem = tuple[tuple[str | int, ...], str]

POSTGRESQL: Final = "postgresql"
SQLITE: Final = "sqlite"
MARIADB: Final = "mariadb"
HOST: Final = "host"
KINDS: Final[Mapping[Method, frozenset[str]]] = {
    Method.DUMP: frozenset({POSTGRESQL, SQLITE, MARIADB}),
    Method.BASE: frozenset({POSTGRESQL, MARIADB}),
    Method.WAL: frozenset({POSTGRESQL}),
    Method.FILES: frozenset({HOST}),
}
"""Which kinds of targets a method is for."""
FORMATS: Final[Mapping[Method, tuple[str, ...]]] = {
    Method.DUMP: ("custom", "directory", "plain"),
    Method.BASE: ("plain", "tar"),
    Method.WAL: (),
    Method.FILES: (),
}
SCHEMES: Final[Mapping[str, tuple[str, ...]]] = {
    POSTGRESQL: ("postgresql", "postgres"),
    MARIADB: ("mysql", "mariadb"),
}
POSTGRESQL_ALONE: Final = {
    "rows": "rows",
    "rows_exact_below": "rows_exact_below",
    "globals": "globals_",
    "exclude_tables": "exclude_tables",
    "lock_wait": "lock_wait",
}
"""The keys that are for targets of that kind alone, and what a job calls them."""


def misfits(
    settings: Backups, jobs: tuple[Job, ...], known: Mapping[str, Origin], *, invented: bool
) -> Iterator[Problem]:
    """All that is wrong; jobs that were not written are not to be blamed."""
    if settings.repository is None and (settings.jobs or settings.drills or settings.copies):
        yield ("repository",), "is missing; name the folder that the backups go to"
    named = {job.name: job for job in jobs}
    if not invented:
        for place, job in enumerate(jobs):
            for path, why in _of_job(job, known, named, settings):
                yield ("jobs", place, *path), why
        yield from _doubled_wal(jobs)
    yield from _of_the_rest(settings, named)


def _of_job(job: Job, known: Mapping[str, Origin], named: Mapping[str, Job], settings: Backups) -> Iterator[Problem]:
    origin = known.get(job.target)
    if origin is None:
        yield ("target",), f"no target is called {job.target}{near(job.target, known)}"
        return
    if origin.kind not in KINDS[job.method]:
        kinds = ", ".join(sorted(KINDS[job.method]))
        yield ("method",), f"{job.method} is for targets of kind {kinds}, and {job.target} is of kind {origin.kind}"
        return
    yield from _of_kind(job, origin)
    yield from _of_chain(job, named)
    yield from _of_files(job, named, settings)
    names = [copy.name for copy in settings.copies]
    for nth, name in enumerate(job.copies or ()):
        if name not in names:
            yield ("copies", nth), f"no copy is called {name}{near(name, names)}"


def _of_kind(job: Job, origin: Origin) -> Iterator[Problem]:
    """What this kind of target has, and others do not."""
    if job.format is not None and (origin.kind != POSTGRESQL or job.format not in FORMATS[job.method]):
        there = ", ".join(FORMATS[job.method]) if origin.kind == POSTGRESQL else ""
        what = f"a {job.method} of a {origin.kind} target"
        yield ("format",), f"{what} is one of {there}" if there else f"{what} has no formats; leave it out"
    if job.dsn is not None and job.dsn.parts.scheme not in SCHEMES.get(origin.kind, ()):
        wanted = " or ".join(f"{scheme}://" for scheme in SCHEMES.get(origin.kind, ()))
        yield ("dsn",), f"of a {origin.kind} target begins with {wanted}" if wanted else f"is not for {origin.kind}"
    if origin.kind == POSTGRESQL:
        return
    for key, name in POSTGRESQL_ALONE.items():
        if name in job.model_fields_set:
            yield (key,), f"is for postgresql targets, and {origin.name} is of kind {origin.kind}"
    if job.engine is not None:
        yield ("engine",), f"{job.engine} is for postgresql targets, and {origin.name} is of kind {origin.kind}"
    if job.method is Method.BASE and job.type is not Scope.FULL:
        yield ("type",), f"a base backup of a {origin.kind} target is always a full one"
    if origin.kind != MARIADB and job.databases is not None:
        yield ("databases",), f"a {origin.kind} target has none to choose among"


def _of_files(job: Job, named: Mapping[str, Job], settings: Backups) -> Iterator[Problem]:
    """What is different where restic keeps it: one repository with one password for a target, sealed by restic."""
    if job.method is not Method.FILES:
        return
    folders = [copy.name for copy in settings.copies if copy.path is not None]
    far = [one.name for one in settings.copies if one.path is None and (job.copies is None or one.name in job.copies)]
    if far:
        mend = f"write copies: [{', '.join(folders)}], and let `restic copy` go there"
        yield ("copies",), f"files lie in restic's own repository, which does not go to {far[0]}; {mend}"
    if settings.encryption is not None and job.password is None:
        yield ("password",), "is missing: restic's key would lie in the clear beside what `encryption` is to seal"
    first = next(one for one in named.values() if one.method is Method.FILES and one.target == job.target)
    if first.password != job.password:
        yield ("password",), f"is another than that of {first.name}; the files of a target lie in one repository"


def _of_chain(job: Job, named: Mapping[str, Job]) -> Iterator[Problem]:
    """What a job builds on: another base backup of the same target, and in the end a full one."""
    if job.of is None:
        return
    base = named.get(job.of)
    if base is None:
        yield ("of",), f"no job is called {job.of}{near(job.of, named)}"
    elif base.target != job.target:
        yield ("of",), f"{job.of} is of target {base.target}, and this one of {job.target}"
    elif base.method is not Method.BASE or base.engine != job.engine:
        yield ("of",), f"{job.of} is no base backup by the same engine"
    elif job.type is Scope.FULL:
        yield ("of",), "is for differential and incremental backups, and this one is full"
    elif not _leads_to_full(job, named):
        yield ("of",), "goes in a circle; in the end it must be a full one"


def _leads_to_full(job: Job, named: Mapping[str, Job]) -> bool:
    seen: set[str] = set()
    here: Job | None = job
    while here is not None and here.type is not Scope.FULL and here.name not in seen:
        seen.add(here.name)
        here = named.get(here.of or "")
    return here is not None and here.type is Scope.FULL


def _doubled_wal(jobs: tuple[Job, ...]) -> Iterator[Problem]:
    """A target's WAL goes to one place, so one job keeps it."""
    first: dict[str, str] = {}
    for place, job in enumerate(jobs):
        if job.method is not Method.WAL:
            continue
        if job.target in first:
            why = f"{first[job.target]} keeps the WAL of {job.target} already; one job does it for a target"
            yield ("jobs", place, "method"), why
        first.setdefault(job.target, job.name)


def _of_the_rest(settings: Backups, named: Mapping[str, Job]) -> Iterator[Problem]:
    provable = [name for name, job in named.items() if job.method is not Method.WAL]
    for nth, name in enumerate(settings.proof.jobs or ()):
        yield from _of_reference(("proof", "jobs", nth), name, named, provable)
    for place, drill in enumerate(settings.drills):
        yield from _of_reference(("drills", place, "backup"), drill.backup, named, provable)
        try:
            moment_of(drill.to, 0.0, UTC)
        except ValueError as error:
            yield ("drills", place, "to"), str(error)
    for key, found in (("drills", settings.drills), ("copies", settings.copies)):
        names = [one.name for one in found]
        for nth, name in enumerate(names):
            if name in names[:nth]:
                yield (key, nth, "name"), f"another one is called {name} too"


def _of_reference(
    path: tuple[str | int, ...], name: str, named: Mapping[str, Job], fit: list[str]
) -> Iterator[Problem]:
    if name not in named:
        yield path, f"no job is called {name}{near(name, named)}"
    elif name not in fit:
        yield path, f"{name} keeps WAL, which is restored with a base backup; name that"


def near(name: str, names: Iterable[str]) -> str:
    """The nearest of the names, as the end of a sentence."""
    found = get_close_matches(name, list(names), n=1)
    return f"; did you mean {found[0]}?" if found else ""
