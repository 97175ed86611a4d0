"""Claims about certificates in files and at live servers. All of them real, made with openssl."""

import shutil
import socket
import ssl
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError

from collectors.host.certificates import collector as certificates
from collectors.host.certificates.collector import (
    EXPIRES_AT,
    EXPIRES_IN,
    FOUND,
    TRUSTED,
    CertificatesCollector,
    CertificatesSettings,
)
from collectors.host.certificates.x509 import Read
from collectors.host.files.walking import read_start
from collectors.host.machine import HostMachine
from tests.authority import DAY_SECONDS, Authority, Pair
from tests.builders import START, ManualClock
from tests.clusters import Cluster
from tests.collectors.host.tls_server import Talk, serving
from tests.conftest import NewCluster
from tests.installations import account
from tests.skips import IMPOSSIBLE
from toban.clock import SystemClock
from toban.findings import Finding, Severity
from toban.outcomes import Reason
from toban.samples import Findings, Metric

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="this machine cannot: no openssl")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One root for all tests here."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def fine(authority: Authority) -> Pair:
    """A certificate for this machine that ends in ten days of the system's clock."""
    return authority.pair("fine", ends_at=int(SystemClock().now()) + 10 * DAY_SECONDS)


@pytest.fixture(scope="module")
def expired(authority: Authority) -> Pair:
    """One that ended yesterday."""
    return authority.pair("expired", ends_at=int(SystemClock().now()) - DAY_SECONDS)


def a_collector(clock: ManualClock | None = None, **settings: object) -> CertificatesCollector:
    """An entry called `some`."""
    found = CertificatesSettings.model_validate({"name": "some", **settings})
    return CertificatesCollector(HostMachine(), found, clock or SystemClock())


def series(findings: Findings, metric: Metric) -> dict[tuple[str, ...], float]:
    """The series of a metric, without the entry's name."""
    return {sample.labels[1:]: sample.value for sample in findings.samples if sample.metric is metric}


def told(findings: Findings) -> list[tuple[Severity, str, str]]:
    """What was found."""
    return [(row.severity, row.subject, row.what) for row in findings.rows if isinstance(row, Finding)]


@pytest.mark.integration
async def test_certificate_that_ends_in_ten_days_is_told_to_the_second(
    authority: Authority, manual_clock: ManualClock
) -> None:
    """In base units, and as a finding, since it is within thirty days."""
    pair = authority.pair("ten", ends_at=START + 10 * DAY_SECONDS)
    findings = await a_collector(manual_clock, path=str(pair.cert)).collect()
    labels = (str(pair.cert), "ten")
    assert series(findings, EXPIRES_AT) == {labels: START + 10 * DAY_SECONDS}
    assert series(findings, EXPIRES_IN) == {labels: 10 * DAY_SECONDS}
    assert told(findings) == [(Severity.WARNING, "ten", "certificate_ends")]
    assert series(findings, TRUSTED) == {}
    assert findings.gaps == ()


@pytest.mark.integration
async def test_bundle_has_each_certificate_and_expired_ones_too(
    authority: Authority, manual_clock: ManualClock, tmp_path: Path
) -> None:
    """In one file: what has ended, what ends in a year, and the root; beside it the same in DER."""
    old = authority.pair("old", ends_at=START - DAY_SECONDS)
    new = authority.pair("new", ends_at=START + 365 * DAY_SECONDS)
    key = new.key.read_text()
    bundle = tmp_path / "a.pem"
    bundle.write_text(key + old.cert.read_text() + "some words\n" + new.cert.read_text() + authority.cert.read_text())
    authority.der(new, tmp_path / "b.pem")
    findings = await a_collector(manual_clock, path=str(tmp_path / "*.pem")).collect()
    left = series(findings, EXPIRES_IN)
    assert left.pop((str(bundle), "test root")) > 365 * DAY_SECONDS
    assert left == {
        (str(bundle), "old"): -DAY_SECONDS,
        (str(bundle), "new"): 365 * DAY_SECONDS,
        (str(tmp_path / "b.pem"), "new"): 365 * DAY_SECONDS,
    }
    assert {sample.value for sample in findings.samples if sample.metric is FOUND} == {4}
    assert (Severity.CRITICAL, "old", "certificate_ended") in told(findings)
    assert {subject for _, subject, _ in told(findings)} <= {"old", "test root"}  # the root is younger than our clock


@pytest.mark.integration
async def test_certificate_that_has_not_begun_is_told(authority: Authority, manual_clock: ManualClock) -> None:
    """Renewed too early, or by a machine whose clock is wrong: clients refuse it, however long it is good for."""
    pair = authority.pair("early", begins_at=START + 60, ends_at=START + 365 * DAY_SECONDS)
    assert told(await a_collector(manual_clock, path=str(pair.cert)).collect()) == [
        (Severity.WARNING, "early", "certificate_early")
    ]
    manual_clock.advance(60)
    assert told(await a_collector(manual_clock, path=str(pair.cert)).collect()) == []


