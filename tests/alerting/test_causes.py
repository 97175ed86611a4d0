from dataclasses import replace

from alerting.causes import cause_of, why_muted
from tests.alerting.builders import an_alert, with_policy
from tests.builders import START
from toban.alerts import Data, Key, Severity, State

SYMPTOM = an_alert(episode="symptom0", key=Key("connections", "main"))
DOWN = an_alert(episode="down0000", key=Key("target_down", "main"))


def test_cause_is_at_the_same_target() -> None:
    """Another target's trouble explains nothing here."""
    elsewhere = an_alert(episode="else0000", key=Key("target_down", "other"))
    assert cause_of(SYMPTOM, [elsewhere, DOWN]) is DOWN
    assert cause_of(SYMPTOM, [elsewhere]) is None


def test_cause_may_be_the_host_of_the_target() -> None:
    """By the alert's target, or by its label `host`."""
    by_target = an_alert(episode="host0000", key=Key("host_down", "db1"))
    by_label = an_alert(episode="host0001", key=Key("probe_down", "web", (("host", "db1"),)))
    assert cause_of(SYMPTOM, [by_target], host="db1") is by_target
    assert cause_of(SYMPTOM, [by_label], host="db1") is by_label
    assert cause_of(SYMPTOM, [by_target, by_label], host="db2") is None
    assert cause_of(SYMPTOM, [an_alert(episode="x", key=Key("host_down", ""))], host="") is None


def test_alert_is_no_cause_of_itself_nor_is_one_that_is_over() -> None:
    """Neither explains anything."""
    over = an_alert(episode="over0000", key=Key("target_down", "main"), state=State.RESOLVED)
    assert cause_of(SYMPTOM, [SYMPTOM, over]) is None


def test_cause_of_which_nobody_hears_keeps_nothing_quiet() -> None:
    """Its severity has no channel, or it is pending and its data is missing."""
    silent = an_alert(episode="info0000", severity=Severity.INFO, told=())
    assert cause_of(SYMPTOM, [silent]) is None
    unheard = an_alert(episode="pend0000", state=State.PENDING, told=(), data=Data.FAILING)
    assert cause_of(SYMPTOM, [unheard]) is None
    assert cause_of(SYMPTOM, [replace(unheard, data=Data.OK)]) is not None
    assert cause_of(SYMPTOM, [replace(unheard, state=State.FIRING)]) is not None


def test_cause_that_fires_comes_before_one_that_is_pending_then_the_older() -> None:
    """The best known is named."""
    pending = an_alert(episode="pend0000", state=State.PENDING, started_at=START - 100)
    older = an_alert(episode="old00000", started_at=START - 50)
    assert cause_of(SYMPTOM, [pending, DOWN, older]) is older
    assert cause_of(SYMPTOM, [pending]) is pending
    assert (why_muted(older), why_muted(pending)) == ("caused by old00000", "waits for pend0000")


def test_cause_is_about_the_same_thing_where_both_name_it() -> None:
    """One subscription that stopped explains nothing of another; what names none explains all."""
    errors = an_alert(episode="errors00", key=Key("subscription_errors", "main", (("subname", "b"),)))
    other = an_alert(episode="stopped0", key=Key("subscription_stopped", "main", (("subname", "a"),)))
    same = an_alert(episode="stopped1", key=Key("subscription_stopped", "main", (("subname", "b"),)))
    assert cause_of(errors, [other]) is None
    assert cause_of(errors, [other, same]) is same
    assert cause_of(errors, [DOWN]) is DOWN
    full = an_alert(episode="full0000", key=Key("disk_full_soon", "main", (("kind", "slot"), ("name", "s"))))
    down = replace(DOWN, key=Key("target_down", "main", (("kind", "postgresql"),)))
    assert cause_of(full, [down]) is down


def test_cause_that_only_mail_hears_of_keeps_nothing_from_the_pager() -> None:
    """Whoever would be told of the symptom has to be told of the cause; the dashboard shows both anyway."""
    warned = an_alert(episode="warned00", key=Key("archiver_failing", "main"))
    critical = replace(SYMPTOM, severity=Severity.CRITICAL)
    assert cause_of(critical, [warned]) is None
    assert cause_of(critical, [replace(warned, told=("mail", "pager"))]) is None
    assert cause_of(critical, [paged := replace(warned, severity=Severity.CRITICAL)]) is paged
    mailed = with_policy(first={Severity.CRITICAL: ("mail",)})
    assert cause_of(critical, [replace(paged, policy=mailed)]) is None
    assert cause_of(critical, [replace(paged, policy=mailed, told=("mail", "action:command:pager"))]) is None
    shown = with_policy(first={Severity.WARNING: ("mail", "dashboard"), Severity.CRITICAL: ("dashboard",)})
    assert cause_of(replace(SYMPTOM, policy=shown), [warned]) is warned
    assert cause_of(replace(critical, policy=shown), [warned]) is warned
