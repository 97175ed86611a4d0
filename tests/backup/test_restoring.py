"""A restore is prepared out of a repository alone, looked at, and refused or carried out."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from backup.children import Children
from backup.engines.contract import Contents, Surroundings, Tell
from backup.errors import BackupError
from backup.programs import Programs
from backup.restore.contract import Aim, Moment, Preflight, Restored, Wanted
from backup.restore.ordering import Order
from backup.restore.restoring import Restoring, restoring
from tests.builders import START, ManualClock
from tests.daemon.answers.kept import HOUR, a_proof, a_record, a_verification
from toban.backups import BackupRecord, Check, Marks, Method, Progress, Status, StoredFile, Trouble, Verdict
from toban.errors import TobanError
from toban.secrets import Dsn, Secret

SERVER = Dsn("postgresql://postgres@127.0.0.1/postgres")
TIME = Moment(aim=Aim.TIME, value="x", at=START)
BASE: dict[str, Any] = {"method": Method.BASE, "databases": (), "stop_lsn": "0/2000100"}


class NoContents:
    """Of a backup that nobody reads."""


@dataclass
class FakeShelves:
    """Some records, and digests as the test wants them."""

    found: list[BackupRecord]
    parents: dict[str, str] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)
    read: list[str] = field(default_factory=list)
    root: Path = Path("/nowhere")
    holds: list[tuple[str, str]] = field(default_factory=list)

    def records(
        self, *, target: str | None = None, name: str | None = None, method: Method | None = None
    ) -> tuple[BackupRecord, ...]:
        """Of one target."""
        return tuple(one for one in self.found if target in (None, one.manifest.target))

    def record(self, beginning: str) -> BackupRecord:
        """By its id."""
        return next(one for one in self.found if one.id.startswith(beginning))

    def lineage(self, record: BackupRecord) -> tuple[BackupRecord, ...]:
        """Its parent first."""
        parent = record.manifest.parent
        if parent is None:
            return (record,)
        if parent not in {one.id for one in self.found}:
            raise BackupError(f"backup {record.id}", f"builds on {parent}, which is gone", trouble=Trouble.MISSING)
        return (self.record(parent), record)

    def contents(self, record: BackupRecord, workspace: Path) -> Contents:
        """Nobody reads them."""
        assert workspace.is_dir()
        return NoContents()  # type: ignore[return-value] # a restorer that is a fake asks for nothing

    def wal_place(self, target: str) -> Path:
        """There, if the test has made it."""
        return self.root / target / "wal"

    @asynccontextmanager
    async def held(self, records: Iterable[BackupRecord], what: str) -> AsyncIterator[None]:
        """For as long as it lasts."""
        before = self.holds
        self.holds = [*before, *((record.id, what) for record in records)]
        yield
        self.holds = before

    async def check_files(self, record: BackupRecord, tell: Tell) -> tuple[Check, ...]:
        """Good unless the test says otherwise."""
        self.read.append(record.id)
        ok = record.id not in self.bad
        return (Check(name="digests", ok=ok, detail="" if ok else "1-shop.dump is not what was written"),)


@dataclass
class FakeRestorer:
    """Says what the test wants, and remembers what it was asked."""

    checks: tuple[Check, ...] = (Check(name="server", ok=True, detail="PostgreSQL 15"),)
    error: BackupError | None = None
    asked: list[Wanted] = field(default_factory=list)
    workspace: Path | None = None

    async def preflight(self, wanted: Wanted, around: Surroundings) -> Preflight:
        """Looked at."""
        self.asked.append(wanted)
        if self.error is not None:
            raise self.error
        return Preflight(checks=self.checks, needed_bytes=4096, forecast_seconds=12.0)

    async def restore(self, wanted: Wanted, around: Surroundings, workspace: Path, tell: Tell) -> Restored:
        """Done."""
        self.workspace = workspace
        return Restored(phases={"restore": 3.0}, restored_bytes=2048, did=("made shop",))


def surroundings(folder: Path) -> Surroundings:
    """Nothing is started in them."""
    return Surroundings(
        clock=ManualClock(), children=Children(), programs=Programs(), workspace=folder / "work", node="n"
    )


@asynccontextmanager
async def prepared(
    shelves: FakeShelves, order: Order, restorer: FakeRestorer, folder: Path
) -> AsyncIterator[Restoring]:
    """A restore in UTC."""
    async with restoring(shelves, surroundings(folder), order, zone=UTC, restorer_of=lambda _: restorer) as made:
        yield made


def kept(folder: Path, *, size: int = 4, marks: Marks | None = None, **fields: Any) -> BackupRecord:  # noqa: ANN401 - any field of a manifest
    """A backup whose one file of four bytes really lies there."""
    place = folder / str(fields.get("id", "b"))
    place.mkdir()
    (place / "data").write_bytes(b"1234")
    files = (StoredFile(path="data", size_bytes=size, sha256="x"),)
    return a_record(place=str(place), files=files, marks=marks or Marks(verification=a_verification()), **fields)


def unheard(progress: Progress) -> None:
    """Nobody listens."""


async def test_a_restore_that_nothing_speaks_against_is_carried_out(tmp_path: Path) -> None:
    """The way back is asked first, given a folder of its own, and that folder goes."""
    record, restorer = kept(tmp_path, id="20261118T090640Z-nightly"), FakeRestorer()
    order = Order(backup="2026", into=SERVER, database="shop")
    async with prepared(FakeShelves([record]), order, restorer, tmp_path) as one:
        seen = await one.look()
        assert [(check.name, check.ok) for check in seen.checks] == [
            ("backup", True),
            ("files", True),
            ("server", True),
        ]
        assert (seen.ok, seen.reaches_at, seen.faults) == (True, record.manifest.created_at, ())
        restored = await one.restore(unheard)
    assert (restored.did, dict(restored.phases)) == (("made shop",), {"restore": 3.0})
    assert restorer.asked[0].database == "shop"
    assert restorer.asked[0].into == SERVER
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        (Marks(), "20261118T090640Z-nightly is stored, and not yet read through"),
        (Marks(verification=a_verification()), "20261118T090640Z-nightly was verified 1 h ago"),
        (
            Marks(verification=a_verification(), proof=a_proof(proved_at=START - 36 * HOUR)),
            "20261118T090640Z-nightly was proven 1 d 12 h ago",
        ),
    ],
)
async def test_preflight_says_how_far_the_backup_is_believed(tmp_path: Path, marks: Marks, words: str) -> None:
    """And since when."""
    record = kept(tmp_path, id="20261118T090640Z-nightly", marks=marks)
    async with prepared(FakeShelves([record]), Order(backup="2", into=SERVER), FakeRestorer(), tmp_path) as one:
        assert (await one.look()).checks[0].detail == words


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (Status.RUNNING, "", "is still being made"),
        (Status.FAILED, "no space left", "was not made: no space left"),
        (Status.DAMAGED, "data is not what was written", "is damaged: data is not what was written"),
        (Status.DAMAGED, "", "is damaged: toban backup show has the checks"),
    ],
)
async def test_what_is_no_whole_backup_is_refused(tmp_path: Path, status: Status, reason: str, words: str) -> None:
    """Without a question to the way back."""
    record = replace(kept(tmp_path), status=status, reason=reason)
    restorer = FakeRestorer()
    async with prepared(FakeShelves([record]), Order(backup="2", into=SERVER), restorer, tmp_path) as one:
        with pytest.raises(BackupError) as refused:
            await one.restore(unheard)
    assert refused.value.why == f"{record.id} {words}; choose another one: toban backup list"
    assert (refused.value.exit_status, restorer.asked, restorer.workspace) == (1, [], None)


async def test_a_file_that_is_gone_or_short_is_seen_at_once(tmp_path: Path) -> None:
    """Before anything is restored from the rest."""
    short = kept(tmp_path, size=5)
    order = Order(backup="2", into=SERVER)
    async with prepared(FakeShelves([short]), order, FakeRestorer(), tmp_path) as one:
        assert (await one.look()).faults == (f"{short.place}/data has 4 bytes, and had 5 when it was made",)
    (tmp_path / "b" / "data").unlink()
    async with prepared(FakeShelves([short]), order, FakeRestorer(), tmp_path) as one:
        assert (await one.look()).faults == (f"{short.place}/data: No such file or directory",)


async def test_a_backup_that_nobody_has_read_is_read_first(tmp_path: Path) -> None:
    """With those it builds on; what differs is not restored. Somebody in a hurry may say no."""
    full = kept(tmp_path, id="1-full", marks=Marks(), **BASE)
    rest = kept(tmp_path, id="2-rest", marks=Marks(), parent="1-full", **BASE)
    shelves, restorer = FakeShelves([rest, full], bad={"2-rest"}), FakeRestorer()
    order = Order(backup="2-rest", data_dir=tmp_path / "new")
    async with prepared(shelves, order, restorer, tmp_path) as one:
        with pytest.raises(BackupError, match=r"backup 2-rest: 1-shop\.dump is not what was written") as refused:
            await one.restore(unheard)
    assert (shelves.read, refused.value.trouble, restorer.workspace) == (["1-full", "2-rest"], Trouble.DAMAGED, None)
    async with prepared(shelves, replace(order, verify=False), restorer, tmp_path) as one:
        assert list((await one.restore(unheard)).phases) == ["restore"]


async def test_reading_first_can_be_asked_for(tmp_path: Path) -> None:
    """Also of one that was verified; it is a phase of its own."""
    record = kept(tmp_path)
    shelves = FakeShelves([record])
    async with prepared(shelves, Order(backup="2", into=SERVER, verify=True), FakeRestorer(), tmp_path) as one:
        assert list((await one.restore(unheard)).phases) == ["verify", "restore"]
    assert shelves.read == [record.id]


async def test_order_and_password_reach_the_way_back(tmp_path: Path) -> None:
    """The password of the very job, where somebody has configured one; and that roles are to be left alone."""
    restorer, known = FakeRestorer(), {"nightly": Secret("hunter2")}
    shelves, around = FakeShelves([kept(tmp_path, name="nightly")]), surroundings(tmp_path)
    order = Order(backup="2", into=SERVER, with_roles=False)
    for secret_of in (known.get, {"other": Secret("x")}.get):
        async with restoring(
            shelves, around, order, zone=UTC, restorer_of=lambda _: restorer, secret_of=secret_of
        ) as one:
            await one.look()
    assert [(asked.secret, asked.with_roles) for asked in restorer.asked] == [(known["nightly"], False), (None, False)]


async def test_what_is_being_restored_is_held(tmp_path: Path) -> None:
    """No retention takes it away meanwhile, with those it builds on; then it may."""
    full = kept(tmp_path, id="1-full", **BASE)
    shelves = FakeShelves([kept(tmp_path, id="2-rest", parent="1-full", **BASE), full])
    seen: list[tuple[str, str]] = []

    class Looking(FakeRestorer):
        async def restore(self, wanted: Wanted, around: Surroundings, workspace: Path, tell: Tell) -> Restored:
            seen.extend(shelves.holds)
            return Restored()

    order = Order(backup="2-rest", data_dir=tmp_path / "new", verify=False)
    async with prepared(shelves, order, Looking(), tmp_path) as one:
        await one.restore(unheard)
    assert seen == [("1-full", "a restore"), ("2-rest", "a restore")]
    assert shelves.holds == []


async def test_a_parent_that_is_missing_is_a_reason(tmp_path: Path) -> None:
    """The chain is broken: nothing is restored from the rest of it."""
    rest = kept(tmp_path, id="2-rest", parent="1-full", **BASE)
    async with prepared(
        FakeShelves([rest]), Order(backup="2", data_dir=tmp_path / "new"), FakeRestorer(), tmp_path
    ) as one:
        seen = await one.look()
        assert seen.checks[-1] == Check(
            name="backup 2-rest", ok=False, detail="backup 2-rest: builds on 1-full, which is gone"
        )
        with pytest.raises(BackupError, match="builds on 1-full, which is gone"):
            await one.restore(unheard)


async def test_a_server_that_is_away_is_that_very_error(tmp_path: Path) -> None:
    """With its exit status 3; the preflight has it as a check."""
    away = BackupError("postgresql://127.0.0.1", "connection refused", trouble=Trouble.UNREACHABLE)
    async with prepared(
        FakeShelves([kept(tmp_path)]), Order(backup="2", into=SERVER), FakeRestorer(error=away), tmp_path
    ) as one:
        seen = await one.look()
        assert (seen.ok, seen.checks[-1].detail) == (False, "postgresql://127.0.0.1: connection refused")
        with pytest.raises(BackupError) as raised:
            await one.restore(unheard)
    assert raised.value.exit_status == 3


async def test_what_the_way_back_finds_is_a_reason(tmp_path: Path) -> None:
    """What could not be told is none."""
    checks = (Check(name="room", ok=False, detail="1 GB is missing"), Check(name="locale", ok=None, detail="unknown"))
    async with prepared(
        FakeShelves([kept(tmp_path)]), Order(backup="2", into=SERVER), FakeRestorer(checks=checks), tmp_path
    ) as one:
        assert (await one.look()).faults == ("1 GB is missing",)
        with pytest.raises(BackupError) as refused:
            await one.restore(unheard)
    assert refused.value.hint == "nothing was touched; --dry-run shows every check"


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (
            TIME,
            "2-base was begun at 2026-11-18T11:06:50+00:00, after the moment asked for; take 1-base",
        ),
        (Moment(aim=Aim.LSN, value="0/1800000"), "2-base ended at 0/2000100, after the LSN asked for; take 1-base"),
        (
            Moment(aim=Aim.LSN, value="0/1000"),
            "2-base ended at 0/2000100, after the LSN asked for; no earlier one is there",
        ),
    ],
)
async def test_a_moment_before_the_backup_names_the_one_to_take(tmp_path: Path, moment: Moment, words: str) -> None:
    """The newest that ended before it."""
    late = kept(tmp_path, id="2-base", **BASE | {"finished_at": START + 60, "created_at": START + 10})
    early = kept(tmp_path, id="1-base", **BASE | {"stop_lsn": "0/1000100"})
    first = kept(tmp_path, id="0-base", **BASE | {"stop_lsn": "0/800000", "finished_at": START - 9 * HOUR})
    if "no earlier" in words:
        first, early = late, late
    order = Order(backup="2-base", data_dir=tmp_path / "new", moment=moment)
    async with prepared(FakeShelves([late, early, first]), order, FakeRestorer(), tmp_path) as one:
        assert (await one.look()).faults == (words,)


async def test_wal_is_at_hand_for_a_whole_server(tmp_path: Path) -> None:
    """Where the repository has some; a moment of its own is what comes back."""
    record, restorer = kept(tmp_path, id="2-base", **BASE), FakeRestorer()
    shelves = FakeShelves([record], root=tmp_path)
    order = Order(backup="2", data_dir=tmp_path / "new", moment=TIME)
    async with prepared(shelves, order, restorer, tmp_path) as one:
        assert (await one.look()).reaches_at == START
    (tmp_path / "main" / "wal").mkdir(parents=True)
    async with prepared(shelves, replace(order, moment=Moment()), restorer, tmp_path) as one:
        assert (await one.look()).reaches_at == record.manifest.finished_at
    assert [asked.wal_place for asked in restorer.asked] == [None, tmp_path / "main" / "wal"]


async def test_nothing_is_left_behind_where_the_preparation_fails(tmp_path: Path) -> None:
    """Neither a workspace."""
    with pytest.raises(TobanError):
        async with prepared(FakeShelves([kept(tmp_path)]), Order(backup="2"), FakeRestorer(), tmp_path):
            raise AssertionError
    assert not (tmp_path / "work").exists()


def test_a_proof_that_decided_against_it_is_no_belief() -> None:
    """The record says so itself; the preflight quotes it."""
    record = a_record(marks=Marks(proof=a_proof(Verdict.DAMAGED)))
    assert record.proved_at is None
