"""Claims about files that are very many, or have odd or several names."""

import os
from pathlib import Path

import pytest

from collectors.host.files.collector import FILES, SIZE
from tests.builders import ManualClock
from tests.collectors.host.test_files import a_collector, a_file, happened, seen, short, value
from toban.findings import Finding
from toban.outcomes import Reason


async def test_files_beyond_those_that_are_read_are_no_changes(
    tmp_path: Path, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first by name are read, in whatever order the disk tells of them; who moves up was not added."""
    for module in ("collector", "contents"):
        monkeypatch.setattr(f"collectors.host.files.{module}.MOST_FILES", 3)
    for name in "hgfedcb":
        a_file(tmp_path / name)
    collector = a_collector(tmp_path, manual_clock, changes=True)
    assert happened(await collector.collect()) == []
    a_file(tmp_path / "a", "new")
    assert happened(await collector.collect()) == [("a", "", short("new"))]
    for _ in range(2):
        assert happened(await collector.collect()) == []
    (tmp_path / "b").unlink()
    assert happened(await collector.collect()) == [("b", short("x"), "")]
    assert happened(await collector.collect()) == []
    a_file(tmp_path / "d", "changed")
    assert happened(await collector.collect()) == [("d", short("x"), short("changed"))]


async def test_pattern_that_names_very_many_places_says_what_it_left_out(
    tmp_path: Path, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A size of some of them must not pass for that of all."""
    for name in "dcba":
        a_file(tmp_path / f"{name}.log", name * (ord(name) - ord("a") + 1))
    monkeypatch.setattr("collectors.host.files.collector.MOST_STARTS", 3)
    findings = await a_collector(tmp_path / "*.log", manual_clock).collect()
    assert (value(findings, FILES), value(findings, SIZE)) == (3, 6)
    assert [(gap.what, gap.reason, gap.detail) for gap in findings.gaps] == [
        ("places of some", Reason.UNSUPPORTED, "the pattern names more than 3")
    ]


async def test_file_of_several_names_counts_by_the_one_that_is_meant(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Whichever of them the disk tells of first."""
    for number in range(20):
        a_file(tmp_path / f"{number}.tmp", "1234")
        (tmp_path / f"{number}.log").hardlink_to(tmp_path / f"{number}.tmp")
    findings = await a_collector(tmp_path, manual_clock, match=["*.log"]).collect()
    assert (value(findings, FILES), value(findings, SIZE)) == (20, 80)


async def test_name_that_is_no_text_is_told_as_one(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Bytes that are no UTF-8, a line break: what is told of it can be written, stored and shown."""
    odd = tmp_path / os.fsdecode(b"a\xff\nb.conf")
    a_file(odd, "password = hunter2secret\n", 0o666)
    findings = await a_collector(tmp_path, manual_clock, secrets=True, changes=True, large=10).collect()
    assert sorted(what for _, what in seen(findings).values()) == ["file_large", "secret_password"]
    told = [row.subject for row in findings.rows if isinstance(row, Finding)]
    assert len(told) == 3
    assert {subject.encode().decode().removesuffix(":1") for subject in told} == {f"{tmp_path}/a\\udcff\\nb.conf"}
