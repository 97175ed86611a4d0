"""The configuration of backups: where they lie, what is made when, how long it stays, and how it is proved."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from toban.backups import Method, Scope
from toban.config import EMPTY_IS_DEFAULT, NONE_LISTED, AbsolutePath, Duration, Model, Name, Size, misfit
from toban.secrets import Dsn, Secret

DAY_SECONDS: Final = 86400.0
ANY_MOMENT: Final = datetime(2026, 1, 1, tzinfo=UTC)  # whether a line is one does not depend on when it is asked


def _is_cron(line: str) -> str:
    try:
        CronSim(line, ANY_MOMENT)
    except CronSimError as error:
        raise ValueError(
            f"{line!r} is no cron line ({error}); write '0 2 * * *': minute hour day month weekday"
        ) from None
    return line


Schedule = Annotated[str, AfterValidator(_is_cron)]


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


OWN: Final = {
    "lock_wait": Method.DUMP,
    "rows": Method.DUMP,
    "rows_exact_below": Method.DUMP,
    "globals": Method.DUMP,
    "exclude_tables": Method.DUMP,
    "databases": Method.DUMP,
    "type": Method.BASE,
    "of": Method.BASE,
    "checkpoint": Method.BASE,
    "configuration": Method.BASE,
    "engine": Method.BASE,
    "stanza": Method.BASE,
    "mode": Method.WAL,
    "slot": Method.WAL,
    "late_after": Method.WAL,
    "paths": Method.FILES,
    "exclude": Method.FILES,
    "password": Method.FILES,
}
"""The keys of a job that are for one method alone."""


class Aliased(Model):
    """A model with keys that are words of Python."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class Keep(Aliased):
    """How long backups of a job stay. What any of these asks to keep is kept."""

    for_: Duration = Field(default=7 * DAY_SECONDS, alias="for", description="By age.")
    at_least: int = Field(default=2, ge=1, le=1000, description="So many good ones always stay, whatever their age.")
    daily: int = Field(default=0, ge=0, le=366, description="The last of each of so many days.")
    weekly: int = Field(default=0, ge=0, le=520, description="The last of each of so many weeks.")
    monthly: int = Field(default=0, ge=0, le=240, description="The last of each of so many months.")


class Window(Aliased):
    """When a job may run: it begins at the cron line's moments and lasts so long."""

    cron: Schedule
    for_: Duration = Field(alias="for")


class Assertion(Model):
    """Somebody's own SQL on a restored database: one row, one column, true."""

    name: Name
    sql: str = Field(min_length=1)
    database: str | None = Field(default=None, description="By default each that was restored.")
    timeout: Duration = 300.0


