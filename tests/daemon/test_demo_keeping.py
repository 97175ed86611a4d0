"""The backup of the demonstration: what it says when a part of it does not happen."""

from pathlib import Path

import pytest

from daemon.demo import keeping as keeping_module
from daemon.demo.acts import Act, Typed, typed
from daemon.demo.keeping import Keeping
from tests.clusters import Cluster
from toban.language import Language

OWNER = "postgresql://postgres@127.0.0.1:1/postgres"
MADE = Typed(status=0, printed='{"id": "20261121T020000Z-nightly", "size_bytes": 2048}', complaint="")


def a_keeping(told: list[Act], owner: str = OWNER) -> Keeping:
    """One that tells a list."""
    return Keeping(Path("/nowhere/config.yaml"), owner, Language.EN, told.append)


def answering(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Typed]) -> list[str]:
    """Commands answered by their first two words; what was typed."""
    seen: list[str] = []

    async def answer(_config: Path, *words: str, within_seconds: float) -> Typed:
        seen.append(" ".join(words))
        return next(answer for begin, answer in answers.items() if seen[-1].startswith(begin))

    monkeypatch.setattr(keeping_module, "typed", answer)
    return seen


async def test_backup_that_is_not_made_ends_the_play(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason that the command gave."""
    failed = Typed(status=1, printed="", complaint="toban: backup nightly: no space left")
    seen = answering(monkeypatch, {"backup run": failed})
    told: list[Act] = []
    acts = await a_keeping(told).run()
    assert acts == told == [Act(key="demo.backup.made", done=False, detail="toban: backup nightly: no space left")]
    assert seen == ["backup run nightly --json"]


async def test_backup_that_does_not_come_back_is_not_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing after it is claimed."""
    refused = Typed(status=1, printed="", complaint="toban: restore: refused")
    answering(monkeypatch, {"backup run": MADE, "restore": refused})
    acts = await a_keeping([]).run()
    assert [(act.key, act.done, act.detail) for act in acts] == [
        ("demo.backup.made", True, "20261121T020000Z-nightly, 2 kB"),
        ("demo.backup.restored", False, "toban: restore: refused"),
    ]


@pytest.mark.integration
async def test_backup_with_other_rows_is_no_success(monkeypatch: pytest.MonkeyPatch, postgres15: Cluster) -> None:
    """What came back is counted in the database itself."""
    monkeypatch.setattr(keeping_module, "AGAIN", "postgres")
    postgres15.psql("CREATE TABLE IF NOT EXISTS sold AS SELECT 1 AS item")
    try:
        for rows, done in ((2, False), (1, True)):
            shown = Typed(
                status=0, printed=f'{{"rows": [{{"schema": "public", "table": "sold", "rows": {rows}}}]}}', complaint=""
            )
            back = Typed(status=0, printed="{}", complaint="")
            proven = Typed(status=0, printed='{"verdict": "proven", "reason": "all is there"}', complaint="")
            answers = {"backup run": MADE, "restore": back, "backup show": shown, "backup prove": proven}
            answering(monkeypatch, answers)
            acts = await a_keeping([], postgres15.dsn()).run()
            assert acts[1].done is done
            assert [act.key for act in acts[2:]] == (["demo.backup.proven"] if done else [])
    finally:
        postgres15.psql("DROP TABLE sold")


@pytest.mark.integration
async def test_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """The demonstration goes on."""
    assert await typed(tmp_path / "c", "status", within_seconds=0.001) == Typed(
        status=1, printed="", complaint="no answer"
    )


def test_output_that_is_no_document_says_nothing() -> None:
    """And breaks nothing."""
    for printed in ("", "no json", "[1]"):
        assert keeping_module._document(Typed(status=0, printed=printed, complaint="")) == {}
