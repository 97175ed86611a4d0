"""What may be asked of alerts is understood, or refused with the reason."""

import math
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from daemon.answers.alerts_telling import tell
from daemon.answers.asking import Asked, ask
from daemon.asked_alerts import SilenceAsked, matches_asked, silence_asked
from daemon.documents_alerts import alert_documents, counts_document, evidence_of, number
from daemon.http.listening import listen_unix
from tests.alerting.notices import an_alert
from tests.builders import START
from tests.daemon.duties import FakeDuty, on_duty
from tests.daemon.serving import configured
from toban.alerts import Severity, State
from toban.clock import SystemClock
from toban.errors import NotFoundError, TobanError, UnavailableError, UsageError
from toban.language import Language

HOUR = 3600.0
TOKYO = ZoneInfo("Asia/Tokyo")


def understood(**written: Any) -> SilenceAsked:  # noqa: ANN401 - as it was written
    """A silence that was asked for at the clock's start."""
    given: dict[str, Any] = {"length": None, "begins": None, "until": None, "cron": None, "match": ()}
    return silence_asked(**given | written, why="x", now=START, zone=UTC)


def test_a_silence_begins_now_and_lasts() -> None:
    """Unless something else is said."""
    found = understood(length="2h")
    assert (found.begins_at, found.ends_at, found.cron, found.for_seconds) == (START, START + 2 * HOUR, "", 0.0)


def test_a_planned_silence_is_read_in_the_zone() -> None:
    """With a length, or an end; a time with an offset is what it says."""
    planned = silence_asked(
        match=(), length="1h", begins="2026-12-24T09:00", until=None, cron=None, why="x", now=START, zone=TOKYO
    )
    offset = understood(begins="2026-12-24T09:00+09:00", until="2026-12-24T10:00+09:00")
    assert (planned.begins_at, planned.ends_at) == (offset.begins_at, offset.ends_at)


def test_a_recurring_silence_lasts_a_year_where_nobody_says() -> None:
    """Each time for so long."""
    found = understood(cron="0 1 * * *", length="1h")
    assert (found.ends_at - found.begins_at, found.for_seconds) == (365 * 24 * HOUR, HOUR)
    assert understood(cron="0 1 * * *", length="1h", until="2026-12-24").ends_at < found.ends_at


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ({"length": "2h", "until": "2026-12-24"}, "one of --for and --until"),
        ({"until": "2020-01-01"}, "ends later than it begins"),
        ({"begins": "2027-01-02", "until": "2027-01-01"}, "ends later than it begins"),
        ({"length": "90d", "begins": "2020-01-01"}, "in the future"),
        ({"length": "500d"}, "within a year"),
        ({"begins": "soon", "length": "1h"}, "is no time"),
        ({"cron": "0 1 * * *"}, "--cron wants --for"),
        ({"cron": "often", "length": "1h"}, "is no cron line"),
        ({"cron": "0 0 31 2 *", "length": "1h"}, "is no cron line"),
        ({"cron": "0 * * * *", "length": "1h"}, "nobody would ever be told"),
    ],
)
def test_a_silence_that_makes_no_sense_is_refused(written: dict[str, Any], why: str) -> None:
    """With what is wrong."""
    with pytest.raises(UsageError, match=why.replace("*", r"\*")):
        understood(**written)


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["rule"], "is no LABEL=PATTERN"),
        (["=x"], "is no label"),
        (["rule="], "has no pattern"),
        (["rule=" + "x" * 501], "endless"),
        (["a=b"] * 21, "more than 20"),
    ],
)
def test_a_match_that_is_none_is_refused(texts: list[str], why: str) -> None:
    """With what is wrong."""
    with pytest.raises(UsageError, match=why):
        matches_asked(texts)


def test_a_pattern_may_hold_what_it_likes() -> None:
    """Also the sign between name and pattern."""
    assert matches_asked(["mount=/srv=*", "rule=!disk"]) == (("mount", "/srv=*"), ("rule", "!disk"))


def test_symptoms_that_explain_each_other_are_told_all_the_same() -> None:
    """Nobody is lost in a ring, nor under himself."""
    ring = [an_alert("a", cause="b"), an_alert("b", cause="a"), an_alert("c", cause="c"), an_alert("d", cause="gone")]
    assert [one["id"] for one in alert_documents(ring, UTC)] == ["c", "d", "a", "b"]


def test_counts_leave_out_what_is_pending_over_or_a_drill() -> None:
    """What fires, acknowledged or not."""
    alerts = [
        an_alert("a", severity=Severity.CRITICAL),
        an_alert("b", state=State.ACKNOWLEDGED),
        an_alert("c", state=State.PENDING),
        an_alert("d", state=State.RESOLVED),
        an_alert("e", test=True),
    ]
    assert counts_document(alerts) == {"critical": 1, "warning": 1, "info": 0}


def test_documents_are_such_as_json_takes() -> None:
    """No infinity; damaged evidence is none."""
    assert (number(math.inf), number(None), number(1.5)) == (None, None, 1.5)
    assert (evidence_of("{"), evidence_of(None), evidence_of('{"a": 1}')) == (None, None, {"a": 1})


def test_a_daemon_that_answers_oddly_is_told(tmp_path: Path) -> None:
    """With the status that it gave."""
    asked = Asked(configuration=configured(tmp_path), language=Language.EN)
    duty = FakeDuty(clock=SystemClock(), book_path=tmp_path)
    with on_duty(asked.configuration.state_path, duty):
        with pytest.raises(TobanError, match="POST is not for this address; there is GET, HEAD"):
            tell(asked, "/api/v1/status", {})
        with pytest.raises(NotFoundError, match="no target is called 'nobody'"):
            ask(asked.configuration, "/api/v1/metrics", target="nobody")
        duty.acknowledge = None  # type: ignore[assignment,method-assign] # a fault of ours
        duty.alerts = [an_alert("0000000a")]
        with pytest.raises(TobanError, match="internal fault: TypeError"):
            tell(asked, "/api/v1/alerts/0/ack", {"who": "me"})


def test_a_daemon_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    """Its socket takes the connection, and nothing comes."""
    asked = Asked(configuration=configured(tmp_path), language=Language.EN)
    with (
        closing(listen_unix(asked.configuration.socket_path)),
        pytest.raises(UnavailableError, match="ReadTimeout on its local socket"),
    ):
        tell(asked, "/api/v1/alerts/0/ack", {}, seconds=0.05)
