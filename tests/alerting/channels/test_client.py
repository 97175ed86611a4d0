"""Claims about HTTP towards receivers."""

import asyncio
import errno
import socket
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from alerting.client import BODY_SECONDS, HttpWeb
from alerting.web import MOST_ANSWER_BYTES, WebError
from tests.alerting.conftest import NewReceiver
from tests.alerting.receivers import (
    ENDLESS_HEAD,
    GARBAGE,
    HANGS,
    HANGS_IN_BODY,
    HANGS_UP,
    HINTS,
    HUGE,
    HUGE_BYTES,
    RESETS,
    Misbehaviour,
    Reply,
)
from tests.authority import Authority
from tests.builders import START
from tests.parting import parted
from tests.ports import free_port

pytestmark = pytest.mark.integration
SECRET = "/T0/B0/hunter2?sig=hunter3"
LONG_AGO, FOREVER = 1_500_000_000.0, 4_000_000_000.0


def leading_to(*addresses: str) -> HttpWeb:
    """A client for which every name has these addresses."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return HttpWeb(resolve=resolve)


async def why(web: HttpWeb, url: str, **more: Any) -> WebError:  # noqa: ANN401 - any argument of post
    """The error that a POST ends with; nothing of it, nor of what it came of, holds the secret."""
    with pytest.raises(WebError) as caught:
        await web.post(url, body=b"{}", **more)
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter" not in shown + repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


async def test_client_posts_once_and_brings_the_answer(new_receiver: NewReceiver) -> None:
    """Method, whole path and query, body and headers arrive; status, headers and body come back."""
    receiver = await new_receiver()
    receiver.script(Reply(status=418, body=b"short and stout", headers={"X-Pot": "tea"}))
    answer = await HttpWeb().post(
        receiver.url("/a%2Fb//c;d?sig=%2B%3D&v=1"), body=b'{"a":1}', headers={"Content-Type": "application/json"}
    )
    (request,) = receiver.requests
    assert (request.method, request.target, request.body) == ("POST", "/a%2Fb//c;d?sig=%2B%3D&v=1", b'{"a":1}')
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["host"] == receiver.url("").removeprefix("http://")
    assert (answer.status, answer.headers["x-pot"], answer.body) == (418, "tea", b"short and stout")


async def test_client_gets(new_receiver: NewReceiver) -> None:
    """GET carries no body."""
    receiver = await new_receiver()
    receiver.script(Reply(body=b"pong"))
    answer = await HttpWeb().get(receiver.url("/ping"))
    assert (answer.status, answer.body) == (200, b"pong")
    assert (receiver.requests[0].method, receiver.requests[0].body) == ("GET", b"")


async def test_client_writes_letters_beyond_ascii_as_a_request_line_must(new_receiver: NewReceiver) -> None:
    """A path that somebody pasted in Japanese is quoted; what was quoted already stays."""
    receiver = await new_receiver()
    receiver.script(Reply())
    await HttpWeb().post(receiver.url("/通知?a=%20"), body=b"")
    assert receiver.requests[0].target == "/%E9%80%9A%E7%9F%A5?a=%20"


async def test_client_keeps_its_own_framing(new_receiver: NewReceiver) -> None:
    """Headers of a configuration cannot change the length, the host or the way of the connection."""
    receiver = await new_receiver()
    receiver.script(Reply())
    headers = {"content-length": "0", "HOST": "elsewhere", "Transfer-Encoding": "chunked", "user-agent": "mine"}
    await HttpWeb().post(receiver.url(), body=b"abc", headers=headers)
    (request,) = receiver.requests
    assert (request.body, request.headers["content-length"]) == (b"abc", "3")
    assert request.headers["host"] != "elsewhere"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_client_follows_no_redirect(new_receiver: NewReceiver, status: int) -> None:
    """A redirect is an answer like any other; nobody is asked at its place."""
    receiver, trap = await new_receiver(), await new_receiver()
    receiver.script(Reply(status=status, headers={"Location": trap.url("/trap")}))
    answer = await HttpWeb().post(receiver.url(), body=b"{}")
    assert answer.status == status
    assert trap.requests == []


async def test_client_takes_no_proxy_and_no_cookie(new_receiver: NewReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxies are nobody's business here, and a cookie is forgotten."""
    receiver, proxy = await new_receiver(), await new_receiver()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url())
    receiver.script(Reply(headers={"Set-Cookie": "a=b"}), Reply())
    web = HttpWeb()
    await web.post(receiver.url(), body=b"")
    await web.post(receiver.url(), body=b"")
    assert "cookie" not in receiver.requests[1].headers
    assert proxy.requests == []


@pytest.mark.parametrize(
    ("misbehaviour", "told"),
    [
        (RESETS, "hung up without an answer"),
        (HANGS_UP, "hung up without an answer"),
        (GARBAGE, "the answer is not HTTP"),
        (ENDLESS_HEAD, "the answer is not HTTP"),
    ],
)
async def test_client_says_why_there_is_no_answer(
    new_receiver: NewReceiver, misbehaviour: Misbehaviour, told: str
) -> None:
    """Host and reason, and nothing else of the address."""
    receiver = await new_receiver()
    receiver.script(misbehaviour)
    error = await why(HttpWeb(), receiver.url(SECRET))
    assert error.detail == f"{receiver.url('').removeprefix('http://')}: {told}"
    assert not error.final


