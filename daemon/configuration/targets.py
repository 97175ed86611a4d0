"""What can be watched: a model for each kind of target, told apart by `kind`."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from collectors.mariadb.server import MariadbLimits
from collectors.mariadb.session import PARAMETERS
from collectors.mariadb.session import SSL_MODES as MARIADB_SSL_MODES
from collectors.pgbouncer.console import ConsoleLimits
from collectors.pgbouncer.failures import CONSOLE
from collectors.postgresql.server import Databases, ServerLimits
from toban.config import EMPTY_IS_DEFAULT, AbsolutePath, Duration, Model, Name, misfit
from toban.secrets import Dsn

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
HOST_NAME = "host"

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def _are_labels(labels: dict[str, str]) -> dict[str, str]:
    for name in labels:
        if not _LABEL.fullmatch(name) or name.startswith("__"):
            raise misfit("is no label; use letters, digits and _, not a digit first, not __", name)
        if name == "target":
            raise misfit("every sample has this label already; it is the target's name", name)
        if name == "kind":
            raise misfit("toban_target_info has this label already; it is the target's kind", name)
    return labels


Labels = Annotated[dict[str, str], EMPTY_IS_DEFAULT, AfterValidator(_are_labels)]


class HostTarget(Model):
    """The machine the daemon runs on."""

    name: Name = HOST_NAME
    kind: Literal["host"] = "host"
    labels: Labels = Field(default_factory=dict)


class PostgresqlTarget(Model):
    """A PostgreSQL server."""

    name: Name
    kind: Literal["postgresql"] = "postgresql"
    dsn: Dsn
    databases: Annotated[Databases, EMPTY_IS_DEFAULT] = Databases()
    labels: Labels = Field(default_factory=dict)
    limits: Annotated[ServerLimits, EMPTY_IS_DEFAULT] = ServerLimits()
    budget: Duration = Field(default=0.6, description="Server time a minute; beyond it the cadences stretch.")

    @field_validator("dsn")
    @classmethod
    def _is_postgresql(cls, dsn: Dsn) -> Dsn:
        if dsn.parts.scheme not in ("postgresql", "postgres"):
            raise misfit("begins with another scheme; write postgresql://user@host:port/database")
        mode = dict(dsn.parameters).get("sslmode", "prefer")
        if mode not in SSL_MODES:
            raise misfit(f"has an unknown sslmode; there are {', '.join(SSL_MODES)}")
        return dsn


class SqliteTarget(Model):
    """An SQLite file, opened for reading only."""

    name: Name
    kind: Literal["sqlite"] = "sqlite"
    path: AbsolutePath
    labels: Labels = Field(default_factory=dict)


class PgbouncerTarget(Model):
    """A PgBouncer, through its admin console."""

    name: Name
    kind: Literal["pgbouncer"] = "pgbouncer"
    dsn: Dsn
    labels: Labels = Field(default_factory=dict)
    limits: Annotated[ConsoleLimits, EMPTY_IS_DEFAULT] = ConsoleLimits()

    @field_validator("dsn")
    @classmethod
    def _is_a_console(cls, dsn: Dsn) -> Dsn:
        if dsn.parts.scheme not in ("postgresql", "postgres"):
            raise misfit("begins with another scheme; write postgresql://user@host:6432/pgbouncer")
        if dsn.parts.path.strip("/") not in ("", CONSOLE):
            raise misfit("names another database than PgBouncer's console; end it with /pgbouncer")
        return dsn


class MariadbTarget(Model):
    """A MariaDB or MySQL server."""

    name: Name
    kind: Literal["mariadb"] = "mariadb"
    dsn: Dsn
    labels: Labels = Field(default_factory=dict)
    limits: Annotated[MariadbLimits, EMPTY_IS_DEFAULT] = MariadbLimits()
    budget: Duration = Field(default=0.6, description="Server time a minute; beyond it the cadences stretch.")

    @field_validator("dsn")
    @classmethod
    def _is_mysql(cls, dsn: Dsn) -> Dsn:
        if dsn.parts.scheme not in ("mysql", "mariadb"):
            raise misfit("begins with another scheme; write mysql://user@host:port/")
        for name, value in dsn.parameters:
            if name not in PARAMETERS:
                raise misfit(f"has an unknown parameter; there are {', '.join(PARAMETERS)}")
            if name == "ssl-mode" and value.lower() not in MARIADB_SSL_MODES:
                raise misfit(f"has an unknown ssl-mode; there are {', '.join(MARIADB_SSL_MODES)}")
        return dsn


Target = Annotated[
    HostTarget | PostgresqlTarget | SqliteTarget | PgbouncerTarget | MariadbTarget, Field(discriminator="kind")
]


def with_host(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    """The targets, with the machine itself among them even when nobody listed it."""
    if any(isinstance(target, HostTarget) for target in targets):
        return targets
    return (HostTarget(), *targets)