class Job(Aliased):
    """One kind of backup of one target."""

    name: Name
    target: Name
    method: Method
    engine: Literal["pgbackrest"] | None = Field(default=None, description="By default the one of the target's kind.")
    schedule: Schedule | None = Field(default=None, description="A cron line; without one it runs on demand only.")
    window: Window | None = Field(default=None, description="Outside of it a scheduled run is not begun.")
    jitter: Duration | None = Field(default=None, description="Begin at random within so much after the moment.")
    keep: Annotated[Keep, EMPTY_IS_DEFAULT] = Keep()
    timeout: Duration = Field(default=12 * 3600.0, description="After that it is ended and has failed.")
    dsn: Dsn | None = Field(default=None, description="Another way in than the target's: another role, or a standby.")
    databases: tuple[str, ...] | None = Field(default=None, description="Patterns; by default the target's own.")
    verify: bool = Field(default=True, description="Read every byte of it once it is made.")
    copies: Annotated[tuple[Name, ...] | None, BeforeValidator(_one_or_many)] = Field(
        default=None, description="Which copies it goes to; by default all."
    )
    bandwidth: Size | None = Field(default=None, description="Bytes a second at most.")
    nice: int = Field(default=10, ge=0, le=19, description="How far the programs stand back for others.")
    jobs: int = Field(default=1, ge=1, le=64, description="How many at once: dumping, reading and restoring.")
    compress: str | None = Field(default=None, description="none, gzip, lz4 or zstd, with a level: zstd:3.")
    format: Literal["custom", "directory", "plain", "tar"] | None = None
    # dump
    lock_wait: Duration = Field(default=60.0, description="For a table lock; then it has failed.")
    rows: Literal["exact", "estimate", "none"] = Field(default="exact", description="Rows counted in its own snapshot.")
    rows_exact_below: Size = Field(default=10 * 1024**3, description="Larger tables are estimated.")
    globals_: bool = Field(default=True, alias="globals", description="Roles and tablespaces too.")
    exclude_tables: tuple[str, ...] = Field(
        default=(), description="Tables whose rows are left out; pg_dump's patterns."
    )
    # base
    type: Scope = Field(default=Scope.FULL, description="full, differential or incremental.")
    of: Name | None = Field(default=None, description="The job whose backups this one builds on.")
    checkpoint: Literal["fast", "spread"] = "fast"
    configuration: bool = Field(default=True, description="Also the files that lie outside the data directory.")
    stanza: Name | None = Field(default=None, description="pgBackRest's name of the server.")
    # wal
    mode: Literal["stream", "archive"] = "stream"
    slot: Name | None = Field(default=None, description="Of the stream; by default toban_ and the job's name.")
    late_after: Duration = Field(default=300.0, description="WAL older than that which is not here is late.")
    # files
    paths: Annotated[tuple[AbsolutePath, ...], BeforeValidator(_one_or_many)] = ()
    exclude: tuple[str, ...] = Field(default=(), description="restic's patterns.")
    password: Secret | None = Field(default=None, description="Of the restic repository.")

    @model_validator(mode="after")
    def _fits(self) -> "Job":
        for key, why in _unfit(self):
            raise misfit(why, key)
        return self


def _unfit(job: Job) -> "list[tuple[str, str]]":
    """What of a job's keys do not go together."""
    found: list[tuple[str, str]] = []
    aliases = {"globals_": "globals", "for_": "for"}
    for name in job.model_fields_set:
        key = aliases.get(name, name)
        if OWN.get(key, job.method) is not job.method:
            found.append((key, f"is for method {OWN[key]}, and this is a {job.method}"))
    if job.method is Method.FILES and not job.paths:
        found.append(("paths", "is missing; name the folders to keep"))
    if job.method is Method.BASE and job.type is not Scope.FULL and job.of is None:
        found.append(("of", f"is missing; a {job.type} backup builds on those of another job"))
    if job.method is Method.WAL and job.schedule is not None:
        found.append(("schedule", "is not for WAL, which is kept continuously"))
    if job.engine == "pgbackrest" and job.stanza is None:
        found.append(("stanza", "is missing; pgBackRest has a name for each server"))
    if job.compress is not None and not compression_of(job.compress):
        found.append(("compress", f"{job.compress!r} is none of none, gzip, lz4, zstd, with a level as in zstd:3"))
    return found


def compression_of(text: str) -> tuple[str, int | None] | None:
    """`zstd:3` as ("zstd", 3); None where it is no compression."""
    name, _, level = text.partition(":")
    if name not in ("none", "gzip", "lz4", "zstd") or (level and not level.isdigit()) or (level and name == "none"):
        return None
    return name, int(level) if level else None


class Copy(Model):
    """A second place: another folder, or object storage."""

    name: Name
    path: AbsolutePath | None = Field(default=None, description="Another folder, mounted from elsewhere.")
    url: str | None = Field(default=None, description="s3://bucket/prefix, gs://…, az://…")
    options: dict[str, str | Secret] = Field(default_factory=dict, description="What obstore wants: endpoint, region …")
    access_key: Secret | None = None
    secret_key: Secret | None = None
    keep: Keep | None = Field(default=None, description="By default as long as the job's.")

    @model_validator(mode="after")
    def _is_one(self) -> "Copy":
        if (self.path is None) == (self.url is None):
            raise misfit("wants either path or url", "path")
        return self


