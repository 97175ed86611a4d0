"""Whom a probe trusts, and what it looks for in a body."""

import shutil
from pathlib import Path

import pytest

from collectors.host.machine import HostMachine
from collectors.host.probing import clients
from collectors.host.probing.collector import UP, ProbesCollector
from tests.authority import DAY_SECONDS, Authority
from tests.builders import START
from tests.collectors.host.probing.services import OK, a_probe, service, value, why

pytestmark = pytest.mark.integration


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A root of the test's own."""
    if shutil.which("openssl") is None:
        pytest.skip("this machine cannot: no openssl")
    return Authority(tmp_path)


async def test_roots_that_are_missing_are_a_failure(tmp_path: Path) -> None:
    """Not the service's fault, so it is not called down; and no reason to call the host down either."""
    probe = a_probe("https://127.0.0.1:1/", authorities=tmp_path / "none.crt")
    with pytest.raises(clients.RootsError) as error:
        await probe.collect()
    told = HostMachine().explain(error.value)
    assert not told.down
    assert told.detail == f"{tmp_path}/none.crt cannot be read; is `authorities` of the probe right?"
    assert told.hint == ""
    assert not ProbesCollector.asks


async def test_roots_that_were_renewed_are_read_again(authority: Authority, tmp_path: Path) -> None:
    """The file has the new root since this morning: nobody should have to restart the daemon."""
    roots = tmp_path / "roots.crt"
    other = authority.self_signed("/CN=other")
    roots.write_bytes(other.cert.read_bytes())
    pair = authority.pair("api", ends_at=START + 300 * DAY_SECONDS)
    async with service(OK, pair=pair) as one:
        probe = a_probe(f"https://127.0.0.1:{one.port}/", authorities=roots)
        assert value(await probe.collect(), UP) == 0.0
        roots.write_bytes(authority.cert.read_bytes())
        assert value(await probe.collect(), UP) == 1.0


async def test_pattern_of_a_body_is_looked_for_in_one_go() -> None:
    """A quarter of a megabyte on one line: `.*` in front would look through all of it from each place."""
    body = b"x" * clients.MOST_BODY_BYTES
    async with service(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body) as one:
        found = await a_probe(f"http://127.0.0.1:{one.port}/", body=".*ok", timeout=30.0).collect()
    assert (why(found) or ("", ""))[1] == "body without the pattern"
