"""Acknowledge links: signed, short-lived, for one alert alone; looking changes nothing."""

import re
import stat
from pathlib import Path

import httpx
import pytest

from daemon.http.acknowledging import language_of
from daemon.http.links import LINK_SECONDS, Link, Links, open_key
from daemon.http.pages import application
from tests.alerting.notices import an_alert
from tests.builders import START, ManualClock
from tests.daemon.duties import FakeDuty, a_world
from toban.alerts import Alert, Key, Severity, State
from toban.language import Language
from toban.secrets import Secret

HOSTILE = "<script>alert(1)</script>\u202e\r\n\"'&"
WHO = {"content-type": "application/x-www-form-urlencoded"}


class Opened:
    """Somebody with a link in a browser."""

    def __init__(self, home: Path, alert: Alert) -> None:
        self.clock = ManualClock()
        self.duty = FakeDuty(clock=self.clock, book_path=home, alerts=[alert])
        self.world = a_world(home / "state.db", self.clock)
        self.world.duty = self.duty
        self.token = self.duty.links.token(alert.episode, START)

    async def ask(self, method: str = "GET", token: str = "", body: str = "", language: str = "en") -> httpx.Response:
        """One request; the daemon has a token that a link does not need."""
        transport = httpx.ASGITransport(application(self.world, lambda: Secret("s3cret")))
        async with httpx.AsyncClient(transport=transport, base_url="http://toban.example") as client:
            headers = {"accept-language": language, **(WHO if method == "POST" else {})}
            return await client.request(method, f"/ack/{token or self.token}", content=body, headers=headers)


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """A link to a full disk."""
    return Opened(tmp_path, an_alert("0000000a", severity=Severity.CRITICAL, level=2))


async def test_a_look_shows_what_is_wrong_and_changes_nothing(opened: Opened) -> None:
    """Value, threshold, since when, and a button; mail scanners look too."""
    page = await opened.ask()
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for piece in (
        "critical",
        "disk_full",
        "main · mount=/srv",
        "91.0 %",
        "threshold &gt; 90%",
        "I am at it",
        "0000000a",
    ):
        assert piece in page.text, piece
    assert (await opened.ask("HEAD")).status_code == 200
    assert opened.duty.asked == []
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_the_button_acknowledges_and_records_who(opened: Opened) -> None:
    """Then leads back to the page, which tells who is at it and has no button any more."""
    done = await opened.ask("POST", body="who=Night+shift&note=on+it")
    assert (done.status_code, done.headers["location"]) == (303, opened.token)
    assert opened.duty.asked == [("acknowledge", "0000000a", "Night shift", "on it", None)]
    after = (await opened.ask()).text
    assert "Night shift is at it, since " in after
    assert "on it" in after
    assert "<form" not in after


async def test_a_second_press_changes_nothing(opened: Opened) -> None:
    """Whoever was quicker stays."""
    await opened.ask("POST", body="who=first")
    assert (await opened.ask("POST", body="who=second")).status_code == 303
    assert len(opened.duty.asked) == 1


@pytest.mark.parametrize(
    "body", ["", "who=", "who=++", f"who={'x' * 81}", "who=a&note=" + "x" * 501, "&".join("a=b" * 30)]
)
async def test_a_button_without_a_name_is_refused(opened: Opened, body: str) -> None:
    """The page again, with what is missing."""
    page = await opened.ask("POST", body=body)
    assert page.status_code == 400
    assert "Please write your name" in page.text
    assert opened.duty.asked == []


async def test_a_body_without_end_is_refused(opened: Opened) -> None:
    """64 kB."""
    assert (await opened.ask("POST", body="who=" + "x" * 70_000)).status_code == 413


async def test_a_refusal_is_told_on_the_page(opened: Opened) -> None:
    """It may be acknowledged between the look and the press."""
    quick = opened.duty.active()[0]
    opened.duty.active = lambda: [quick]  # type: ignore[method-assign] # what was seen a moment ago
    await opened.duty.acknowledge("0000000a", who="first", note="", for_seconds=None)
    page = await opened.ask("POST", body="who=second")
    assert page.status_code == 409
    assert "first is at it already" in page.text


async def test_hostile_text_is_text(tmp_path: Path) -> None:
    """In the rule's labels, the target, who and note."""
    key = Key("disk_full", HOSTILE, (("mount", HOSTILE),))
    alert = an_alert("0000000a", key=key, runbook=HOSTILE, muted=HOSTILE, threshold="> <b>")
    opened = Opened(tmp_path, alert)
    opened.duty.alerts[0] = an_alert(
        "0000000a", key=key, state=State.ACKNOWLEDGED, acknowledged_by=HOSTILE, acknowledged_at=START, note=HOSTILE
    )
    for page in (Opened(tmp_path, alert), opened):
        text = (await page.ask()).text
        assert "<script" not in text
        assert "&lt;script&gt;" in text
        assert "\u202e" not in text
        assert not re.search(r"<b>", text)


