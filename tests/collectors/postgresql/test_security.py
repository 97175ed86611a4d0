"""Claims about how a server is guarded. All of them at real servers."""

import pytest

from collectors.postgresql import security
from collectors.postgresql.security import (
    CHECKSUMS,
    EVERYWHERE_METRIC,
    LOGS,
    MD5,
    PLAIN,
    PUBLIC_CREATE,
    ROLES,
    RULES,
    SCRAM,
    SSL,
    PgSecurity,
    PgSecuritySettings,
)
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import series, value, watching
from tests.conftest import NewCluster
from toban.clock import SystemClock
from toban.findings import Finding, Severity
from toban.outcomes import Reason
from toban.samples import Batch, Findings

pytestmark = pytest.mark.integration

HBA = (
    "host shop app 10.0.0.0/8 trust",
    "host all all 10.1.0.0/16 password",
    "hostssl all all 10.2.0.0/16 password",
    "host all all 10.3.0.0 255.255.0.0 md5",
    "host all all 10.4.0.0/16 scram-sha-256",
)


async def measured(cluster: Cluster, *, user: str = "postgres") -> Findings:
    """One turn as this role."""
    async with watching(cluster, SystemClock(), user=user) as server:
        return await PgSecurity(server, PgSecuritySettings(), ManualClock()).collect()


def told(findings: Findings) -> dict[tuple[str, str], Severity]:
    """How grave each finding is, by its kind and subject."""
    return {(row.what, row.subject): row.severity for row in findings.rows if isinstance(row, Finding)}


@pytest.mark.parametrize("major", [15, 16, 18])
async def test_open_server_is_called_open(new_cluster: NewCluster, major: int) -> None:
    """No TLS, MD5, trust from elsewhere, roles that may do everything: each is told, and counted exactly."""
    cluster = new_cluster(major, settings={"password_encryption": "md5", "log_connections": "off"}, hba=HBA)
    cluster.psql("CREATE ROLE boss SUPERUSER")
    cluster.psql("CREATE ROLE sees_all BYPASSRLS")
    cluster.psql("CREATE ROLE copies REPLICATION LOGIN VALID UNTIL '2999-01-01'")
    cluster.psql("CREATE ROLE late LOGIN PASSWORD 'hunter2' VALID UNTIL '2001-01-01'")
    cluster.psql("GRANT CREATE ON SCHEMA public TO PUBLIC")
    findings = await measured(cluster)
    assert [value(findings, metric) for metric in (SSL, SCRAM, EVERYWHERE_METRIC, LOGS, MD5)] == [0, 0, 0, 0, 1]
    assert value(findings, PUBLIC_CREATE, "postgres") == 1
    assert series(findings, ROLES) == {
        ("superuser",): 2,
        ("bypassrls",): 2,
        ("replication",): 2,
        ("createrole",): 1,
        ("no_expiry",): 1,
        ("expired",): 1,
    }
    rules = series(findings, RULES)
    own = len([line for line in hba_of(cluster) if line.endswith("trust")])
    assert rules == {("trust",): own, ("password",): 1, ("md5",): 1, ("scram-sha-256",): 1}
    found = told(findings)
    expected = {
        ("pg_ssl_off", "ssl"): Severity.WARNING,
        ("pg_md5_new", "password_encryption"): Severity.WARNING,
        ("pg_log_connections_off", "log_connections"): Severity.INFO,
        ("pg_public_create", "public"): Severity.WARNING,
        ("pg_role_superuser", "boss"): Severity.WARNING,
        ("pg_role_bypassrls", "sees_all"): Severity.INFO,
        ("pg_role_replication", "copies"): Severity.INFO,
        ("pg_role_expired", "late"): Severity.WARNING,
        ("pg_md5_verifier", "late"): Severity.WARNING,
        ("pg_hba_trust", "pg_hba.conf:1"): Severity.CRITICAL,
        ("pg_hba_password", "pg_hba.conf:2"): Severity.CRITICAL,
        ("pg_hba_error", "pg_hba.conf:3"): Severity.WARNING,  # hostssl, and there is no SSL
        ("pg_hba_md5", "pg_hba.conf:4"): Severity.INFO,
    }
    assert expected.items() <= found.items()
    near = {
        severity for (what, subject), severity in found.items() if what == "pg_hba_trust" and subject != "pg_hba.conf:1"
    }
    assert near == {Severity.WARNING}
    checksums = value(findings, CHECKSUMS)
    assert checksums == float(cluster.psql("SHOW data_checksums") == "on")
    assert (("pg_checksums_off", "data_checksums") in found) is (checksums == 0)
    assert set(found) - set(expected) == {key for key in found if key[0] in ("pg_hba_trust", "pg_checksums_off")} - {
        ("pg_hba_trust", "pg_hba.conf:1")
    }
    assert findings.gaps == ()
    assert "hunter2" not in repr(findings)


def hba_of(cluster: Cluster) -> list[str]:
    """The rules as they stand in the file."""
    lines = (cluster.data_dir / "pg_hba.conf").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


