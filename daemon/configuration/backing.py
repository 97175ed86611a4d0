"""What of a configuration backups are about: the targets as origins, the plan, its problems, its secrets."""

from collections.abc import Iterator
from typing import assert_never

from backup.engines.contract import Origin
from backup.plan import Plan, planned
from daemon.configuration.targets import (
    HostTarget,
    MariadbTarget,
    PgbouncerTarget,
    PostgresqlTarget,
    SqliteTarget,
    Target,
    with_host,
)
from daemon.configuration.tree import Configuration
from daemon.configuration.written import Path
from toban.secrets import Secret


def plan_of(configuration: Configuration) -> Plan:
    """What is to be backed up."""
    return planned(configuration.backups, (origin_of(target) for target in with_host(configuration.targets)))


def origin_of(target: Target) -> Origin:
    """A target, as far as backups need to know it."""
    match target:
        case PostgresqlTarget():
            return Origin(name=target.name, kind=target.kind, dsn=target.dsn, chosen=target.databases.chosen)
        case SqliteTarget():
            return Origin(name=target.name, kind=target.kind, path=target.path)
        case MariadbTarget() | PgbouncerTarget():
            return Origin(name=target.name, kind=target.kind, dsn=target.dsn)
        case HostTarget():
            return Origin(name=target.name, kind=target.kind)
        case _:
            assert_never(target)


def backup_problems(configuration: Configuration) -> Iterator[tuple[Path, str]]:
    """All that is wrong with the backups, each with its place."""
    for path, why in plan_of(configuration).problems:
        yield ("backups", *path), why


def backup_secrets(configuration: Configuration) -> Iterator[Secret]:
    """Every secret that backups need."""
    settings = configuration.backups
    for job in settings.jobs or ():
        yield from (secret for secret in (job.dsn, job.password) if secret is not None)
    for copy in settings.copies:
        listed = (copy.access_key, copy.secret_key, *copy.options.values())
        yield from (value for value in listed if isinstance(value, Secret))
    if settings.heartbeat.dsn is not None:
        yield settings.heartbeat.dsn
