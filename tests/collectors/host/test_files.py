"""Claims about files and folders that somebody named. All on a real file system."""

import asyncio
import hashlib
import os
import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from collectors.host.files import contents, walking
from collectors.host.files.collector import (
    ALLOCATED,
    CHANGED,
    FILES,
    LARGE,
    NEWEST,
    OLDEST,
    PERMISSIONS,
    SECRETS,
    SIZE,
    FilesCollector,
    FilesSettings,
)
from collectors.host.files.contents import known_from
from collectors.host.files.walking import LOOKS_BETWEEN, File, Walk, matching, read_start
from collectors.host.machine import HostMachine
from tests.builders import START, ManualClock
from toban.events import Event, EventKind
from toban.findings import Finding, Severity
from toban.memories import Memory
from toban.outcomes import Reason
from toban.samples import Findings, Metric

MB = 1024**2


def a_file(path: Path, content: str | bytes = "x", mode: int = 0o644, at: float = START) -> Path:
    """A file with this content, mode and time of writing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    os.utime(path, (at, at))
    return path


def a_collector(path: Path | str, clock: ManualClock, **settings: object) -> FilesCollector:
    """An entry called `some`."""
    found = FilesSettings.model_validate({"name": "some", "path": str(path), **settings})
    return FilesCollector(HostMachine(), found, clock)


def value(findings: Findings, metric: Metric) -> float | None:
    """The one value of a metric, if there is one."""
    found = [sample.value for sample in findings.samples if sample.metric is metric]
    assert len(found) <= 1
    return found[0] if found else None


def seen(findings: Findings) -> dict[str, tuple[Severity, str]]:
    """The findings by subject."""
    rows = [row for row in findings.rows if isinstance(row, Finding)]
    return {row.subject: (row.severity, row.what) for row in rows}


def happened(findings: Findings) -> list[tuple[str, str, str]]:
    """The events: what, before, after."""
    rows = [row for row in findings.rows if isinstance(row, Event)]
    assert all(row.kind is EventKind.FILE_CHANGED for row in rows)
    return [(Path(row.subject).name, row.before, row.after) for row in rows]


def short(content: str) -> str:
    """The beginning of a content's hash."""
    return hashlib.sha256(content.encode()).hexdigest()[:12]