async def test_guarded_server_has_nothing_to_tell(new_cluster: NewCluster) -> None:
    """The defaults of today, connections logged; what a rule cannot say is told as such."""
    settings = {"log_connections": "on", "password_encryption": "scram-sha-256", "listen_addresses": "127.0.0.1"}
    cluster = new_cluster(16, settings=settings)
    cluster.psql("CREATE ROLE app LOGIN PASSWORD 'hunter2'")
    findings = await measured(cluster)
    assert [value(findings, metric) for metric in (SCRAM, LOGS, MD5)] == [1, 1, 0]
    assert value(findings, PUBLIC_CREATE, "postgres") == 0
    assert {what for what, _ in told(findings)} <= {"pg_ssl_off", "pg_checksums_off", "pg_hba_trust"}
    rules = cluster.data_dir / "pg_hba.conf"
    rules.write_text("host all all nonsense/99 trust\n" + rules.read_text())
    findings = await measured(cluster)
    (broken,) = [row for row in findings.rows if isinstance(row, Finding) and row.what == "pg_hba_error"]
    assert broken.severity is Severity.WARNING
    assert "nonsense" in broken.values["error"]


async def test_server_on_every_address_without_tls_is_grave(new_cluster: NewCluster) -> None:
    """Whoever can reach the machine can listen in. Here its port is bound to every address for a moment."""
    cluster = new_cluster(settings={"listen_addresses": "localhost, 0.0.0.0"}, hba=("host all all all reject",))
    (cluster.data_dir / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n")
    cluster.reload()
    findings = await measured(cluster)
    assert value(findings, EVERYWHERE_METRIC) == 1
    assert told(findings)["pg_ssl_off", "ssl"] is Severity.CRITICAL
    assert told(findings)["pg_listens_everywhere", "listen_addresses"] is Severity.INFO


async def test_sessions_without_tls_are_counted(postgres: Cluster) -> None:
    """Ours comes over TCP; from elsewhere none does."""
    findings = await measured(postgres)
    assert (value(findings, PLAIN, "loopback") or 0) >= 1
    assert value(findings, PLAIN, "remote") == 0


async def test_role_without_privileges_gets_gaps_that_mend(new_cluster: NewCluster) -> None:
    """The SQL of the hint is run, and the gap of the rules is gone; stored passwords stay a superuser's affair."""
    cluster = new_cluster()
    cluster.psql('CREATE ROLE "to ban" LOGIN')
    findings = await measured(cluster, user="to ban")
    gaps = {gap.what: gap for gap in findings.gaps}
    assert gaps.keys() == {"sessions without TLS", "pg_hba.conf", "stored passwords"}
    assert {gap.reason for gap in findings.gaps} == {Reason.PRIVILEGE}
    assert series(findings, RULES) == series(findings, PLAIN) == series(findings, MD5) == {}
    assert value(findings, SSL) == 0
    cluster.psql('GRANT pg_monitor TO "to ban"')
    for statement in gaps["pg_hba.conf"].hint.split("; ")[:2]:
        cluster.psql(statement)
    findings = await measured(cluster, user="to ban")
    assert [gap.what for gap in findings.gaps] == ["stored passwords"]
    assert series(findings, RULES)["trust",] >= 1


async def test_findings_are_bounded(postgres15: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with thousands of rules is not printed whole; a DSN without a role names none in the hint."""
    monkeypatch.setattr(security, "MOST_TOLD", 1)
    assert len([what for what, _ in told(await measured(postgres15)) if what == "pg_hba_trust"]) == 1
    assert "the role in `dsn`" in security._hba_hint(None)


@pytest.mark.parametrize(
    ("address", "netmask", "near"),
    [
        ("127.0.0.1", "255.255.255.255", True),
        ("127.0.0.0", "255.0.0.0", True),
        ("127.0.0.1", "128.0.0.0", False),
        ("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", True),
        ("::1", "ffff::", False),
        ("::1:2", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", False),
        ("localhost", "", True),
        ("localhost.example.org", "", False),
        ("all", "", False),
    ],
)
def test_trust_is_less_grave_on_the_machine_itself_alone(address: str, netmask: str, *, near: bool) -> None:
    """A loopback address behind a mask that lets in others, or a name that begins like it, is elsewhere."""
    row = {
        "file": "pg_hba.conf",
        "line_number": 1,
        "type": "host",
        "auth_method": "trust",
        "address": address,
        "netmask": netmask,
        "databases": "all",
        "users": "all",
        "error": "",
    }
    found = security._rule(row)
    assert found is not None
    assert found.severity is (Severity.WARNING if near else Severity.CRITICAL)


@pytest.mark.parametrize("written", ["on", "yes", "receipt,authentication", "off", "no", "false", "0", ""])
def test_log_connections_is_read_as_it_was_written(written: str) -> None:
    """Since 18 the server gives back the word that stands in the file."""
    batch = Batch(0.0)
    list(PgSecurity.__new__(PgSecurity)._server(batch, [], {**A_SERVER, "log_connections": written}))
    (logs,) = [sample.value for sample in batch.samples if sample.metric is LOGS]
    assert logs == float(written in ("on", "yes", "receipt,authentication"))


A_SERVER = {
    "ssl": True,
    "password_encryption": "scram-sha-256",
    "listen_addresses": "10.0.0.1",
    "data_checksums": True,
    "log_connections": "all",
    "datname": "shop",
    "sees_sessions": True,
    "plain_remote": 0,
    "plain_loopback": 0,
    "public_create": False,
}


@pytest.mark.parametrize(("remote", "severity"), [(3, Severity.WARNING), (0, None)])
def test_sessions_from_elsewhere_without_tls_are_a_finding(remote: int, severity: Severity | None) -> None:
    """No machine of the tests has a second address to come from: the row is made up."""
    row = {**A_SERVER, "plain_remote": remote}
    collector = PgSecurity.__new__(PgSecurity)
    found = list(collector._server(Batch(0.0), [], row))
    assert [(one.severity, one.what, dict(one.values)) for one in found] == (
        [(severity, "pg_plain_sessions", {"count": "3"})] if severity else []
    )