async def test_client_waits_no_longer_than_told(new_receiver: NewReceiver) -> None:
    """Who says nothing is left."""
    receiver = await new_receiver()
    receiver.script(HANGS)
    error = await why(HttpWeb(), receiver.url(SECRET), timeout_seconds=0.5)
    assert error.detail.endswith(": no answer within 0.5 s")


async def test_client_waits_no_longer_for_a_connection() -> None:
    """A name server that does not answer is bounded as well."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return ()

    error = await why(HttpWeb(resolve=resolve), "http://receiver.example.org/hunter2", timeout_seconds=0.1)
    assert error.detail == "receiver.example.org: no connection within 0.05 s"


async def test_client_takes_the_status_where_the_body_hangs(
    new_receiver: NewReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has been taken by the receiver is not sent again because the rest of its answer is late."""
    monkeypatch.setattr("alerting.client.BODY_SECONDS", BODY_SECONDS / 10)
    receiver = await new_receiver()
    receiver.script(HANGS_IN_BODY)
    answer = await HttpWeb().post(receiver.url(), body=b"")
    assert (answer.status, answer.body) == (200, b"ok")


async def test_client_reads_no_more_than_it_takes(new_receiver: NewReceiver) -> None:
    """An answer of 10 MB is cut, and the receiver is hung up on before it has said all of it."""
    receiver = await new_receiver()
    receiver.script(HUGE)
    answer = await HttpWeb().post(receiver.url(), body=b"")
    assert (answer.status, len(answer.body)) == (200, MOST_ANSWER_BYTES)
    await receiver.stop()
    assert receiver.written_bytes < HUGE_BYTES


async def test_client_says_that_nobody_listens() -> None:
    """A port that is closed."""
    port = free_port()
    assert (await why(HttpWeb(), f"http://127.0.0.1:{port}{SECRET}")).detail == f"127.0.0.1:{port}: connection refused"


async def test_client_says_that_there_is_no_such_host() -> None:
    """A name that nobody knows."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    error = await why(HttpWeb(resolve=resolve), f"https://receiver.example.org{SECRET}")
    assert error.detail == "receiver.example.org: no such host"


async def test_client_resolves_once_and_asks_there(new_receiver: NewReceiver) -> None:
    """A name that changes between two looks leads nowhere else: the answer is pinned."""
    receiver = await new_receiver()
    receiver.script(Reply())
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    url = receiver.url(SECRET, host="receiver.example.org")
    assert (await HttpWeb(resolve=resolve).post(url, body=b"")).status == 200
    assert asked == ["receiver.example.org"]
    assert receiver.requests[0].headers["host"] == url.split("/")[2]


async def test_client_tries_the_next_address_of_a_name(new_receiver: NewReceiver) -> None:
    """Where the first is closed, as ::1 of localhost often is."""
    receiver = await new_receiver()
    receiver.script(Reply())
    assert (await leading_to("127.0.0.2", "127.0.0.1").post(receiver.url(), body=b"")).status == 200


async def test_client_does_not_wait_for_ever_at_an_address_that_is_silent(new_receiver: NewReceiver) -> None:
    """As a broken IPv6 is, in front of an IPv4 that works."""
    receiver = await new_receiver()
    receiver.script(Reply())
    port = int(receiver.url("").rpartition(":")[2])
    with socket.create_server(("127.0.0.2", port), backlog=0), ExitStack() as stack:
        for _ in range(2):  # its queue is full now: it takes nobody in, and refuses nobody
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)  # noqa: FBT003 - as sockets have it
            caller.connect_ex(("127.0.0.2", port))
        web = leading_to("127.0.0.2", "127.0.0.1")
        answer = await web.post(f"http://receiver.example.org:{port}/", body=b"{}", timeout_seconds=2.0)
    assert answer.status == 200


async def test_client_looks_names_up_by_the_system(new_receiver: NewReceiver) -> None:
    """`localhost` is found."""
    receiver = await new_receiver()
    receiver.script(Reply())
    assert (await HttpWeb().post(receiver.url(host="localhost"), body=b"")).status == 200


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%lo", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
        *("2002:a9fe:a9fe::1", "fd00:ec2::254", "100.100.100.200", "224.0.0.1", "ff02::1"),
    ],
)
async def test_client_does_not_ask_where_clouds_keep_credentials(address: str) -> None:
    """Link-local addresses and the like are refused for good, by whatever name, and if only one of them is such."""
    error = await why(leading_to("127.0.0.1", address), f"http://innocent.example.org{SECRET}")
    assert error.detail == "innocent.example.org: leads to a link-local or multicast address, which is not asked"
    assert error.final


async def test_client_does_not_ask_a_link_local_address_that_is_written() -> None:
    """Without a name, and in a form that only a resolver reads as an address."""
    assert (await why(HttpWeb(), "http://169.254.169.254/latest/hunter2")).final
    assert (await why(HttpWeb(), "http://0xa9fea9fe/latest/hunter2")).final


async def test_client_says_in_the_systems_words_what_else_went_wrong() -> None:
    """Those of the error number, which quote nothing."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    error = await why(HttpWeb(resolve=resolve), f"http://receiver.example.org{SECRET}")
    assert error.detail == "receiver.example.org: No route to host"
    assert not error.unsure


