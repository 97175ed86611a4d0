"""What is planned, and what does not fit together."""

from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from backup.engines.contract import Origin
from backup.keeping.moments import moment_of
from backup.plan import Plan, planned
from backup.restore.contract import Aim
from backup.settings import Backups, Copy, Drill, Job, Proof
from tests.backup.keeper.records import DAY, HOST, HOUR, MAIN, a_job
from tests.builders import START
from toban.backups import Method, Scope
from toban.errors import NotFoundError
from toban.secrets import Dsn

LEDGER = Origin(name="ledger", kind="sqlite", path=Path("/srv/ledger.db"))
SHOP = Origin(name="shop", kind="mariadb", dsn=Dsn("mysql://toban@127.0.0.1:3306/"))
POOL = Origin(name="pool", kind="pgbouncer", dsn=Dsn("postgresql://toban@127.0.0.1:6432/pgbouncer"))
EVERYTHING = (HOST, MAIN, LEDGER, SHOP, POOL)
PLACE = Path("/var/backups/toban")


def a_plan(*jobs: Job, origins: tuple[Origin, ...] = EVERYTHING, **more: Any) -> Plan:  # noqa: ANN401 - any of its keys
    """These jobs, in a repository."""
    return planned(Backups(**{"repository": PLACE, "jobs": jobs, **more}), origins)


