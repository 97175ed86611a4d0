"""The WAL read through: daily what is new, weekly all of it, and what was found is not forgotten."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backup.children import Children
from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.keeping.happenings import Happening, Kind
from backup.programs import Programs
from backup.wal.checking import Findings
from backup.wal.manner import Manner
from backup.wal.moments import Moments
from daemon.backups import reading
from daemon.backups.reading import Readings
from daemon.backups.streams import Kept
from tests.backup.keeper.records import DAY, a_job
from tests.backup.wal.places import PLAIN, a_place
from tests.builders import ManualClock
from toban.backups import Method, Trouble

WAL = a_job("wal", method=Method.WAL)
FIRST, SECOND, THIRD = (f"00000001000000000000000{number}" for number in (1, 2, 3))
AGE = Manner(compress="none", seal="age", recipients=("age1x",))


@dataclass
class Desk:
    """Readings of one place, and what a reading finds there."""

    root: Path
    place: Path
    around: Surroundings
    clock: ManualClock
    manner: Manner = PLAIN
    finds: list[Findings | BackupError] = field(default_factory=list)
    begun_with: list[str] = field(default_factory=list)
    heard: list[Happening] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.readings = self.begun()

    def begun(self) -> Readings:
        """As a daemon begins."""
        return Readings(self.root, self.around, self.heard.append)

    async def a_day_on(self, days: float = 1) -> int | None:
        """A look after so many days; what is told then."""
        self.clock.advance(days * DAY)
        kept = Kept(
            print_of=(),
            job=WAL,
            dsn=None,
            place=self.place,
            manner=self.manner,
            moments=Moments("main", self.place, self.manner, self.around),
            receiver=None,
            heart=None,
            tasks=(),
        )
        await self.readings.look({"main": kept})
        return self.readings.damaged.get("main")

    async def read(self, *_: object, from_segment: str = "") -> Findings:
        """What the test says, or that all is well."""
        self.begun_with.append(from_segment)
        found = self.finds.pop(0) if self.finds else Findings(read=3)
        if isinstance(found, BackupError):
            raise found
        return found


@pytest.fixture
async def desk(tmp_path: Path, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Three segments that were never read."""
    children = Children()
    around = Surroundings(clock=manual_clock, children=children, programs=Programs(), workspace=tmp_path, node="db1")
    place = a_place(tmp_path, 1, 2, 3)
    made = Desk(root=tmp_path / "repository", place=place, around=around, clock=manual_clock)
    monkeypatch.setattr(reading, "read_through", made.read)
    yield made
    await children.close()


async def test_wal_is_read_wholly_once_a_week_and_what_is_new_each_day(desk: Desk) -> None:
    """The first time not at the very start; and never twice within a day."""
    assert await desk.a_day_on() is None
    assert desk.begun_with == []
    assert await desk.a_day_on(0.01) == 0
    for _ in range(8):
        await desk.a_day_on()
        await desk.a_day_on(0)
    assert desk.begun_with == ["", *[THIRD] * 6, "", THIRD]
    assert desk.heard == []


async def test_damage_is_told_kept_and_looked_for_again_the_next_day(desk: Desk) -> None:
    """All of it is read then, until it is mended; a restart forgets nothing."""
    await desk.a_day_on()
    desk.finds = [
        Findings(unreadable=["one is damaged", "two is damaged"], broken=["three: bad"], doubles=["four"], read=9),
        Findings(read=3),
    ]
    assert await desk.a_day_on() == 4
    said = "one is damaged; two is damaged; three: bad; and 1 more"
    assert desk.heard == [Happening(kind=Kind.DAMAGED, target="main", subject="wal", sentence=said)]
    desk.readings = desk.begun()
    assert desk.readings.damaged == {}
    assert await desk.a_day_on(0.1) == 4
    assert await desk.a_day_on() == 0
    assert desk.begun_with == ["", ""]


@pytest.mark.parametrize(
    ("manner", "found", "told"),
    [
        (PLAIN, Findings(unopened=["age: no identity"]), None),
        (PLAIN, Findings(unreadable=["gpg failed"]), 1),
        (AGE, Findings(unreadable=["age failed", "age failed again"]), None),
        (AGE, Findings(unreadable=["age failed"], read=7), 1),
        (PLAIN, Findings(unreadable=["x is damaged"], unopened=["y: too slow"], read=1), 1),
        (PLAIN, BackupError("/r", "cannot be read", trouble=Trouble.REPOSITORY), None),
    ],
)
async def test_what_cannot_be_opened_is_no_damage(
    desk: Desk, manner: Manner, found: Findings | BackupError, told: int | None
) -> None:
    """Where the key is not on this machine nothing opens."""
    desk.manner = manner
    await desk.a_day_on()
    desk.finds = [found]
    assert await desk.a_day_on() == told
    assert len(desk.heard) == (told or 0)


async def test_reading_that_takes_too_long_is_left(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was known stays known; the next day it is tried again."""
    await desk.a_day_on()
    desk.finds = [Findings(broken=["x"], read=1)]
    assert await desk.a_day_on() == 1
    monkeypatch.setattr(reading, "LONGEST_SECONDS", -1.0)
    assert await desk.a_day_on() == 1


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]"])
async def test_broken_memory_is_read_anew(desk: Desk, content: bytes) -> None:
    """Then nobody knows, and all of it is read."""
    path = desk.root / ".toban" / "wal" / "main.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert await desk.a_day_on() is None
    assert await desk.a_day_on() == 0


async def test_nothing_is_read_or_written_where_the_repository_is_gone(desk: Desk) -> None:
    """Its disk is not mounted: the empty folder stays empty, and what was known stays known."""
    await desk.a_day_on()
    desk.finds = [Findings(broken=["x"], read=1)]
    await desk.a_day_on()
    desk.root.rename(desk.root.with_name("elsewhere"))
    desk.root.mkdir()
    assert await desk.a_day_on() == 1
    assert list(desk.root.iterdir()) == []


async def test_memory_that_cannot_be_written_keeps_nothing_from_being_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk."""

    def full(*_: Sequence[object]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reading, "write_durably", full)
    await desk.a_day_on()
    assert await desk.a_day_on() == 0


async def test_real_damage_is_found(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is not where its name says; the segments beside it read well."""
    monkeypatch.undo()
    (desk.place / SECOND).write_bytes((desk.place / FIRST).read_bytes())
    await desk.a_day_on()
    found = await desk.a_day_on()
    assert found is not None
    assert found >= 1
    (happening,) = desk.heard
    assert SECOND in happening.sentence
