"""Claims about what an answer means."""

import json

import pytest

from alerting.channels.answers import LONGEST_WAIT_SECONDS, document, missed, not_taken, wait_seconds
from alerting.web import Answer, WebError
from tests.builders import START
from toban.alerts import Delivery, Outcome


def an_answer(status: int = 429, body: object = b"", **headers: str) -> Answer:
    """An answer; headers are written with `_` for `-`."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}, body=content)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_answer_of_success_is_taken(status: int) -> None:
    """Nothing stands against it."""
    assert not_taken(an_answer(status), START) is None


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_answer_of_trouble_is_worth_another_attempt(status: int) -> None:
    """Too many requests, or the server's own fault."""
    assert not_taken(an_answer(status), START) == Delivery(outcome=Outcome.RETRY, detail=f"status {status}")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422])
def test_answer_of_refusal_is_final(status: int) -> None:
    """The same again would be refused again."""
    assert not_taken(an_answer(status), START) == Delivery(outcome=Outcome.REFUSED, detail=f"status {status}")


def test_answer_of_redirect_is_final_and_says_what_to_do() -> None:
    """Where it leads is not quoted: it may hold the secret."""
    found = not_taken(an_answer(302, location="https://elsewhere.example.org/hunter2"), START)
    assert found == Delivery(
        outcome=Outcome.REFUSED,
        detail="status 302: it leads to another address, which is not followed; write that one as the channel's",
    )


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (an_answer(), None),
        (an_answer(retry_after="7"), 7.0),
        (an_answer(retry_after="0"), 0.0),
        (an_answer(retry_after="-5"), 0.0),
        (an_answer(retry_after="Wed, 18 Nov 2026 11:07:40 GMT"), 60.0),
        (an_answer(retry_after="Wed, 18 Nov 2020 11:07:40 GMT"), 0.0),
        (an_answer(retry_after="Wed, 18 Nov 2026 09:07:40 GMT", date="Wed, 18 Nov 2026 09:06:40 GMT"), 60.0),
        (an_answer(retry_after="Wed, 18 Nov 2026 11:07:40 GMT", date="today"), 60.0),
        (an_answer(retry_after="soon"), None),
        (an_answer(retry_after="nan"), None),
        (an_answer(retry_after="inf"), None),
        (an_answer(retry_after="1e12"), LONGEST_WAIT_SECONDS),
        (an_answer(body={"retry_after": 1.5}), 1.5),
        (an_answer(body={"retryAfter": "3"}), 3.0),
        (an_answer(body={"parameters": {"retry_after": 9}}), 9.0),
        (an_answer(body={"retry_after": True}), None),
        (an_answer(body={"retry_after": [1]}), None),
        (an_answer(body={"retry_after": 10**400}), None),
        (an_answer(body={"retry_after": 2}, retry_after="30"), 30.0),
        (an_answer(body=b"{"), None),
        (an_answer(body=b"[1]"), None),
        (an_answer(body=b"[" * 60_000), None),
        (an_answer(body=b"\xff"), None),
    ],
)
def test_wait_is_read_from_header_and_body(answer: Answer, seconds: float | None) -> None:
    """Seconds, or a date by the receiver's clock, by header or in the body; the longest counts, an hour at most."""
    assert wait_seconds(answer, START) == seconds
    delivery = not_taken(answer, START)
    assert delivery is not None
    assert delivery.after_seconds == seconds


def test_document_is_empty_where_there_is_none() -> None:
    """Only an object counts."""
    assert document(an_answer(body={"a": 1})) == {"a": 1}
    assert document(an_answer(body=b'"ok"')) == {}


def test_no_answer_is_worth_another_attempt_unless_the_address_is_at_fault() -> None:
    """The detail is the web's."""
    assert missed(WebError("no")) == Delivery(outcome=Outcome.RETRY, detail="no")
    assert missed(WebError("no", unsure=True)) == Delivery(outcome=Outcome.RETRY, detail="no", unsure=True)
    assert missed(WebError("never", final=True)) == Delivery(outcome=Outcome.REFUSED, detail="never")
