"""Claims about what can be written under `channels:`."""

from typing import Any

import pytest
from pydantic import ValidationError

from alerting.address import WebUrl
from tests.alerting.channels.opening import ADAPTER, settings_of

URL = "https://receiver.example.org/hunter2"


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ({"kind": "slack"}, "needs the url of an incoming webhook, or token and channel"),
        ({"kind": "slack", "url": URL, "token": "xoxb-1"}, "goes by url or by token, not by both"),
        ({"kind": "slack", "token": "xoxb-1"}, "token and channel go together"),
        ({"kind": "slack", "url": URL, "channel": "C1"}, "token and channel go together"),
        ({"kind": "slack", "url": "hooks.slack.com/x"}, "is no address of the web; write https://host/path"),
        ({"kind": "slack", "token": "a\nb", "channel": "C1"}, "another character that no token has"),
        ({"kind": "teams"}, "Field required"),
        ({"kind": "teams", "url": "https://a:hunter2@b/"}, "holds a login before the host"),
        ({"kind": "teams", "url": ""}, "is no address of the web"),
        ({"kind": "pagerduty"}, "Field required"),
        ({"kind": "webhook", "url": URL, "headers": {"a b": "c"}}, "is no header's name"),
        ({"kind": "webhook", "url": URL, "headers": {"a": "b\r\nc: hunter2"}}, "that no header may have"),
        ({"kind": "webhook", "url": URL, "headers": {"Webhook-Id": "c"}}, "is a header that Toban itself sends"),
        ({"kind": "webhook", "url": URL, "headers": {f"a{n}": "b" for n in range(21)}}, "are more than 20"),
        ({"kind": "webhook", "url": URL, "secret": ["s"] * 6}, "at most 5 items"),
        ({"kind": "webhook", "url": URL, "secret": ""}, "is empty"),
        ({"kind": "webhook", "url": URL, "ca": "ca.crt"}, "is no absolute path"),
        ({"kind": "webhook", "url": URL, "colour": "red"}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_cannot_work_are_refused(written: dict[str, Any], why: str) -> None:
    """With the reason, and without quoting a secret."""
    with pytest.raises(ValidationError, match=why) as caught:
        settings_of(**written)
    assert "hunter2" not in str(caught.value)


def test_secret_of_a_webhook_is_one_or_several() -> None:
    """One is written without a list."""
    assert [secret.reveal() for secret in settings_of(kind="webhook", url=URL, secret="a").secret] == ["a"]  # type: ignore[attr-defined]
    assert [secret.reveal() for secret in settings_of(kind="webhook", url=URL, secret=["a", "b"]).secret] == ["a", "b"]  # type: ignore[attr-defined]


def test_settings_have_a_schema_for_editors() -> None:
    """Of every kind, the secret of a webhook as one text or a list."""
    schema = ADAPTER.json_schema()
    secret = schema["$defs"]["WebhookSettings"]["properties"]["secret"]
    assert [form["type"] for form in secret["anyOf"]] == ["string", "array"]


@pytest.mark.parametrize(
    ("url", "masked", "place", "target"),
    [
        (
            "https://receiver.example.org/a?b=c",
            "https://receiver.example.org/********",
            "receiver.example.org",
            "/a?b=c",
        ),
        ("http://127.0.0.1:9093", "http://127.0.0.1:9093/********", "127.0.0.1:9093", "/"),
        ("https://[::1]:8443/x", "https://[::1]:8443/********", "[::1]:8443", "/x"),
        ("https://bücher.example.org/", "https://xn--bcher-kva.example.org/********", "xn--bcher-kva.example.org", "/"),
        ("https://a.example.org/x#part", "https://a.example.org/********", "a.example.org", "/x"),
    ],
)
def test_address_shows_its_host_alone(url: str, masked: str, place: str, target: str) -> None:
    """Path and query are what lets in."""
    address = WebUrl(url)
    assert (address.fault, address.masked, address.place, address.target) == ("", masked, place, target)
    assert repr(address) == f"WebUrl('{masked}')"


@pytest.mark.parametrize(
    "url", ["https://a b/", "gopher://a/", "https://a:99999/", "https://[/", "https://" + "a" * 70]
)
def test_address_that_is_none_shows_nothing(url: str) -> None:
    """Not even its host."""
    assert WebUrl(url).masked in ("********", f"https://{'a' * 70}/********")


def test_address_below_another() -> None:
    """With one slash between."""
    assert WebUrl("http://a/b/?tenant=x").below("c").reveal() == "http://a/b/c?tenant=x"
    assert WebUrl("http://a/b/").below("c").reveal() == WebUrl("http://a/b").below("c").reveal() == "http://a/b/c"
