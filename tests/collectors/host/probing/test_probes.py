"""Probes of real services on this machine: each way to be up, and each to be down."""

import asyncio
import gzip
import shutil
import ssl
from pathlib import Path

import pytest

from collectors.host.probing import clients
from collectors.host.probing.attempt import fault_of
from collectors.host.probing.collector import (
    ATTEMPTS,
    DURATION,
    ERROR_RATIO,
    ERRORS,
    EXPIRES,
    STATUS,
    UP,
    ProbesCollector,
)
from collectors.host.probing.settings import ProbesSettings
from tests.authority import Authority
from tests.builders import START
from tests.collectors.host.probing.services import OK, a_probe, hang, phases, service, value, why
from tests.ports import free_port
from toban.clock import SystemClock
from toban.outcomes import Reason
from toban.samples import Findings

pytestmark = pytest.mark.integration
HOURS = 3600.0


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A root of the test's own."""
    if shutil.which("openssl") is None:
        pytest.skip("this machine cannot: no openssl")
    return Authority(tmp_path)


def redirect(to: str) -> bytes:
    """An answer that leads on."""
    return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


async def test_service_that_answers_is_up() -> None:
    """With its status, its times and no reason."""
    async with service(OK) as one:
        found = await a_probe(f"http://127.0.0.1:{one.port}/health").collect()
    assert (value(found, UP), value(found, STATUS), value(found, ERROR_RATIO)) == (1.0, 200.0, 0.0)
    assert (value(found, ATTEMPTS), value(found, ERRORS), value(found, EXPIRES)) == (1.0, 0.0, None)
    assert phases(found) == {"connect", "first_byte", "total"}
    assert why(found) is None
    parts = [value(found, DURATION, phase) or 0 for phase in ("connect", "first_byte")]
    assert sum(parts) <= (value(found, DURATION, "total") or 0)
    assert one.requests[0].startswith("GET /health HTTP/1.1\r\n")


async def test_request_is_what_the_entry_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Method, headers and login; no proxy of the environment's, no connection kept."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with service(OK) as one:
        url = f"http://toban:hunter2@127.0.0.1:{one.port}/health?verbose"
        found = await a_probe(url, method="HEAD", headers={"X-Token": "hunter3"}).collect()
    assert value(found, UP) == 1.0
    (head,) = one.requests
    assert head.startswith("HEAD /health?verbose HTTP/1.1\r\n")
    lines = {line.lower() for line in head.splitlines()}
    assert {"x-token: hunter3", "connection: close", "accept-encoding: identity"} <= lines
    assert "authorization: basic dg9iyw46ahvudgvymg==" in lines


async def test_each_attempt_is_a_connection_of_its_own() -> None:
    """A service that takes no more connections is found out."""
    async with service(OK) as one:
        probe = a_probe(f"http://127.0.0.1:{one.port}/")
        found = [await probe.collect() for _ in range(3)]
    assert len(one.requests) == 3
    assert value(found[-1], ATTEMPTS) == 3.0