async def test_a_runbook_on_the_web_can_be_touched(tmp_path: Path) -> None:
    """Any other is text."""
    for runbook, link in (("https://example.org/a?b&c", True), ("javascript:alert(1)", False), ("docs/x.md", False)):
        page = await Opened(tmp_path, an_alert("0000000a", runbook=runbook)).ask()
        assert ("<a href=" in page.text) is link
    assert (
        'href="https://example.org/a?b&amp;c"'
        in (await Opened(tmp_path, an_alert("0000000a", runbook="https://example.org/a?b&c")).ask()).text
    )


async def test_the_page_speaks_the_readers_language(opened: Opened) -> None:
    """By what the browser likes best."""
    page = await opened.ask(language="fr, ja-JP;q=0.9, en;q=0.4")
    assert '<html lang="ja">' in page.text
    assert "対応します" in page.text


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("", "en"), ("ja", "ja"), ("en-US,ja;q=0.5", "en"), ("ja;q=0, en;q=0.1", "en"), ("de", "en"), (";;q=,", "en")],
)
def test_language_is_the_best_liked_of_the_two(accepted: str, language: str) -> None:
    """English where neither is liked."""
    assert language_of(accepted) is Language(language)


async def test_a_link_of_somebody_else_shows_nothing(opened: Opened) -> None:
    """Another key, another alert, a torn one: 404, and no word of any alert."""
    other = Links(b"x" * 32).token("0000000a", START)
    moved = opened.token.replace("0000000a", "0000000b")
    for token in (other, moved, opened.token[:-1], "x", "é"):
        page = await opened.ask(token=token)
        assert page.status_code == 404, token
        assert "disk_full" not in page.text
        assert (await opened.ask("POST", token=token, body="who=me")).status_code == 404
    assert opened.duty.asked == []


async def test_a_link_expires_after_seven_days(opened: Opened) -> None:
    """410, and the button does nothing."""
    opened.clock.advance(LINK_SECONDS - 1)
    assert (await opened.ask()).status_code == 200
    opened.clock.advance(1)
    assert (await opened.ask()).status_code == 410
    assert (await opened.ask("POST", body="who=me")).status_code == 410
    assert opened.duty.asked == []


async def test_a_link_to_what_is_over_says_so(opened: Opened) -> None:
    """No button, no error."""
    await opened.duty.resolve("0000000a", who="me", note="x")
    page = await opened.ask()
    assert page.status_code == 200
    assert "It is over" in page.text
    assert "<form" not in page.text
    assert (await opened.ask("POST", body="who=me")).status_code == 200


def test_a_token_holds_its_alert_and_its_end() -> None:
    """Read with the key that it was made with, and no other."""
    links = Links(b"k" * 32)
    token = links.token("4f7k2m1x", START)
    assert links.read(token, START) == Link(episode="4f7k2m1x", expired=False)
    assert links.read(token, START + LINK_SECONDS) == Link(episode="4f7k2m1x", expired=True)
    assert Links(b"o" * 32).read(token, START) is None


def counted() -> object:
    """Another key each time."""
    numbers = iter(range(10))
    return lambda size: bytes([next(numbers)]) * size


def test_the_key_is_made_once_and_readable_by_us_alone(tmp_path: Path) -> None:
    """The next start finds it."""
    path, random = tmp_path / "state.links", counted()
    assert open_key(path, random) == (bytes(32), "")  # type: ignore[arg-type] # a lambda
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert open_key(path, random) == (bytes(32), "")  # type: ignore[arg-type] # a lambda


@pytest.mark.parametrize(("content", "mode"), [(bytes(32), 0o644), (bytes(31), 0o600)])
def test_a_key_that_others_may_know_is_replaced(tmp_path: Path, content: bytes, mode: int) -> None:
    """So is one that was torn."""
    path = tmp_path / "state.links"
    path.write_bytes(content)
    path.chmod(mode)
    key, why = open_key(path, lambda size: b"n" * size)
    assert (key, why, path.read_bytes()) == (b"n" * 32, "", b"n" * 32)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_that_cannot_be_kept_lasts_as_long_as_the_process(tmp_path: Path) -> None:
    """And it is said why."""
    assert open_key(tmp_path / "gone" / "state.links", lambda size: b"n" * size) == (
        b"n" * 32,
        "No such file or directory",
    )
    assert open_key(tmp_path, lambda size: b"n" * size) == (b"n" * 32, "Is a directory")
