"""What the daemon tells the rules of itself."""

from alerting.own import FAILING, HOST_REACHABLE, OWN_METRICS, TARGET_UP
from collectors.contract import Kind
from daemon.duty.own import Own, OwnTelling, bringing
from daemon.watch import Watch
from tests.alerting.builders import an_alert
from tests.builders import START, a_collection, a_failure
from tests.daemon.fakes import FakeCollector, FakeSource
from toban.alerts import Key
from toban.clock import SystemClock
from toban.outcomes import Failure, Reason
from toban.samples import Collection

WELL = Own(loop_lag_seconds=0.1, history_trouble=False, book_trouble=True, outbox_oldest_seconds=3.0, dead={"mail": 2})


def a_watch(name: str, kind: Kind = Kind.POSTGRESQL) -> Watch:
    """A watch over one fake that is never asked."""
    source = FakeSource()
    fake = FakeCollector(source, lambda: None, every=3600, name="activity")
    return Watch(name, kind, source, [fake], budget_seconds=0, clock=SystemClock())


def told(telling: OwnTelling, *watches: Watch, now: float = START) -> dict[tuple[str, str, tuple[str, ...]], float]:
    """Every value by target, metric and labels."""
    collections = telling.collections({watch.name: watch for watch in watches}, WELL, now)
    return {(c.target, s.metric.name, s.labels): s.value for c in collections for s in c.samples}


def failed(target: str, reason: Reason = Reason.UNREACHABLE) -> Collection:
    """A turn that found the target down."""
    return a_collection(target=target, collector="activity", failure=a_failure(reason, detail="no answer"))


def test_target_that_was_not_tried_is_neither_up_nor_down() -> None:
    """Nobody is woken for what nobody has looked at."""
    values = told(OwnTelling(lambda _: ""), a_watch("main"))
    assert ("main", TARGET_UP.name, ("postgresql",)) not in values


def test_toban_tells_of_its_loop_its_book_and_its_dead_letters() -> None:
    """As values of the target `toban`."""
    values = told(OwnTelling(lambda _: ""))
    assert values == {
        ("toban", "toban_loop_lag_seconds", ()): 0.1,
        ("toban", "toban_history_trouble", ()): 0.0,
        ("toban", "toban_book_trouble", ()): 1.0,
        ("toban", "toban_outbox_oldest_seconds", ()): 3.0,
        ("toban", "toban_notifications_dead_total", ("mail",)): 2.0,
    }


def test_failing_grows_from_the_first_failure_and_ends_with_a_good_turn() -> None:
    """What this server does not offer does not fail."""
    telling, watch = OwnTelling(lambda _: ""), a_watch("main")
    key = ("main", FAILING.name, ("activity",))
    watch.note(failed("main", Reason.TIMEOUT))
    assert told(telling, watch)[key] == 0.0
    assert told(telling, watch, now=START + 60)[key] == 60.0
    watch.note(a_collection(target="main", collector="activity"))
    assert told(telling, watch, now=START + 90)[key] == 0.0
    watch.note(failed("main", Reason.VERSION))
    assert told(telling, watch, now=START + 120)[key] == 0.0


def test_host_is_dead_when_every_target_there_is_silent_and_one_alone_says_nothing() -> None:
    """A refused password is an answer."""
    telling = OwnTelling({"a": "db1", "b": "db1", "c": "db2"}.__getitem__)
    a, b, c = a_watch("a"), a_watch("b"), a_watch("c")
    for watch in (a, b, c):
        watch.note(failed(watch.name))
    values = told(telling, a, b, c)
    assert values["toban", HOST_REACHABLE.name, ("db1",)] == 0.0
    assert ("toban", HOST_REACHABLE.name, ("db2",)) not in values
    b.note(failed("b", Reason.AUTHENTICATION))
    assert told(telling, a, b, c)["toban", HOST_REACHABLE.name, ("db1",)] == 1.0