async def test_status_that_is_not_wanted_is_down() -> None:
    """The host is not: it is a gap, with the status as a value."""
    async with service(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") as one:
        found = await a_probe(f"http://127.0.0.1:{one.port}/").collect()
    assert (value(found, UP), value(found, STATUS), value(found, ERRORS)) == (0.0, 503.0, 1.0)
    assert why(found) == ("unexpected", "status 503", "expected 200-399")


@pytest.mark.parametrize(("wanted", "up"), [([503], 1.0), (["500-599"], 1.0), ([200, "204-503"], 1.0), ([200], 0.0)])
async def test_status_may_be_any_that_the_entry_names(wanted: list[int | str], up: float) -> None:
    """Numbers and ranges."""
    async with service(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") as one:
        found = await a_probe(f"http://127.0.0.1:{one.port}/", status=wanted).collect()
    assert value(found, UP) == up


async def test_redirect_is_an_answer_and_is_followed_only_when_told() -> None:
    """Where it leads may be anywhere."""
    async with (
        service(b"HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n") as there,
        service(redirect(f"http://127.0.0.1:{there.port}/login")) as here,
    ):
        url = f"http://127.0.0.1:{here.port}/"
        stayed = await a_probe(url).collect()
        assert there.requests == []
        went = await a_probe(url, redirects=True).collect()
    assert (value(stayed, UP), value(stayed, STATUS)) == (1.0, 302.0)
    assert (value(went, UP), value(went, STATUS)) == (0.0, 404.0)


async def test_redirects_without_an_end_are_bounded() -> None:
    """Five, then it is down."""
    async with service(redirect("/again")) as one:
        found = await a_probe(f"http://127.0.0.1:{one.port}/", redirects=True).collect()
    assert value(found, UP) == 0.0
    assert why(found) == ("unreachable", "no proper answer", "Exceeded maximum allowed redirects.")
    assert len(one.requests) == clients.MOST_REDIRECTS + 1


async def test_body_must_hold_the_pattern() -> None:
    """Wherever in it, over the edges of its pieces."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n"
    async with service(head, b'{"status":', b' "ok"}') as one:
        url = f"http://127.0.0.1:{one.port}/"
        good = await a_probe(url, body=r'"status": *"ok"').collect()
        bad = await a_probe(url, body=r'"status": *"fine"').collect()
    assert (value(good, UP), why(good)) == (1.0, None)
    assert (value(bad, UP), value(bad, STATUS)) == (0.0, 200.0)
    assert why(bad) == ("unexpected", "body without the pattern", "not in the first 16 characters")


async def test_large_body_is_not_read_to_its_end() -> None:
    """Without a pattern nothing of it, with one a bounded part; the service gets rid of little of its ten megabytes."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n"
    async with service(head, *[b"x" * 65536] * 160) as one:
        url = f"http://127.0.0.1:{one.port}/"
        assert value(await a_probe(url).collect(), UP) == 1.0
        found = await a_probe(url, body="y").collect()
    assert why(found) == ("unexpected", "body without the pattern", "not in the first 262144 characters")
    assert one.sent_bytes < 2 * 10485760


async def test_packed_body_is_not_unpacked() -> None:
    """Nobody asked for one, and a small one may unpack into any size."""
    packed = gzip.compress(b"ok" * 1000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    async with service(head + packed) as one:
        found = await a_probe(f"http://127.0.0.1:{one.port}/", body="okok").collect()
    assert why(found) is not None


async def test_body_that_drips_is_ended_in_time() -> None:
    """Each piece is quick, the whole is not."""

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    async with service(head, drip) as one:
        found = await a_probe(f"http://127.0.0.1:{one.port}/", body="y", timeout=1.0).collect()
    assert (value(found, UP), value(found, STATUS)) == (0.0, 200.0)
    assert why(found) == ("timeout", "not in time", "while reading the answer's body")


async def test_service_that_hangs_is_late() -> None:
    """It took the connection and the request, and says nothing."""
    async with service(hang) as one:
        found = await a_probe(f"http://127.0.0.1:{one.port}/", timeout=1.0).collect()
    assert (value(found, UP), value(found, STATUS)) == (0.0, None)
    assert why(found) == ("timeout", "not in time", "while waiting for the answer")
    assert phases(found) == {"connect", "total"}


async def test_service_that_is_gone_is_refused() -> None:
    """Nobody listens."""
    for scheme in ("http", "https", "tcp"):
        found = await a_probe(f"{scheme}://127.0.0.1:{free_port()}").collect()
        assert (value(found, UP), phases(found)) == (0.0, {"total"})
        assert why(found) == ("unreachable", "connection refused", "")


@pytest.mark.parametrize("scheme", ["http", "tcp"])
async def test_name_that_nobody_has_is_told(scheme: str) -> None:
    """Apart from a service that is gone."""
    found = await a_probe(f"{scheme}://nobody.invalid:80").collect()
    assert value(found, UP) == 0.0
    reason, cause, _ = why(found) or ("", "", "")
    assert (reason, cause) == ("unreachable", "no such host")
    assert found.gaps[0].hint == "is the host's name in `url` right?"


@pytest.mark.parametrize("scheme", ["http", "tcp"])
async def test_name_that_none_can_have_is_told(scheme: str) -> None:
    """A label of a name ends at 63 letters."""
    found = await a_probe(f"{scheme}://{'x' * 70}.invalid:80").collect()
    assert value(found, UP) == 0.0
    assert (why(found) or ("",))[0] == "unreachable"


@pytest.mark.parametrize("said", [b"SSH-2.0-x\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_answer_that_is_no_http_is_told(said: bytes) -> None:
    """Another service has the port, or it dies under the request."""
    async with service(said) as one:
        found = await a_probe(f"http://127.0.0.1:{one.port}/").collect()
    assert value(found, UP) == 0.0
    assert (why(found) or ())[:2] == ("unreachable", "no proper answer")


async def test_port_that_is_open_is_up() -> None:
    """tcp:// connects, and no more."""
    async with service(hang) as one:
        found = await a_probe(f"tcp://127.0.0.1:{one.port}").collect()
    assert (value(found, UP), value(found, STATUS), why(found)) == (1.0, None, None)
    assert phases(found) == {"connect", "total"}


async def test_port_that_does_not_answer_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a firewall that drops what it does not like."""
    monkeypatch.setattr(asyncio, "open_connection", hang)
    found = await a_probe("tcp://127.0.0.1:1", timeout=0.1).collect()
    assert why(found) == ("timeout", "not in time", "while connecting")


async def test_certificate_that_is_trusted_is_read(authority: Authority) -> None:
    """By the roots that the entry names; its end is a value, and TLS has its time."""
    pair = authority.pair("api", ends_at=START + 300 * 24 * HOURS)
    async with service(OK, pair=pair) as one:
        found = await a_probe(f"https://127.0.0.1:{one.port}/", authorities=authority.cert).collect()
    assert (value(found, UP), value(found, STATUS), why(found)) == (1.0, 200.0, None)
    assert value(found, EXPIRES) == START + 300 * 24 * HOURS
    assert phases(found) == {"connect", "tls", "first_byte", "total"}


async def test_certificate_that_has_ended_is_read_all_the_same(authority: Authority) -> None:
    """That it is not trusted is why the probe is down; when it ended is a value."""
    pair = authority.pair("api", ends_at=SystemClock().now() // 1 - 24 * HOURS)
    ended_at = SystemClock().now() // 1 - 24 * HOURS
    async with service(OK, pair=pair) as one:
        found = await a_probe(f"https://127.0.0.1:{one.port}/", authorities=authority.cert).collect()
    assert value(found, UP) == 0.0
    assert value(found, EXPIRES) == pytest.approx(ended_at, abs=60)
    assert why(found) == ("unreachable", "certificate not trusted", "certificate has expired")


async def test_certificate_of_its_own_is_read_and_may_be_trusted_blindly(authority: Authority) -> None:
    """By `insecure` alone."""
    pair = authority.self_signed("/CN=own")
    async with service(OK, pair=pair) as one:
        url = f"https://127.0.0.1:{one.port}/"
        wary, blind = await a_probe(url).collect(), await a_probe(url, insecure=True).collect()
    assert (value(wary, UP), value(blind, UP)) == (0.0, 1.0)
    assert why(wary) == ("unreachable", "certificate not trusted", "self-signed certificate")
    assert value(wary, EXPIRES) == value(blind, EXPIRES)
    assert value(blind, EXPIRES) == pytest.approx(SystemClock().now() + 90 * 24 * HOURS, abs=HOURS)


async def test_certificate_for_another_host_is_not_trusted(authority: Authority) -> None:
    """Although its root is."""
    pair = authority.pair("api", ends_at=START + 300 * 24 * HOURS, hosts="DNS:other.example.org")
    async with service(OK, pair=pair) as one:
        found = await a_probe(f"https://127.0.0.1:{one.port}/", authorities=authority.cert).collect()
    reason, cause, detail = why(found) or ("", "", "")
    assert (reason, cause) == ("unreachable", "certificate not trusted")
    assert "IP address mismatch" in detail
    assert value(found, EXPIRES) == START + 300 * 24 * HOURS


async def test_service_without_tls_is_told() -> None:
    """TLS is asked for where none is spoken."""
    async with service(OK) as one:
        found = await a_probe(f"https://127.0.0.1:{one.port}/", timeout=2.0).collect()
    assert value(found, UP) == 0.0
    assert why(found) is not None


async def test_service_that_hangs_in_the_handshake_is_late() -> None:
    """It listens, but does not speak."""
    async with service(hang) as one:
        found = await a_probe(f"https://127.0.0.1:{one.port}/", timeout=1.0).collect()
    assert why(found) == ("timeout", "not in time", "in the TLS handshake")
    assert phases(found) == {"connect", "total"}


async def test_certificate_that_cannot_be_asked_for_again_is_not_there(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service is gone when the second look comes."""
    monkeypatch.setattr(asyncio, "open_connection", _refuse)
    async with service(OK, pair=authority.self_signed("/CN=own")) as one:
        found = await a_probe(f"https://127.0.0.1:{one.port}/").collect()
    assert (value(found, UP), value(found, EXPIRES)) == (0.0, None)


async def _refuse(*_: object, **__: object) -> None:
    raise ConnectionRefusedError


def test_certificate_that_is_none_has_no_end() -> None:
    """Whatever a server may show."""
    assert clients.ends_at(b"none") is None


async def test_error_ratio_is_that_of_the_last_attempts() -> None:
    """As many as the window."""
    good, bad = OK, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
    answers = [bad, good, good, bad, good, good, good]

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop(0))
        await writer.drain()

    async with service(answer) as one:
        probe = a_probe(f"http://127.0.0.1:{one.port}/", window=4)
        found = [await probe.collect() for _ in range(7)]
    assert [value(f, ERROR_RATIO) for f in found] == [1.0, 1 / 2, 1 / 3, 1 / 2, 1 / 4, 1 / 4, 1 / 4]
    assert (value(found[-1], ERRORS), value(found[-1], ATTEMPTS)) == (2.0, 7.0)


def test_probes_wait_for_no_other() -> None:
    """Each has a lane of its own."""
    first, second = a_probe("tcp://127.0.0.1:1"), a_probe("tcp://127.0.0.1:1", name="queue")
    assert (first.lane, second.lane) == ("probes:api", "probes:queue")


def test_address_shows_no_secret() -> None:
    """Neither login nor query, in no form."""
    settings = a_probe("https://toban:hunter2@[::1]:8443/health?token=hunter3", headers={"X-Token": "hunter4"}).settings
    shown = f"{settings} {settings!r} {settings.model_dump_json()}"
    assert "hunter" not in shown
    assert settings.model_dump()["url"] == "https://********@[::1]:8443/health?********"
    assert (settings.url.host, settings.url.port) == ("::1", 8443)
    assert ProbesSettings.model_validate({"name": "a", "url": "https://db1/"}).url.masked == "https://db1/"


def found_in(findings: Findings) -> set[str]:
    """The names of the metrics."""
    return {sample.metric.name for sample in findings.samples}


async def test_probe_declares_all_it_brings(authority: Authority) -> None:
    """Every metric of the collector, and no other."""
    pair = authority.pair("api", ends_at=START + 300 * 24 * HOURS)
    async with service(OK, pair=pair) as one:
        found = await a_probe(f"https://127.0.0.1:{one.port}/", authorities=authority.cert).collect()
    assert found_in(found) == {metric.name for metric in ProbesCollector.metrics}


def test_way_that_is_not_there_is_told_in_the_systems_words() -> None:
    """No route, no network."""
    fault = fault_of(OSError(113, "No route to host"))
    assert (fault.reason, fault.cause, fault.detail) == (Reason.UNREACHABLE, "no connection", "No route to host")


async def test_body_that_only_later_holds_the_pattern_is_read_to_its_end() -> None:
    """It is not looked at after each piece, but at the end in any case."""

    async def say_later(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in (b"x" * 1000, b"y"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)

    async with service(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", say_later) as one:
        found = await a_probe(f"http://127.0.0.1:{one.port}/", body="y").collect()
    assert (value(found, UP), why(found)) == (1.0, None)


def test_chain_of_causes_has_an_end() -> None:
    """Even one that leads back to itself."""
    error = ssl.SSLError("x")
    error.__cause__ = error
    assert fault_of(error).cause == "no TLS"
    endless = OSError()
    endless.__cause__ = endless
    assert fault_of(ExceptionGroup("all", [endless])).cause == "no proper answer"