class Encryption(Model):
    """Who can read the backups: by age or GPG, whose programs do it."""

    method: Literal["age", "gpg"]
    recipients: tuple[str, ...] = Field(min_length=1, description="age1…, or GPG's key ids.")
    identity: AbsolutePath | None = Field(
        default=None, description="age's identity file; without it nothing can be verified beyond digests, or proved."
    )
    home: AbsolutePath | None = Field(default=None, description="GPG's home.")


class Proof(Model):
    """When and how backups are proved by restoring them."""

    schedule: Schedule | None = "0 5 * * 0"
    jobs: tuple[Name, ...] | None = Field(default=None, description="Whose newest backups; by default all that can be.")
    rows: Literal["exact", "estimate", "none"] = "exact"
    amcheck: bool = True
    workspace: AbsolutePath | None = Field(default=None, description="Where; by default beside the state.")
    timeout: Duration = 12 * 3600.0
    assertions: Annotated[tuple[Assertion, ...], NONE_LISTED] = ()
    tolerance: float = Field(default=0.2, ge=0, description="How far an estimated number of rows may be off.")


class Reading(Aliased):
    """Every byte of the kept backups read again and again, one after the other: disks forget."""

    schedule: Schedule | None = Field(default="30 5 * * *", description="Off the busy hours; null: never by itself.")
    for_: Duration = Field(default=2 * 3600.0, alias="for", description="So long after, none is begun any more.")
    every: Duration = Field(default=7 * DAY_SECONDS, description="What nobody has read for so long is read again.")


class Drill(Model):
    """A restore for its own sake, with the clock running."""

    name: Name
    backup: Name = Field(description="The job whose backups it restores.")
    schedule: Schedule | None = None
    to: str = Field(default="latest", description="latest, or a time in ISO 8601, or 2h ago as `-2h`.")
    databases: tuple[str, ...] = Field(default=(), description="Some alone: a partial drill.")
    rpo_goal: Duration = 900.0
    rto_goal: Duration = 1800.0


class Beat(Aliased):
    """A row written again and again, so that an idle server has moments to restore to. It writes: opt in."""

    enabled: bool = False
    every: Duration = 60.0
    schema_: str = Field(default="toban", alias="schema")
    database: str | None = Field(default=None, description="By default the DSN's.")
    dsn: Dsn | None = Field(default=None, description="A role that may write there.")


class Backups(Model):
    """All of it."""

    repository: AbsolutePath | None = None
    jobs: Annotated[tuple[Job, ...] | None, Field(description="By default those of docs/backups.md.")] = None
    proof: Annotated[Proof, EMPTY_IS_DEFAULT] = Proof()
    reading: Annotated[Reading, EMPTY_IS_DEFAULT] = Reading()
    drills: Annotated[tuple[Drill, ...], NONE_LISTED] = ()
    copies: Annotated[tuple[Copy, ...], NONE_LISTED] = ()
    encryption: Encryption | None = None
    heartbeat: Annotated[Beat, EMPTY_IS_DEFAULT] = Beat()
    window: Duration = Field(default=7 * DAY_SECONDS, description="Any moment of so long ago is to be reachable.")
    programs: Annotated[tuple[AbsolutePath, ...], NONE_LISTED] = Field(
        default=(), description="Folders to look for pg_dump and the like in, before the usual ones."
    )
    at_once: int = Field(default=2, ge=1, le=64, description="So many scheduled backups at most, over all targets.")
    floor: Size = Field(default=1024**3, description="So much stays free in the repository; a backup ends before.")

    @field_validator("jobs")
    @classmethod
    def _are_told_apart(cls, jobs: tuple[Job, ...] | None) -> tuple[Job, ...] | None:
        seen: set[str] = set()
        for place, job in enumerate(jobs or ()):
            if job.name in seen:
                raise misfit(f"another job is called {job.name} too", place, "name")
            seen.add(job.name)
        return jobs
