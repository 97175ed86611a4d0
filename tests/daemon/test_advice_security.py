"""Claims about `toban advise security`."""

import json
from pathlib import Path

import pytest

from daemon.answers import narrowing
from daemon.answers.advice_security import _told
from daemon.answers.asking import Asked
from daemon.configuration.tree import Configuration
from daemon.documents_advice import security_documents
from daemon.http.pages import ADVISED
from daemon.security_advice import security_advice
from tests.conftest import NewCluster
from tests.daemon.commanding import toban
from toban.catalogue import CATALOGUE
from toban.catalogue_security import SECURITY
from toban.findings import Finding, Severity
from toban.language import Language


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A host with a configuration file that holds a password, and no programs to ask."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/app.conf").write_text("user = app\npassword = hunter2secret\n")
    (tmp_path / "etc/app.conf").chmod(0o666)
    file = tmp_path / "config.yaml"
    file.write_text(
        f"state: sqlite://{tmp_path}/state.db\nhttp: {{listen: null}}\ncollect:\n"
        f"  files: [{{name: etc, path: {tmp_path}/etc, secrets: true}}]\n"
        f"  certificates: [{{name: web, path: {tmp_path}/*.pem}}]\n"
        "  security: {enabled: false}\n"
    )
    return file


def a_finding(severity: Severity, subject: str, *, run: str = "") -> Finding:
    """A finding of a kind that has a sentence without values."""
    return Finding(severity=severity, subject=subject, what="pg_ssl_off", run=run)


def test_gravest_comes_first() -> None:
    """Then by target and subject; what can be run says so."""
    found = [
        ("b", a_finding(Severity.INFO, "1")),
        ("b", a_finding(Severity.CRITICAL, "2")),
        ("a", a_finding(Severity.WARNING, "4", run="select 1;")),
        ("a", a_finding(Severity.WARNING, "3")),
    ]
    assert [(one.subject, one.action, one.values["severity"]) for one in security_advice(found)] == [
        ("2", "check", "critical"),
        ("3", "check", "warning"),
        ("4", "alter", "warning"),
        ("1", "check", "info"),
    ]


def test_every_finding_of_the_collectors_has_a_sentence() -> None:
    """Whatever word a collector may use, in both languages."""
    assert SECURITY.items() <= CATALOGUE.items()
    root = Path(__file__).parents[2] / "collectors"
    kinds = {
        *("secret_password", "secret_url", "secret_private_key", "secret_cloud_key", "reboot_package", "reboot_kernel"),
    }
    texts = "".join((root / name).read_text() for name in FILES)
    used = {key.removeprefix("advice.") for key in SECURITY}
    assert {key for key in used - kinds if f'"{key}"' not in texts} == set()
    assert kinds <= used


FILES = (
    *(
        "host/files/collector.py",
        "host/files/permissions.py",
        "host/files/contents.py",
        "host/certificates/collector.py",
        "host/security/collector.py",
    ),
    "postgresql/security.py",
)


@pytest.mark.integration
def test_findings_are_measured_without_a_daemon(config: Path) -> None:
    """By file and line, without the secret; what could not be looked at is told beside it."""
    done = toban("-c", config, "advise", "security", "--json")
    found = [(one["subject"], one["reason"], one["values"]["severity"], one["why"]) for one in json.loads(done.out)]
    place = config.parent / "etc/app.conf"
    assert found == [
        (str(place), "file_writable_by_all", "critical", "everybody may write here (mode 0666)"),
        (f"{place}:2", "secret_password", "critical", "a password stands here (mode 0666)"),
    ]
    assert done.status == 0
    assert "*.pem" in done.err
    shown = toban("-c", config, "--lang", "ja", "advise", "security")
    assert "パスワードが記載されています" in shown.out
    assert "hunter2" not in done.out + done.err + shown.out + shown.err


@pytest.mark.integration
def test_findings_of_a_server_come_with_what_mends_them(config: Path, new_cluster: NewCluster) -> None:
    """One target alone: the SQL below the table, and nothing of the host."""
    cluster = new_cluster(16)
    cluster.psql("GRANT CREATE ON SCHEMA public TO PUBLIC")
    text = config.read_text() + f"targets: [{{name: main, kind: postgresql, dsn: '{cluster.dsn()}'}}]\n"
    config.write_text(text)
    done = toban("-c", config, "advise", "security", "--target", "main")
    assert done.status == 0
    assert "REVOKE CREATE ON SCHEMA public FROM PUBLIC;" in done.out.splitlines()
    assert "app.conf" not in done.out


def test_target_that_is_not_configured_is_refused(config: Path) -> None:
    """With the names of those that are."""
    done = toban("-c", config, "advise", "security", "--target", "nowhere")
    assert done.status == 1
    assert "host" in done.err


def test_what_a_daemon_could_not_look_at_is_told_beside_its_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every collector that security rests on, whatever its entries are called, and of the target asked for alone."""
    said = {"reason": "", "detail": "", "hint": "", "gaps": [], "last_success_at": "now"}
    collectors = [
        {**said, "name": "files:etc", "reason": "timeout", "detail": "slow"},
        {**said, "name": "server_security", "gaps": ["pg_hba.conf: privilege (1)"]},
        {**said, "name": "sizes", "reason": "locked"},
    ]
    told = {
        "/api/v1/advice/security": [{"subject": "ssl"}],
        "/api/v1/status": {"targets": [{"name": name, "collectors": collectors} for name in ("main", "other")]},
    }
    monkeypatch.setattr(narrowing, "ask", lambda _, path, **__: told[path])
    asked = Asked(configuration=Configuration.model_construct(), language=Language.EN)
    assert _told(asked, "main") == (
        [{"subject": "ssl"}],
        ["main: no advice on files:etc: statement timed out: slow", "main: pg_hba.conf: privilege (1)"],
    )


def test_daemon_answers_too() -> None:
    """Over its socket, by what it knows."""
    assert ADVISED["security"] is security_documents