async def test_client_waits_for_the_answer_behind_a_hint(new_receiver: NewReceiver) -> None:
    """103 is none."""
    receiver = await new_receiver()
    receiver.script(HINTS)
    assert (await HttpWeb().post(receiver.url(), body=b"")).status == 200


async def test_client_has_no_address_to_ask() -> None:
    """A name without addresses."""
    error = await why(leading_to(), "http://receiver.example.org/hunter2")
    assert error.detail == "receiver.example.org: no connection"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://receiver.example.org/hunter2", "is no address of the web; write https://host/path"),
        ("https:///hunter2", "is no address of the web; write https://host/path"),
        ("https://receiver.example.org:x/hunter2", "has a host or port that is none; write https://host/path"),
        ("https://a\r\nb/hunter2", "holds a blank, a line break or another control character"),
        ("https://u:hunter2@b/", "holds a login before the host; write it as a setting of its own"),
    ],
)
async def test_client_refuses_what_is_no_address(url: str, told: str) -> None:
    """For good, without quoting it."""
    error = await why(HttpWeb(), url)
    assert error.detail == f"the address {told}"
    assert error.final


async def test_client_refuses_a_header_that_would_break_out(new_receiver: NewReceiver) -> None:
    """A line break in a header's value never reaches the wire."""
    receiver = await new_receiver()
    with pytest.raises(WebError, match="a header holds what no header may have") as caught:
        await HttpWeb().post(receiver.url(), body=b"", headers={"X-A": "b\r\nX-C: hunter2"})
    assert caught.value.final
    assert "hunter2" not in str(caught.value)


async def test_client_speaks_tls_with_an_authority_that_it_was_given(
    new_receiver: NewReceiver, web_authority: Authority
) -> None:
    """The certificate is checked against the name, whatever the address is."""
    receiver = await new_receiver(
        pair=web_authority.pair("good", begins_at=LONG_AGO, ends_at=FOREVER, hosts="DNS:receiver.example.org")
    )
    receiver.script(Reply(body=b"ok"), Reply(body=b"ok"))
    web = leading_to("127.0.0.1").trusting(web_authority.cert)
    url = receiver.url(SECRET, host="receiver.example.org")
    assert (await web.post(url, body=b"{}")).body == b"ok"
    assert (await web.post(url, body=b"{}")).body == b"ok"
    assert receiver.requests[0].target == SECRET


async def test_client_distrusts_a_certificate_for_another_name(
    new_receiver: NewReceiver, web_authority: Authority
) -> None:
    """The right authority is not enough, and what was to be sent is not."""
    receiver = await new_receiver(
        pair=web_authority.pair("other", begins_at=LONG_AGO, ends_at=FOREVER, hosts="DNS:other.example.org")
    )
    web = leading_to("127.0.0.1").trusting(web_authority.cert)
    error = await why(web, receiver.url(SECRET, host="receiver.example.org"))
    assert "certificate not trusted: Hostname mismatch" in error.detail
    assert not error.final


async def test_client_distrusts_an_authority_that_nobody_named(
    new_receiver: NewReceiver, web_authority: Authority
) -> None:
    """By default only the system's count."""
    receiver = await new_receiver(pair=web_authority.pair("unknown", begins_at=LONG_AGO, ends_at=FOREVER))
    assert "certificate not trusted: " in (await why(HttpWeb(), receiver.url(SECRET))).detail


async def test_client_distrusts_a_certificate_that_has_ended(
    new_receiver: NewReceiver, web_authority: Authority
) -> None:
    """It may be renewed: another attempt is worth it."""
    receiver = await new_receiver(pair=web_authority.pair("old", ends_at=START - 400 * 86400))
    error = await why(HttpWeb(authorities=web_authority.cert), receiver.url(SECRET))
    assert error.detail.endswith("certificate not trusted: certificate has expired")
    assert not error.final


async def test_client_says_that_there_is_no_tls() -> None:
    """A server that speaks in the clear where https is written; nothing was handed over."""

    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ready\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await why(HttpWeb(), f"https://127.0.0.1:{port}{SECRET}")
        await parted(server)
    assert error.detail == f"127.0.0.1:{port}: no TLS: wrong version number"
    assert not error.unsure


@pytest.mark.parametrize("content", [None, "this is no certificate"])
async def test_client_says_that_its_authorities_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    """A file that is not there, or none of certificates; it is tried again, since it may come."""
    place = tmp_path / "ca.crt"
    if content is not None:
        place.write_text(content)
    error = await why(HttpWeb(authorities=place), "https://127.0.0.1/hunter2")
    assert error.detail == "the authorities of `ca` cannot be read"
    assert not error.final
