"""How a PostgreSQL server is guarded: encryption, passwords, who may do everything, who gets in without a password."""

from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote

import asyncpg

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query, quote_identifier
from toban.config import Duration
from toban.findings import Finding, Severity
from toban.outcomes import Gap, Reason
from toban.printable import printable
from toban.samples import Batch, Findings, Metric

MOST_ROWS = 1000
MOST_TOLD = 50
LOGS_NOTHING = frozenset({"", "off", "no", "false", "0"})  # since 18 a list, told as it was written
LOOPBACK_MASKS = {4: 0xFF << 24, 6: 2**128 - 1}  # by version: what a mask must hold at least
EVERYWHERE = frozenset({"*", "0.0.0.0", "::"})  # noqa: S104 - looked for, not bound to
WEAK_METHODS = ("trust", "password", "md5")

SSL = Metric(name="toban_pg_security_ssl", help="1 when the server offers TLS")
SCRAM = Metric(name="toban_pg_security_scram", help="1 when new passwords are stored as SCRAM-SHA-256")
EVERYWHERE_METRIC = Metric(
    name="toban_pg_security_listens_everywhere", help="1 when the server listens on every address of its machine"
)
CHECKSUMS = Metric(name="toban_pg_security_data_checksums", help="1 when pages carry checksums")
LOGS = Metric(name="toban_pg_security_logs_connections", help="1 when connections are logged")
PLAIN = Metric(
    name="toban_pg_security_plain_connections",
    help="Sessions over TCP without TLS, from this machine (loopback) and from others (remote)",
    labels=("from",),
)
PUBLIC_CREATE = Metric(
    name="toban_pg_security_public_create",
    help="1 when everybody may create objects in the schema public",
    labels=("datname",),
)
ROLES = Metric(
    name="toban_pg_security_roles",
    help="Roles by what is special about them; no_expiry and expired are about the passwords of those that log in",
    labels=("attribute",),
)
RULES = Metric(
    name="toban_pg_security_hba_rules", help="Rules of pg_hba.conf by their method", labels=("method",), kept=True
)
MD5 = Metric(name="toban_pg_security_md5_verifiers", help="Roles whose stored password is a mere MD5 hash")

_SERVER = Query("security")
_ROLES = Query("security_roles")
_HBA = Query("security_hba")
_VERIFIERS = Query("security_verifiers")


class PgSecuritySettings(CollectorSettings):
    """It changes rarely."""

    every: Duration = 3600.0


class PgSecurity(Collector[PostgresServer, PgSecuritySettings]):
    """The server's side of security."""

    name = "server_security"
    purpose = "Whether the server lets in whom it should not: trust rules, weak passwords, missing TLS."
    kind = Kind.POSTGRESQL
    metrics = (SSL, SCRAM, EVERYWHERE_METRIC, CHECKSUMS, LOGS, PLAIN, PUBLIC_CREATE, ROLES, RULES, MD5)
    settings_model = PgSecuritySettings

    async def collect(self) -> Findings:
        """Ask for what everybody may see, then for what only some may."""
        batch, gaps = Batch(self.clock.now()), list[Gap]()
        (server,) = await self.source.fetch(_SERVER)
        roles = await self.source.fetch(_ROLES, MOST_TOLD)
        rows = [*self._server(batch, gaps, server), *_roles(batch, roles)]
        rules = await self._if_allowed(gaps, _HBA, "pg_hba.conf", _hba_hint(self.source.dsn.parts.username))
        if rules is not None:
            rows += _rules(batch, rules)
        verifiers = await self._if_allowed(gaps, _VERIFIERS, "stored passwords", _VERIFIERS_HINT)
        if verifiers is not None:
            batch.add(MD5, len(verifiers))
            rows += [_weak_verifier(row["rolname"]) for row in verifiers[:MOST_TOLD]]
        return Findings(samples=batch.samples, gaps=tuple(gaps), rows=tuple(rows))

    def _server(self, batch: Batch, gaps: list[Gap], row: Any) -> Iterator[Finding]:  # noqa: ANN401 - asyncpg ships no types
        listens = {address.strip() for address in row["listen_addresses"].split(",")}
        scram = row["password_encryption"] == "scram-sha-256"  # noqa: S105 - a method, no password
        logs = row["log_connections"] not in LOGS_NOTHING
        everywhere = bool(listens & EVERYWHERE)
        batch.add(SSL, row["ssl"])
        batch.add(SCRAM, scram)
        batch.add(EVERYWHERE_METRIC, everywhere)
        batch.add(CHECKSUMS, row["data_checksums"])
        batch.add(LOGS, logs)
        batch.add(PUBLIC_CREATE, row["public_create"], row["datname"])
        if row["sees_sessions"]:
            batch.add(PLAIN, row["plain_loopback"], "loopback")
            batch.add(PLAIN, row["plain_remote"], "remote")
        else:
            gaps.append(_unseen_sessions())
        if not row["ssl"]:
            grave = Severity.CRITICAL if everywhere else Severity.WARNING
            yield Finding(severity=grave, subject="ssl", what="pg_ssl_off")
        if not scram:
            yield _setting("password_encryption", "pg_md5_new", "'scram-sha-256'", Severity.WARNING)
        if everywhere:
            yield Finding(severity=Severity.INFO, subject="listen_addresses", what="pg_listens_everywhere")
        if not row["data_checksums"]:
            yield Finding(severity=Severity.WARNING, subject="data_checksums", what="pg_checksums_off")
        if not logs:
            yield _setting("log_connections", "pg_log_connections_off", "on", Severity.INFO)
        if row["public_create"]:
            yield Finding(
                severity=Severity.WARNING,
                subject="public",
                what="pg_public_create",
                database=row["datname"],
                run="REVOKE CREATE ON SCHEMA public FROM PUBLIC;",
            )
        if row["sees_sessions"] and row["plain_remote"]:
            values = {"count": str(row["plain_remote"])}
            yield Finding(severity=Severity.WARNING, subject="sessions", what="pg_plain_sessions", values=values)

    async def _if_allowed(self, gaps: list[Gap], query: Query, what: str, hint: str) -> list[Any] | None:
        try:
            return await self.source.fetch(query, MOST_ROWS)
        except asyncpg.InsufficientPrivilegeError as error:
            detail = self.source.explain(error).detail
            gaps.append(Gap(what=what, reason=Reason.PRIVILEGE, detail=detail, hint=hint))
            return None