async def test_folder_of_known_size_is_measured(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Three files in two folders, one of them under two names, a link to outside: each byte once."""
    outside = a_file(tmp_path / "outside" / "large", b"o" * 5000)
    tree = tmp_path / "tree"
    a_file(tree / "a", b"a" * 1000, at=START - 60)
    a_file(tree / "below" / "b", b"b" * 200, at=START - 3600)
    a_file(tree / "below" / "c", b"", at=START - 7200)
    (tree / "again").hardlink_to(tree / "a")
    (tree / "link").symlink_to(outside)
    (tree / "up").symlink_to(tree)
    os.mkfifo(tree / "pipe")
    findings = await a_collector(tree, manual_clock).collect()
    assert {sample.metric: sample.value for sample in findings.samples if sample.metric is not ALLOCATED} == {
        SIZE: 1200,
        FILES: 3,
        NEWEST: 60,
        OLDEST: 7200,
        LARGE: 0,
        PERMISSIONS: 0,
    }
    blocks = sum(os.stat(tree / name).st_blocks for name in ("a", "below/b", "below/c"))  # noqa: PTH116 - as the system tells it
    assert value(findings, ALLOCATED) == blocks * 512
    assert (findings.gaps, findings.rows) == ((), ())
    assert {sample.labels for sample in findings.samples} == {("some",)}


async def test_log_file_of_101_mb_is_large(tmp_path: Path, manual_clock: ManualClock) -> None:
    """One of 100 MB is not: the bound is 100 MB unless said otherwise. Sparse files, as large as they say."""
    for name, size_bytes in (("app.log", 101 * MB), ("db.log", 100 * MB), ("core", 300 * MB)):
        os.truncate(a_file(tmp_path / name, b""), size_bytes)
    findings = await a_collector(tmp_path, manual_clock, match=["*.log"]).collect()
    assert value(findings, LARGE) == 1
    assert (value(findings, FILES), value(findings, SIZE)) == (2, 201 * MB)
    (row,) = findings.rows
    assert isinstance(row, Finding)
    assert (row.subject, row.what, dict(row.values)) == (
        str(tmp_path / "app.log"),
        "file_large",
        {"size": "101 MB", "limit": "100 MB"},
    )


async def test_pattern_names_many_places_and_each_counts_once(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Links are followed where the pattern itself names them, as below /etc/letsencrypt/live."""
    a_file(tmp_path / "etc" / "one" / "a.conf", "1234")
    (tmp_path / "etc" / "two").symlink_to(tmp_path / "etc" / "one")
    a_file(tmp_path / "etc" / "single", "12")
    findings = await a_collector(tmp_path / "etc" / "*", manual_clock).collect()
    assert (value(findings, FILES), value(findings, SIZE)) == (2, 6)


async def test_empty_folder_has_no_ages(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Nothing was written there: no age is better than an invented one."""
    findings = await a_collector(tmp_path, manual_clock).collect()
    assert (value(findings, FILES), value(findings, NEWEST), value(findings, OLDEST)) == (0, None, None)


async def test_path_that_is_nowhere_is_a_gap(tmp_path: Path, manual_clock: ManualClock) -> None:
    """It says what was looked for; the host is not down for it."""
    findings = await a_collector(tmp_path / "no*", manual_clock).collect()
    (gap,) = findings.gaps
    assert (gap.what, gap.reason, findings.samples) == ("files:some", Reason.NOT_FOUND, ())
    assert str(tmp_path / "no*") in gap.detail


async def test_survey_that_runs_out_of_time_goes_on_in_the_next_turn(tmp_path: Path, manual_clock: ManualClock) -> None:
    """What was reached is told; the last complete survey stands until the next is complete."""
    for number in range(3 * LOOKS_BETWEEN):
        a_file(tmp_path / f"{number}", b"1")

    class Hasty(ManualClock):
        """Each look at it takes half a minute."""

        def monotonic(self) -> float:
            self.advance(30)
            return super().monotonic()

    collector = a_collector(tmp_path, Hasty())
    first = await collector.collect()
    assert first.samples == ()
    assert [(gap.what, gap.reason) for gap in first.gaps] == [("survey of some", Reason.TIMEOUT)]
    assert "files" in first.gaps[0].detail
    found = [await collector.collect() for _ in range(3)]
    assert [value(findings, FILES) for findings in found] == [None, None, 3 * LOOKS_BETWEEN]
    assert found[-1].gaps == ()
    again = await collector.collect()
    assert again.samples == found[-1].samples
    assert [gap.reason for gap in again.gaps] == [Reason.TIMEOUT]


async def test_changed_files_are_events(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Changed, added, removed; each with the beginnings of both hashes, and only once."""
    a_file(tmp_path / "a.conf", "one")
    a_file(tmp_path / "b.conf", "two")
    collector = a_collector(tmp_path, manual_clock, changes=True)
    first = await collector.collect()
    assert happened(first) == []
    assert value(first, CHANGED) is None
    a_file(tmp_path / "a.conf", "uno")  # same size, same time: the content counts
    (tmp_path / "b.conf").unlink()
    a_file(tmp_path / "c.conf", "three")
    manual_clock.advance(600)
    second = await collector.collect()
    assert happened(second) == [
        ("a.conf", short("one"), short("uno")),
        ("b.conf", short("two"), ""),
        ("c.conf", "", short("three")),
    ]
    assert value(second, CHANGED) == START + 600
    manual_clock.advance(600)
    third = await collector.collect()
    assert happened(third) == []
    assert value(third, CHANGED) == START + 600


async def test_changes_while_the_daemon_was_down_are_found(tmp_path: Path, manual_clock: ManualClock) -> None:
    """The hashes outlive a restart; those of another path say nothing."""
    a_file(tmp_path / "a.conf", "one")
    first = await a_collector(tmp_path, manual_clock, changes=True).collect()
    (memory,) = [row for row in first.rows if isinstance(row, Memory)]

    async def recall(name: str) -> str | None:
        assert name == memory.name == "files:some"
        return memory.body

    a_file(tmp_path / "a.conf", "two")
    after = a_collector(tmp_path, manual_clock, changes=True)
    after.recall = recall
    assert happened(await after.collect()) == [("a.conf", short("one"), short("two"))]
    elsewhere = a_collector(tmp_path / "*", manual_clock, changes=True)
    elsewhere.recall = recall
    assert happened(await elsewhere.collect()) == []


async def test_memory_that_does_not_answer_is_not_written_over(
    tmp_path: Path, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was changed while the daemon was down is found once the state file answers again."""
    monkeypatch.setattr("collectors.contract.RECALL_SECONDS", 0.01)
    a_file(tmp_path / "a.conf", "one")
    first = await a_collector(tmp_path, manual_clock, changes=True).collect()
    (memory,) = [row for row in first.rows if isinstance(row, Memory)]
    a_file(tmp_path / "a.conf", "two")
    after = a_collector(tmp_path, manual_clock, changes=True)

    async def hang(name: str) -> str | None:
        await asyncio.Event().wait()
        return None

    async def recall(name: str) -> str | None:
        return memory.body if name == memory.name else None

    after.recall = hang
    found = await after.collect()
    assert [row for row in found.rows if isinstance(row, Memory | Event)] == []
    after.recall = recall
    assert happened(await after.collect()) == [("a.conf", short("one"), short("two"))]


@pytest.mark.parametrize("text", [None, "", "no json", "[]", "{}", '{"path": "/etc", "hashes": 1}', '"x"'])
def test_memory_that_makes_no_sense_is_none(text: str | None) -> None:
    """Whatever an earlier version wrote."""
    assert known_from(text, "/etc") is None


async def test_unreadable_content_is_a_gap_and_no_change(
    tmp_path: Path, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be read now is taken to be as it was. Root, which runs some tests, is never refused by itself."""
    a_file(tmp_path / "a.conf", "one")
    collector = a_collector(tmp_path, manual_clock, changes=True, secrets=True)
    await collector.collect()

    def refuse(path: str, most_bytes: int) -> bytes:
        raise PermissionError(13, "denied", path)

    monkeypatch.setattr(contents, "read_start", refuse)
    findings = await collector.collect()
    assert happened(findings) == []
    assert [(gap.what, gap.reason, gap.count) for gap in findings.gaps] == [("contents of some", Reason.PRIVILEGE, 1)]


async def test_contents_are_bounded(tmp_path: Path, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of more than a megabyte is none that a person configured; of many files some are read. Both are told."""
    os.truncate(a_file(tmp_path / "a", b""), MB + 1)
    for name in "bcd":
        a_file(tmp_path / name)
    monkeypatch.setattr("collectors.host.files.collector.MOST_FILES", 3)
    findings = await a_collector(tmp_path, manual_clock, changes=True).collect()
    told = {gap.what: gap.count for gap in findings.gaps}
    assert told["contents of many files of some"] == 1
    assert told.keys() <= {"contents of many files of some", "contents of large files of some"}
    monkeypatch.setattr("collectors.host.files.collector.MOST_FILES", 100)
    findings = await a_collector(tmp_path, manual_clock, changes=True).collect()
    assert [(gap.what, gap.reason, gap.count) for gap in findings.gaps] == [
        ("contents of large files of some", Reason.UNSUPPORTED, 1)
    ]


def test_reading_stops_when_the_time_is_up(tmp_path: Path) -> None:
    """What was not reached is counted; what went meanwhile is nothing."""
    files = [File(path=str(tmp_path / name), size_bytes=1, mode=0o644, owner=0) for name in "ab"]
    assert contents.read_contents(files, secrets=False, is_time_up=lambda: True).not_reached == 2
    assert contents.read_contents(files, secrets=False, is_time_up=lambda: False).hashes == {}


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """It took a file's place after the walk."""
    os.mkfifo(tmp_path / "pipe")
    assert read_start(str(tmp_path / "pipe"), 10) == b""


async def test_secrets_are_told_by_file_and_line_and_never_shown(tmp_path: Path, manual_clock: ManualClock) -> None:
    """The graver where everybody may read it. A file that is a key holds its own secret rightly."""
    a_file(tmp_path / "app.conf", "user = app\npassword = hunter2secret\n", 0o644)
    a_file(tmp_path / "own.conf", "url = https://app:hunter2secret@db1/\n", 0o600)
    a_file(tmp_path / "server.key", "-----BEGIN PRIVATE KEY-----\nhunter2secret\n", 0o600)
    findings = await a_collector(tmp_path, manual_clock, secrets=True, changes=True).collect()
    assert value(findings, SECRETS) == 2
    assert seen(findings) == {
        f"{tmp_path}/app.conf:2": (Severity.CRITICAL, "secret_password"),
        f"{tmp_path}/own.conf:1": (Severity.WARNING, "secret_url"),
    }
    assert "hunter2" not in repr(findings)
    assert value(await a_collector(tmp_path, manual_clock).collect(), SECRETS) is None


async def test_many_secrets_are_counted_and_some_are_named(tmp_path: Path, manual_clock: ManualClock) -> None:
    """A file full of them is one finding too many."""
    a_file(tmp_path / "app.conf", "password = hunter2secret\n" * (contents.MOST_SECRETS + 5), 0o600)
    findings = await a_collector(tmp_path, manual_clock, secrets=True).collect()
    assert value(findings, SECRETS) == contents.MOST_SECRETS + 5
    assert len(findings.rows) == contents.MOST_SECRETS


async def test_wrong_permissions_are_counted_and_named(
    tmp_path: Path, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as there are; the first of them by name."""
    a_file(tmp_path / "a.conf", mode=0o644)
    a_file(tmp_path / "b.conf", mode=0o660)
    a_file(tmp_path / "c.conf", mode=0o640)
    findings = await a_collector(tmp_path, manual_clock, mode="0640").collect()
    assert value(findings, PERMISSIONS) == 2
    assert seen(findings) == {
        f"{tmp_path}/a.conf": (Severity.CRITICAL, "file_mode"),
        f"{tmp_path}/b.conf": (Severity.WARNING, "file_mode"),
    }
    monkeypatch.setattr("collectors.host.files.collector.MOST_NOTED", 1)
    findings = await a_collector(tmp_path, manual_clock, mode=0o640).collect()
    assert (value(findings, PERMISSIONS), len(findings.rows)) == (2, 1)


def test_walk_counts_what_it_may_not_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is closed to us, one whose disk fails, and one that went meanwhile: three different things."""
    for name in ("closed", "broken", "gone"):
        (tmp_path / name).mkdir()
    real = os.scandir

    def scandir(path: str) -> object:
        errors = {
            "closed": PermissionError(13, "denied"),
            "broken": OSError(5, "I/O error"),
            "gone": FileNotFoundError(2, ""),
        }
        if Path(path).name in errors:
            raise errors[Path(path).name]
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    walk = Walk([str(tmp_path), "/no/such/place"], match=matching(("*",)), large_bytes=1, each=lambda _: None)
    assert walk.go_on(lambda: False)
    assert (walk.sums.refused, walk.sums.failed, walk.sums.files) == (1, 1, 0)


def mounted_in_dev() -> list[Path]:
    """The folders of /dev that are file systems of their own."""
    inside = [child for child in Path("/dev").iterdir() if child.is_dir() and not child.is_symlink()]
    return [child for child in inside if child.stat().st_dev != Path("/dev").stat().st_dev]


def test_walk_never_leaves_a_file_system(tmp_path: Path) -> None:
    """/dev has others mounted in it; the walk counts them and stays out."""
    elsewhere = mounted_in_dev()
    if not elsewhere:
        pytest.skip("this machine cannot: nothing is mounted below /dev")
    met: list[str] = []
    walk = Walk(["/dev"], match=matching(("*",)), large_bytes=1, each=lambda file: met.append(file.path))
    assert walk.go_on(lambda: False)
    assert walk.sums.other_file_systems >= len(elsewhere)
    assert not {str(child) for child in elsewhere} & set(met)


async def test_what_was_left_out_of_a_walk_is_told(manual_clock: ManualClock) -> None:
    """With its reason and number."""
    if not mounted_in_dev():
        pytest.skip("this machine cannot: nothing is mounted below /dev")
    findings = await a_collector("/dev", manual_clock).collect()
    assert "other file systems of some" in {gap.what for gap in findings.gaps}


def test_linked_files_that_are_told_apart_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a file may count twice; memory does not grow."""
    (tmp_path / "b").hardlink_to(a_file(tmp_path / "a", "1234"))
    monkeypatch.setattr(walking, "MOST_LINKED", 0)
    walk = Walk([str(tmp_path)], match=matching(("*",)), large_bytes=1, each=lambda _: None)
    walk.go_on(lambda: False)
    assert walk.sums.files == 2


@pytest.mark.parametrize(
    "settings",
    [{"path": "etc/x"}, {"path": "/etc\0"}, {"path": "/etc", "mode": "abc"}, {"path": "/etc", "mode": True}, {}],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    """A path begins at the root, a mode has three digits to the base of eight."""
    with pytest.raises(ValidationError):
        FilesSettings.model_validate({"name": "some", **settings})
    assert stat.S_IMODE(0o100640) == int(FilesSettings(name="some", path="/etc", mode="640").mode or "", 8)