def told(*jobs: Job, **more: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - any of its keys
    """What is wrong with these jobs, each place as one word."""
    return [(".".join(map(str, path)), why) for path, why in a_plan(*jobs, **more).problems]


def test_two_lines_of_configuration_are_enough() -> None:
    """A DSN and a repository: dumps daily and weekly, a base backup weekly, WAL as a stream."""
    plan = planned(Backups(repository=PLACE), (HOST, MAIN, POOL))
    said = [(job.name, job.method, job.schedule, job.format, job.keep.for_ / DAY) for job in plan.jobs]
    assert said == [
        ("daily", Method.DUMP, "0 2 * * *", "custom", 7),
        ("weekly", Method.DUMP, "0 3 * * 0", "plain", 28),
        ("base", Method.BASE, "0 4 * * 0", None, 14),
        ("wal", Method.WAL, None, None, 7),
    ]
    assert [job.compress for job in plan.jobs[:2]] == ["zstd", "zstd"]
    assert plan.problems == ()
    assert plan.active
    assert [job.name for job in plan.provable] == ["daily", "weekly", "base"]
    assert plan.proof.schedule == "0 5 * * 0"


def test_usual_jobs_are_named_by_their_target_where_there_are_several() -> None:
    """SQLite and MariaDB get a daily one."""
    plan = planned(Backups(repository=PLACE), EVERYTHING)
    names = ["daily-main", "weekly-main", "base-main", "wal-main", "daily-ledger", "daily-shop"]
    assert [job.name for job in plan.jobs] == names
    assert plan.targets == ("main", "ledger", "shop")


def test_without_a_repository_nothing_is_planned() -> None:
    """And with none of the usual jobs wanted, nothing either."""
    assert planned(Backups(), EVERYTHING) == Plan(origins={origin.name: origin for origin in EVERYTHING})
    assert not planned(Backups(repository=PLACE, jobs=()), EVERYTHING).active
    assert told(a_job(), repository=None) == [("repository", "is missing; name the folder that the backups go to")]


def test_job_may_have_a_way_in_and_databases_of_its_own() -> None:
    """A standby, say; else it is the target's."""
    standby = Dsn("postgresql://backup@127.0.0.1:5433/postgres")
    plan = a_plan(a_job(dsn=standby, databases=("shop_*",)), a_job("usual"))
    origin = plan.origin(plan.job("nightly"))
    assert origin.dsn == standby
    assert [origin.chosen(name) for name in ("shop_eu", "ledger")] == [True, False]
    assert plan.origin(plan.job("usual")).dsn == MAIN.dsn


def test_what_is_not_there_is_named_with_what_is() -> None:
    """For the command line."""
    plan = a_plan(a_job(), drills=(Drill(name="quarterly", backup="nightly"),))
    with pytest.raises(NotFoundError) as refused:
        plan.job("nihgtly")
    assert refused.value.line == "toban: backup: none is called nihgtly; did you mean nightly? (there are: nightly)"
    with pytest.raises(NotFoundError) as refused:
        planned(Backups(), ()).drill("x")
    assert refused.value.line == "toban: drill: none is called x (none is configured)"
    assert plan.drill("quarterly").backup == "nightly"


def test_copies_of_a_job_are_those_it_names_or_all() -> None:
    """None at all, too."""
    nas, bucket = Copy(name="nas", path=Path("/mnt/nas")), Copy(name="bucket", url="s3://b/p")
    plan = a_plan(a_job("a"), a_job("b", copies=("nas",)), a_job("c", copies=()), copies=(nas, bucket))
    assert [plan.copies(job) for job in plan.jobs] == [(nas, bucket), (nas,), ()]


def test_window_is_the_longer_of_what_is_promised_and_what_the_wal_is_kept_for() -> None:
    """By target: one without WAL has what is promised."""
    plan = a_plan(
        a_job("wal", method=Method.WAL, keep={"for": "10d"}), a_job("files", "host", Method.FILES, paths=("/etc",))
    )
    assert (plan.window("main"), plan.window("host")) == (10 * DAY, 7 * DAY)


@pytest.mark.parametrize(
    ("job", "problem"),
    [
        (a_job(target="mian"), ("target", "no target is called mian; did you mean main?")),
        (
            a_job(target="pool"),
            ("method", "dump is for targets of kind mariadb, postgresql, sqlite, and pool is of kind pgbouncer"),
        ),
        (
            a_job(method=Method.WAL, target="shop"),
            ("method", "wal is for targets of kind postgresql, and shop is of kind mariadb"),
        ),
        (a_job(format="tar"), ("format", "a dump of a postgresql target is one of custom, directory, plain")),
        (a_job(target="ledger", format="custom"), ("format", "a dump of a sqlite target has no formats; leave it out")),
        (a_job(dsn="mysql://u@h/"), ("dsn", "of a postgresql target begins with postgresql:// or postgres://")),
        (a_job(target="ledger", dsn="mysql://u@h/"), ("dsn", "is not for sqlite")),
        (a_job(target="shop", globals=True), ("globals", "is for postgresql targets, and shop is of kind mariadb")),
        (a_job(target="ledger", databases=("a",)), ("databases", "a sqlite target has none to choose among")),
        (a_job(copies=("nsa",)), ("copies.0", "no copy is called nsa")),
        (
            a_job(target="shop", method=Method.BASE, engine="pgbackrest", stanza="s"),
            ("engine", "pgbackrest is for postgresql targets, and shop is of kind mariadb"),
        ),
    ],
)
def test_job_that_does_not_fit_its_target_is_told(job: Job, problem: tuple[str, str]) -> None:
    """Each mistake at its key."""
    path, why = problem
    assert told(job) == [(f"jobs.0.{path}", why)]


def an_incremental(name: str = "daily", of: str = "base", **more: Any) -> Job:  # noqa: ANN401 - any of its keys
    """One that builds on the job called base."""
    return a_job(name, method=Method.BASE, type=Scope.INCREMENTAL, of=of, **more)


BASE = a_job("base", method=Method.BASE)


@pytest.mark.parametrize(
    ("jobs", "problem"),
    [
        ((BASE, an_incremental()), None),
        ((BASE, an_incremental(), an_incremental("hourly", of="daily")), None),
        ((BASE, an_incremental(of="bass")), ("jobs.1.of", "no job is called bass; did you mean base?")),
        ((a_job("base"), an_incremental()), ("jobs.1.of", "base is no base backup by the same engine")),
        (
            (BASE, an_incremental("x", of="y"), an_incremental("y", of="x")),
            ("jobs.1.of", "goes in a circle; in the end it must be a full one"),
        ),
        (
            (BASE, a_job("full", method=Method.BASE, of="base")),
            ("jobs.1.of", "is for differential and incremental backups, and this one is full"),
        ),
        (
            (a_job("base", "other", Method.BASE), an_incremental()),
            ("jobs.1.of", "base is of target other, and this one of main"),
        ),
    ],
)
def test_backups_build_on_others_that_lead_to_a_full_one(
    jobs: tuple[Job, ...], problem: tuple[str, str] | None
) -> None:
    """Of the same target, by the same engine, and never in a circle."""
    other = Origin(name="other", kind="postgresql", dsn=MAIN.dsn)
    found = told(*jobs, origins=(MAIN, other))
    assert found[:1] == ([] if problem is None else [problem])


def test_base_backups_of_mariadb_are_full() -> None:
    """mariadb-backup's increments are not ours."""
    jobs = (
        a_job("base", "shop", Method.BASE),
        a_job("inc", "shop", Method.BASE, type=Scope.INCREMENTAL, of="base"),
    )
    assert told(*jobs) == [("jobs.1.type", "a base backup of a mariadb target is always a full one")]


def test_wal_of_a_target_is_kept_by_one_job() -> None:
    """It goes to one place."""
    jobs = (a_job("wal", method=Method.WAL), a_job("more", method=Method.WAL))
    assert told(*jobs) == [("jobs.1.method", "wal keeps the WAL of main already; one job does it for a target")]


def test_what_names_jobs_names_those_that_there_are() -> None:
    """Proofs and drills; WAL alone is neither."""
    drills = (
        Drill(name="a", backup="nihgtly"),
        Drill(name="a", backup="wal"),
        Drill(name="b", backup="nightly", to="tomorrow"),
    )
    found = told(a_job(), a_job("wal", method=Method.WAL), proof=Proof(jobs=("x", "nightly")), drills=drills)
    assert found == [
        ("proof.jobs.0", "no job is called x"),
        ("drills.0.backup", "no job is called nihgtly; did you mean nightly?"),
        ("drills.1.backup", "wal keeps WAL, which is restored with a base backup; name that"),
        ("drills.2.to", "'tomorrow' is neither latest, nor a time as 2026-11-21T02:00:00+09:00, nor -2h"),
        ("drills.1.name", "another one is called a too"),
    ]


def test_copies_are_told_apart_by_their_names() -> None:
    """Two of one name would be taken for one."""
    copies = (Copy(name="nas", path=Path("/a")), Copy(name="nas", path=Path("/b")))
    assert told(a_job(), copies=copies) == [("copies.1.name", "another one is called nas too")]


def test_moment_of_a_drill_is_settled_when_it_is_read() -> None:
    """A time without an offset is one of the configured zone."""
    tokyo = ZoneInfo("Asia/Tokyo")
    assert moment_of("latest", START, UTC).aim is Aim.LATEST
    assert moment_of("-2h", START, UTC).at == START - 2 * HOUR
    here, there = moment_of("2026-11-21T11:00", START, tokyo), moment_of("2026-11-21T02:00+00:00", START, tokyo)
    assert (here.aim, here.at) == (Aim.TIME, there.at)


def test_provable_are_those_that_the_proof_names() -> None:
    """By default all but WAL."""
    jobs = (a_job("a"), a_job("b"), a_job("wal", method=Method.WAL))
    assert [job.name for job in a_plan(*jobs, proof=Proof(jobs=("b",))).provable] == ["b"]
    assert [job.name for job in a_plan(*jobs).provable] == ["a", "b"]
    assert a_plan(*jobs).encryption is None
