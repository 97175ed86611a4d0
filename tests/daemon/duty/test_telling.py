"""What the daemon tells of its alerting."""

from alerting.dispatcher import Outbox
from daemon.duty.telling import Standing, component, families, troubles
from tests.alerting.builders import an_alert
from toban.alerts import Key, Severity, State
from toban.outcomes import Failure, Reason
from toban.status import Health

OUTBOX = Outbox(pending=3, oldest_seconds=7.5, totals={("mail", "sent"): 2}, stuck=(), shut={}, failing={})


def test_health_is_that_of_the_worst_alert_that_is_told() -> None:
    """Muted, acknowledged and pending ones, and what is only for information, make nobody hurry."""
    mild = an_alert(severity=Severity.WARNING, key=Key("cpu", "host"))
    worst = an_alert(severity=Severity.CRITICAL, key=Key("disk", "host", (("mount", "/srv"),)))
    quiet = [
        an_alert(severity=Severity.CRITICAL, muted="silence x"),
        an_alert(severity=Severity.CRITICAL, state=State.ACKNOWLEDGED),
        an_alert(severity=Severity.CRITICAL, state=State.PENDING),
        an_alert(severity=Severity.INFO),
    ]
    found = component([mild, worst, *quiet], ())
    assert (found.state, found.reason) == (Health.CRITICAL, 'disk host{mount="/srv"} and 2 more')
    assert component(quiet, ()).state is Health.OK
    assert component(quiet, ("messages are stuck: mail",)).state is Health.WARNING


def test_metrics_have_the_names_of_the_outer_surface() -> None:
    """And their values."""
    standing = Standing(active={Severity.CRITICAL: 1}, outbox=OUTBOX, book_trouble=True, beats={"heard": 4})
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families(standing)
        for sample in family.samples
    }
    assert values["toban_alerts_active", "critical"] == 1
    assert values["toban_notifications_total", "mail", "sent"] == 2
    assert values["toban_outbox_pending",] == 3
    assert values["toban_outbox_oldest_seconds",] == 7.5
    assert values["toban_book_trouble",] == 1
    assert values["toban_heartbeats_total", "heard"] == 4


def test_troubles_are_a_sentence_each() -> None:
    """They are told in the overall health, and keep the heartbeat still."""
    book = Failure(reason=Reason.FULL, detail="no space left")
    assert list(troubles(late=["main", "spare"], book=book, stuck=["mail"], full=True, ended=["the desk"])) == [
        "not tried for too long: main, spare",
        "the book of alerts cannot be written: no space left",
        "messages are stuck: mail",
        "there are more series than the rules have room for: some are not judged",
        "a part of alerting has ended: the desk",
    ]
    assert list(troubles(late=(), book=None, stuck=(), full=False, ended=())) == []