@pytest.mark.integration
async def test_series_are_bounded_and_the_soonest_stay(
    authority: Authority, manual_clock: ManualClock, tmp_path: Path
) -> None:
    """All are counted; of two of one subject in one file the sooner counts."""
    first, second = (authority.pair("twin", ends_at=START + days * DAY_SECONDS) for days in (100, 50))
    bundle = tmp_path / "a.pem"
    bundle.write_text(authority.cert.read_text() + second.cert.read_text() + first.cert.read_text())
    findings = await a_collector(manual_clock, path=str(bundle), top=1).collect()
    assert series(findings, EXPIRES_IN) == {(str(bundle), "twin"): 50 * DAY_SECONDS}
    assert {sample.value for sample in findings.samples if sample.metric is FOUND} == {3}


async def test_what_is_no_certificate_is_a_gap(
    authority: Authority, fine: Pair, manual_clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key alone, rubbish, a torn one beside a good one, a link that leads nowhere; and a path that names nothing."""
    (tmp_path / "a.pem").write_bytes(fine.key.read_bytes())
    (tmp_path / "b.pem").write_bytes(b"rubbish")
    torn = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    (tmp_path / "c.pem").write_text(torn + fine.cert.read_text())
    (tmp_path / "d.pem").symlink_to(tmp_path / "nowhere")
    findings = await a_collector(manual_clock, path=str(tmp_path / "*.pem")).collect()
    assert [(Path(gap.what).name, gap.reason, gap.count) for gap in findings.gaps if "d.pem" not in gap.what] == [
        ("a.pem", Reason.CORRUPT, 1),
        ("b.pem", Reason.CORRUPT, 1),
        ("c.pem", Reason.CORRUPT, 1),
    ]
    assert {gap.reason for gap in findings.gaps if "d.pem" in gap.what} == {Reason.NOT_FOUND}
    assert list(series(findings, EXPIRES_AT)) == [(str(tmp_path / "c.pem"), "fine")]
    (gap,) = (await a_collector(manual_clock, path=str(tmp_path / "x*")).collect()).gaps
    assert gap.reason is Reason.NOT_FOUND
    monkeypatch.setattr(certificates, "MOST_FILES", 1)
    findings = await a_collector(manual_clock, path=str(tmp_path / "*.pem")).collect()
    assert [gap.reason for gap in findings.gaps] == [Reason.CORRUPT, Reason.UNSUPPORTED]


async def test_roots_of_this_machine_are_all_read(manual_clock: ManualClock) -> None:
    """Also those of another time, with a serial number that is not allowed any more: not a warning of them."""
    bundle = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
    try:
        roots = read_start(bundle, 4 * 1024**2).count(b"-----BEGIN CERTIFICATE-----")
    except OSError:
        pytest.skip("this machine cannot: it has no bundle of roots")
    findings = await a_collector(manual_clock, path=bundle).collect()
    assert {sample.value for sample in findings.samples if sample.metric is FOUND} == {roots}
    assert findings.gaps == ()


@pytest.mark.parametrize(
    ("names", "host", "expected"),
    [
        (("db1.example.org",), "DB1.example.org.", True),
        (("*.example.org",), "db1.example.org", True),
        (("*.example.org",), "a.db1.example.org", False),
        (("*.example.org",), "example.org", False),
        (("127.0.0.1",), "127.0.0.1", True),
        (("::1",), "0:0:0:0:0:0:0:1", True),
        (("*.0.0.1",), "127.0.0.1", False),
        ((), "db1", False),
    ],
)
def test_names_of_a_certificate_decide_whose_it_is(names: tuple[str, ...], host: str, expected: bool) -> None:  # noqa: FBT001 - a table
    """A wildcard stands for one label; an address is no name."""
    read = Read(subject="x", begins_at=0, ends_at=0, names=names)
    assert read.is_for(host) is expected


@pytest.mark.integration
async def test_live_server_is_read_and_trusted(authority: Authority, fine: Pair) -> None:
    """By whoever trusts its root; by the others it is not, and that is told."""
    with serving(fine) as port:
        place = f"127.0.0.1:{port}"
        trusting = await a_collector(endpoint=place, authorities=str(authority.cert)).collect()
        doubting = await a_collector(endpoint=place).collect()
    assert series(trusting, TRUSTED) == {(place,): 1}
    assert trusting.gaps == ()
    assert 9.9 * DAY_SECONDS < series(trusting, EXPIRES_IN)[place, "fine"] <= 10 * DAY_SECONDS
    assert series(doubting, TRUSTED) == {(place,): 0}
    assert [(gap.what, gap.reason) for gap in doubting.gaps] == [(f"trust in {place}", Reason.AUTHENTICATION)]
    assert "issuer" in doubting.gaps[0].detail
    assert series(doubting, EXPIRES_AT) == series(trusting, EXPIRES_AT)


@pytest.mark.integration
async def test_live_server_with_an_expired_certificate_is_read(authority: Authority, expired: Pair) -> None:
    """When it ended is what matters, and that nobody trusts it any more. Its name is looked at by itself."""
    with serving(expired) as port:
        place = f"127.0.0.1:{port}"
        asked = {"endpoint": place, "authorities": str(authority.cert), "server_name": "db9.example.org"}
        findings = await a_collector(None, **asked).collect()
    assert -1.1 * DAY_SECONDS < series(findings, EXPIRES_IN)[place, "expired"] <= -DAY_SECONDS
    assert told(findings) == [(Severity.CRITICAL, "expired", "certificate_ended")]
    assert series(findings, TRUSTED) == {(place,): 0}
    assert [gap.detail for gap in findings.gaps] == [
        "certificate has expired",
        "it is made out to localhost, 127.0.0.1, not to db9.example.org",
    ]


@pytest.mark.integration
async def test_live_server_with_a_self_signed_certificate_says_so(authority: Authority) -> None:
    """OpenSSL's words for it."""
    pair = authority.self_signed("/O=nobody")
    with serving(pair) as port:
        findings = await a_collector(endpoint=f"127.0.0.1:{port}").collect()
    assert [gap.detail for gap in findings.gaps] == [
        "self-signed certificate",
        "it is made out to no name at all, not to 127.0.0.1",
    ]
    assert [labels[1] for labels in series(findings, EXPIRES_AT)] == ["O=nobody"]


def a_talk(*turns: tuple[bytes, bytes]) -> Talk:
    """A server's part: what it expects, and what it answers."""

    def talk(plain: socket.socket) -> None:
        for expected, answer in turns:
            said = b""
            while len(said) < len(expected):
                said += plain.recv(len(expected) - len(said))
            assert said == expected
            plain.sendall(answer)

    return talk


SMTP = a_talk(
    (b"", b"220 mail ESMTP\r\n"), (b"EHLO toban\r\n", b"250-mail\r\n250 STARTTLS\r\n"), (b"STARTTLS\r\n", b"220 go\r\n")
)
IMAP = a_talk((b"", b"* OK ready\r\n"), (b"a STARTTLS\r\n", b"a OK begin\r\n"))
POP3 = a_talk((b"", b"+OK ready\r\n"), (b"STLS\r\n", b"+OK begin\r\n"))
FTP = a_talk((b"", b"220-hello\r\n220 ready\r\n"), (b"AUTH TLS\r\n", b"234 go\r\n"))


@pytest.mark.integration
@pytest.mark.parametrize(
    ("starttls", "talk"),
    [("smtp", SMTP), ("imap", IMAP), ("pop3", POP3), ("ftp", FTP)],
    ids=["smtp", "imap", "pop3", "ftp"],
)
async def test_protocol_that_begins_in_the_clear_is_followed(
    authority: Authority, fine: Pair, starttls: str, talk: Talk
) -> None:
    """Up to where TLS begins, as its RFC has it; then the certificate is read."""
    with serving(fine, talk) as port:
        asked = {"endpoint": f"127.0.0.1:{port}", "starttls": starttls, "authorities": str(authority.cert)}
        findings = await a_collector(None, **asked).collect()
    assert findings.gaps == ()
    assert [labels[1] for labels in series(findings, EXPIRES_AT)] == ["fine"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("talk", "starttls", "reason"),
    [
        (
            a_talk((b"", b"220 mail\r\n"), (b"EHLO toban\r\n", b"250 mail\r\n"), (b"STARTTLS\r\n", b"454 no\r\n")),
            "smtp",
            Reason.UNSUPPORTED,
        ),
        (a_talk((b"", b"220-" + b"x" * 5000)), "smtp", Reason.UNSUPPORTED),
        (a_talk((b"", b"hello, this is no TLS\r\n")), "none", Reason.UNSUPPORTED),
        (lambda plain: plain.shutdown(socket.SHUT_RDWR), "none", Reason.UNSUPPORTED),
        (lambda plain: plain.recv(1000), "imap", Reason.UNANSWERED),
    ],
    ids=["refuses", "goes on for ever", "no TLS", "hangs up", "says nothing"],
)
async def test_server_without_tls_is_a_gap(fine: Pair, talk: Talk, starttls: str, reason: Reason) -> None:
    """It answers, but not as it should."""
    with serving(fine, talk) as port:
        bound = "1500ms" if reason is Reason.UNANSWERED else "1m"
        findings = await a_collector(endpoint=f"127.0.0.1:{port}", starttls=starttls, timeout=bound).collect()
    assert [gap.reason for gap in findings.gaps] == [reason]
    assert findings.gaps[0].hint
    assert series(findings, EXPIRES_AT) == {}


async def test_place_where_nobody_listens_is_a_gap() -> None:
    """The port is taken and nobody listens on it; the host itself is not down for it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        findings = await a_collector(endpoint=f"127.0.0.1:{taken.getsockname()[1]}").collect()
    assert [gap.reason for gap in findings.gaps] == [Reason.UNREACHABLE]


async def test_host_that_none_can_have_is_a_gap() -> None:
    """A label of a name ends at 63 letters; whoever mistyped it is told, and the collector does not fail."""
    findings = await a_collector(endpoint=f"{'x' * 70}.example.org:443").collect()
    assert [gap.reason for gap in findings.gaps] == [Reason.UNREACHABLE]


@pytest.mark.integration
async def test_end_of_a_certificate_is_told_whatever_becomes_of_the_question_of_trust(
    fine: Pair, tmp_path: Path
) -> None:
    """The file of roots is gone, or the server takes no second connection: when it ends was seen by then."""
    with serving(fine) as port:
        place = f"127.0.0.1:{port}"
        findings = await a_collector(endpoint=place, authorities=str(tmp_path / "none.pem")).collect()
    assert list(series(findings, EXPIRES_AT)) == [(place, "fine")]
    assert series(findings, TRUSTED) == {}
    assert [(gap.what, gap.reason) for gap in findings.gaps] == [(f"trust in {place}", Reason.NOT_FOUND)]
    assert str(tmp_path / "none.pem") in findings.gaps[0].detail


async def test_look_that_does_not_come_back_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that is silent holds up a thread, not the turn; the next turn begins no second one."""
    held = threading.Event()
    monkeypatch.setattr(certificates, "shown_certificate", lambda *_, **__: held.wait(120))
    collector = a_collector(endpoint="127.0.0.1:1", timeout="50ms")
    reasons = [(await collector.collect()).gaps[0].reason for _ in range(2)]
    held.set()
    assert reasons == [Reason.UNANSWERED, Reason.STUCK]


@pytest.fixture
def with_ssl(new_cluster: NewCluster, fine: Pair) -> Cluster:
    """A PostgreSQL server that has the certificate."""
    cluster = new_cluster(start=False)
    for source, name in ((fine.cert, "server.crt"), (fine.key, "server.key")):
        place = cluster.data_dir / name
        shutil.copyfile(source, place)
        place.chmod(0o600)
        shutil.chown(place, account().pw_uid, account().pw_gid)
    cluster.configure(ssl="on")
    try:
        cluster.start()
    except RuntimeError as refused:
        if "SSL is not supported by this build" not in str(refused):
            raise
        pytest.skip(f"{IMPOSSIBLE}the PostgreSQL of the wheel has no TLS: apt-get install postgresql")
    return cluster


@pytest.mark.integration
async def test_postgresql_shows_its_certificate(authority: Authority, with_ssl: Cluster) -> None:
    """After its own SSLRequest. The server's log has no complaint of it."""
    place = f"localhost:{with_ssl.port}"
    findings = await a_collector(endpoint=place, starttls="postgresql", authorities=str(authority.cert)).collect()
    assert 9.9 * DAY_SECONDS < series(findings, EXPIRES_IN)[place, "fine"] <= 10 * DAY_SECONDS
    assert series(findings, TRUSTED) == {(place,): 1}
    assert findings.gaps == ()
    assert "FATAL" not in with_ssl.log_text()


@pytest.mark.integration
async def test_postgresql_without_ssl_says_so(postgres15: Cluster) -> None:
    """It answers N, and the gap tells what that means."""
    findings = await a_collector(endpoint=f"127.0.0.1:{postgres15.port}", starttls="postgresql").collect()
    assert [(gap.reason, gap.detail) for gap in findings.gaps] == [(Reason.UNSUPPORTED, "the server has `ssl` off")]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"path": "/a", "endpoint": "a:1"},
        {"path": "a.pem"},
        *({"endpoint": text} for text in ("db1", "db1:", ":5432", "db1:0", "db1:99999", "::1:5432", "db1:x")),
        {"endpoint": "db1:25", "starttls": "telnet"},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    """Files or an endpoint, and that is a host and a port."""
    with pytest.raises(ValidationError):
        CertificatesSettings.model_validate({"name": "some", **settings})


@pytest.mark.parametrize("endpoint", ["db1:5432", "[::1]:5432", "10.0.0.1:443"])
def test_endpoint_is_a_host_and_a_port(endpoint: str) -> None:
    """IPv6 stands in brackets."""
    assert CertificatesSettings(name="some", endpoint=endpoint).endpoint == endpoint
