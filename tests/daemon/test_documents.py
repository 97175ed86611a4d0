"""One form for the command line and the API."""

import json
from datetime import UTC
from zoneinfo import ZoneInfo

from daemon.documents import json_text, metric_documents, problem, stamp, statement_documents, status_document
from history.reading import StatementHistory
from tests.builders import START, a_metric, a_sample
from toban.samples import Unit
from toban.statements import StatementUse
from toban.status import Component, Health, PairStanding, TargetStanding, judge

TOKYO = ZoneInfo("Asia/Tokyo")


def a_statement(*, calls: float = 4, hit: float = 3, read: float = 1) -> StatementHistory:
    """Four calls of two seconds in all."""
    use = StatementUse(
        queryid="7",
        datname="shop",
        usename="app",
        interval_seconds=60,
        calls=calls,
        seconds=2.0,
        rows=9,
        hit_blocks=hit,
        read_blocks=read,
        temp_blocks=5,
    )
    return StatementHistory(target="main", use=use, text="SELECT $1")


def test_stamp_is_in_the_configured_zone_and_nothing_stays_nothing() -> None:
    """ISO 8601 with its offset."""
    assert stamp(0.0, TOKYO) == "1970-01-01T09:00:00+09:00"
    assert stamp(None, UTC) is None


def test_json_is_json_whatever_was_measured() -> None:
    """It has no infinity, and UTF-8 no half letters: a file name in a broken encoding makes no answer a fault."""
    odd = {"ratio": float("nan"), "bytes": [float("inf"), 1.5, 2], "name": "caf\udce9 \u76e3", "up": True, "none": None}
    text = json_text(odd)
    assert text.encode().decode() == text
    assert json.loads(text) == {"ratio": None, "bytes": [None, 1.5, 2], "name": "caf? \u76e3", "up": True, "none": None}


def test_status_has_the_fields_of_the_contract() -> None:
    """To the letter; more may come, none may go."""
    pair = PairStanding(collector="activity", last_success_at=START, gaps=("relations: locked (1)",))
    target = TargetStanding(name="main", kind="postgresql", up=True, last_success_at=START, pairs=(pair,))
    document = status_document(judge([target], [Component(name="loop", state=Health.OK)], START), UTC)
    assert document["health"] == "ok"
    assert document["components"] == [{"name": n, "state": "ok", "reason": ""} for n in ("loop", "main")]
    (told,) = document["targets"]
    assert set(told) >= {"name", "kind", "up", "reason", "last_success_at"}
    assert told["last_success_at"] == stamp(START, UTC)
    assert told["collectors"][0]["gaps"] == ["relations: locked (1)"]
    assert document["alerts"] == {"critical": 0, "warning": 0, "info": 0}


def test_metric_has_the_fields_of_the_contract() -> None:
    """Labels with the target among them."""
    sample = a_sample(a_metric("pg_x_bytes", unit=Unit.BYTES, labels=("datname",)), 3.0, labels=("shop",))
    assert metric_documents([("main", sample)], UTC) == [
        {
            "name": "pg_x_bytes",
            "labels": {"datname": "shop", "target": "main"},
            "value": 3.0,
            "taken_at": stamp(START, UTC),
            "unit": "bytes",
        }
    ]


def test_a_value_that_json_does_not_know_is_null() -> None:
    """Any parser takes it; NaN only a few."""
    documents = metric_documents([("main", a_sample(value=value)) for value in (float("nan"), float("inf"))], UTC)
    assert [document["value"] for document in documents] == [None, None]


def test_statement_has_its_mean_and_its_share_of_hits() -> None:
    """And neither where there is nothing to divide by."""
    (told,) = statement_documents([a_statement()])
    assert (told["mean_seconds"], told["cache_hit_ratio"], told["query"]) == (0.5, 0.75, "SELECT $1")
    (idle,) = statement_documents([a_statement(calls=0, hit=0, read=0)])
    assert (idle["mean_seconds"], idle["cache_hit_ratio"]) == (0.0, None)


def test_problem_is_as_rfc_9457_has_it() -> None:
    """Type, status, title, detail."""
    assert problem(404, "Not Found", "nobody") == {
        "type": "about:blank",
        "status": 404,
        "title": "Not Found",
        "detail": "nobody",
    }