_VERIFIERS_HINT = (
    "only a superuser may look, which Toban should not be: run "
    "`select rolname from pg_authid where rolpassword like 'md5%'` as one"
)


def _hba_hint(role: str | None) -> str:
    to = quote_identifier(unquote(role)) if role else "the role in `dsn`"
    return (
        f"GRANT SELECT ON pg_catalog.pg_hba_file_rules TO {to}; "
        f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO {to}; in the database of `dsn`"
    )


def _unseen_sessions() -> Gap:
    detail = "this role may not see where the sessions of others come from"
    return Gap(what="sessions without TLS", reason=Reason.PRIVILEGE, detail=detail, hint="GRANT pg_monitor TO it")


def _setting(name: str, what: str, value: str, severity: Severity) -> Finding:
    run = f"ALTER SYSTEM SET {name} = {value}; SELECT pg_reload_conf();"
    return Finding(severity=severity, subject=name, what=what, run=run)


def _roles(batch: Batch, rows: list[Any]) -> Iterator[Finding]:
    counted = rows[0]
    for attribute in ("superuser", "bypassrls", "replication", "createrole", "no_expiry"):
        batch.add(ROLES, counted[attribute], attribute)
    batch.add(ROLES, counted["expired_count"], "expired")
    for row in rows:
        if row["rolname"] is not None:
            yield _role(row)


def _role(row: Any) -> Finding:  # noqa: ANN401 - asyncpg ships no types
    """The gravest thing about a role."""
    subject = printable(row["rolname"])
    if row["expired"]:
        return Finding(severity=Severity.WARNING, subject=subject, what="pg_role_expired")
    if row["rolsuper"]:
        return Finding(severity=Severity.WARNING, subject=subject, what="pg_role_superuser")
    what = "pg_role_bypassrls" if row["rolbypassrls"] else "pg_role_replication"
    return Finding(severity=Severity.INFO, subject=subject, what=what)


def _weak_verifier(role: str) -> Finding:
    return Finding(severity=Severity.WARNING, subject=printable(role), what="pg_md5_verifier")


def _rules(batch: Batch, rows: list[Any]) -> list[Finding]:
    methods = Counter(dict.fromkeys(WEAK_METHODS, 0))
    methods.update(row["auth_method"] for row in rows if not row["error"])
    for method, count in sorted(methods.items()):
        batch.add(RULES, count, method)
    return [found for row in rows if (found := _rule(row)) is not None][:MOST_TOLD]


def _rule(row: Any) -> Finding | None:  # noqa: ANN401 - asyncpg ships no types
    """What is wrong with one rule. Nobody's password crosses a socket of the machine itself, nor is read there."""
    subject = f"{row['file']}:{row['line_number']}"
    if row["error"]:
        values = {"error": printable(row["error"])}
        return Finding(severity=Severity.WARNING, subject=subject, what="pg_hba_error", values=values)
    near = row["type"] == "local" or _is_near(row["address"], row["netmask"])
    place = " ".join(filter(None, (row["type"], row["address"], row["netmask"])))
    values = {"users": printable(row["users"]), "databases": printable(row["databases"]), "place": printable(place)}
    if row["auth_method"] == "trust":
        grave = Severity.WARNING if near else Severity.CRITICAL
        return Finding(severity=grave, subject=subject, what="pg_hba_trust", values=values)
    if row["auth_method"] == "password" and row["type"] != "hostssl" and not near:
        return Finding(severity=Severity.CRITICAL, subject=subject, what="pg_hba_password", values=values)
    if row["auth_method"] == "md5":
        return Finding(severity=Severity.INFO, subject=subject, what="pg_hba_md5", values=values)
    return None


def _is_near(address: str, netmask: str) -> bool:
    """Whether an address means this machine alone: 127.0.0.1 behind a short mask is all the world."""
    if address in ("localhost", "samehost"):
        return True
    try:
        first, mask = ip_address(address), ip_address(netmask)
    except ValueError:
        return False  # a name, `all`, `samenet`
    least = LOOPBACK_MASKS[first.version]
    return first.is_loopback and first.version == mask.version and int(mask) & least == least