def test_target_that_left_is_forgotten() -> None:
    """Should it come back, it begins anew."""
    telling, watch = OwnTelling(lambda _: ""), a_watch("main")
    watch.note(failed("main", Reason.TIMEOUT))
    told(telling, watch)
    telling.forget("main")
    assert told(telling, watch, now=START + 60)["main", FAILING.name, ("activity",)] == 0.0


def test_every_own_metric_is_told() -> None:
    """A rule about one that nobody brings would never fire."""
    telling = OwnTelling({"a": "db1", "b": "db1"}.__getitem__)
    a, b = a_watch("a"), a_watch("b", Kind.MARIADB)
    for watch in (a, b):
        watch.note(a_collection(target=watch.name, collector="activity"))
    assert {name for _, name, _ in told(telling, a, b)} == {metric.name for metric in OWN_METRICS}


def test_rules_by_the_names_of_exporters_are_heard() -> None:
    """`pg_up` of a PostgreSQL server and `mysql_up` of a MariaDB one, as on `/metrics`; of nothing else."""
    telling = OwnTelling(lambda _: "")
    down, well, host = a_watch("down"), a_watch("well", Kind.MARIADB), a_watch("host", Kind.HOST)
    down.note(failed("down"))
    for watch in (well, host):
        watch.note(a_collection(target=watch.name, collector="activity"))
    values = told(telling, down, well, host)
    ups = {key: value for key, value in values.items() if key[1] in {"pg_up", "mysql_up"}}
    assert ups == {("down", "pg_up", ()): 0.0, ("well", "mysql_up", ()): 1.0}


def test_host_that_refuses_is_not_dead_nor_is_this_one() -> None:
    """Both servers were stopped; somebody said so."""
    hosts = {"a": "db1", "b": "db1", "c": "here", "d": "here", "here": "here"}
    telling = OwnTelling(hosts.__getitem__)
    a, b, c, d = (a_watch(name) for name in "abcd")
    for watch, detail in ((a, "Connect call failed"), (b, "[Errno 111] Connect call failed"), (c, "?"), (d, "?")):
        failure = Failure(reason=Reason.UNREACHABLE, detail=detail)
        watch.note(a_collection(target=watch.name, collector="activity", failure=failure))
    values = told(telling, a, b, c, d, a_watch("here", Kind.HOST))
    assert values["toban", HOST_REACHABLE.name, ("db1",)] == 1.0
    assert ("toban", HOST_REACHABLE.name, ("here",)) not in values


def test_collector_that_failed_before_a_restart_goes_on_failing() -> None:
    """Its alert would be told as over, and again after a quarter of an hour."""
    telling, watch = OwnTelling(lambda _: ""), a_watch("main")
    labels = (("collector", "activity"),)
    failing = an_alert(key=Key("collector_failing", "main", labels), metric=FAILING.name, value=1000.0)
    telling.resume([failing, an_alert()])
    watch.note(failed("main", Reason.TIMEOUT))
    assert told(telling, watch, now=START + 60)["main", FAILING.name, ("activity",)] == 1060.0


def test_collectors_at_work_are_those_of_each_target() -> None:
    """With Toban's own; and the backups, where there are any."""
    main = a_watch("main")
    assert bringing({"main": main}, frozenset({"main", "toban"})) == {
        "main": {"activity", "toban", "backups"},
        "toban": {"toban", "backups"},
    }
    assert bringing({"main": main}, frozenset()) == {"main": {"activity", "toban"}, "toban": {"toban"}}


def test_extension_that_was_never_there_is_no_alarm() -> None:
    """Most servers are without pg_stat_statements, and MariaDB without performance_schema; one that is lost is one."""
    telling, watch = OwnTelling(lambda _: ""), a_watch("main")
    key = ("main", FAILING.name, ("activity",))
    watch.note(failed("main", Reason.EXTENSION_MISSING))
    told(telling, watch)
    assert told(telling, watch, now=START + 60)[key] == 0.0
    watch.note(a_collection(target="main", collector="activity"))
    watch.note(failed("main", Reason.EXTENSION_MISSING))
    told(telling, watch, now=START + 90)
    assert told(telling, watch, now=START + 150)[key] == 60.0
