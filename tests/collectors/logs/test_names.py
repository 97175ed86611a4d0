"""Which files are rotated ones of a log, and which are logs of others."""

from pathlib import Path

import pytest

from collectors.logs.names import Names
from collectors.logs.position import Position
from tests.collectors.logs.followed import Followed, copytruncate, write


def test_many_files_are_told_apart_by_name_in_no_time() -> None:
    """Ten thousand logs beside each other, of which each might be a rotated one of any."""
    names = Names()
    names.add(*(f"job-{number:05}.log" for number in range(10_000)))
    found = [list(names.of(f"job-{number:05}.log.1")) for number in range(10_000)]
    assert found == [[f"job-{number:05}.log"] for number in range(10_000)]


@pytest.mark.parametrize(
    ("name", "rotated", "others"),
    [
        (
            "app.log",
            """app.log.1 app.log.1.gz app.log-20261121 app.log-20261121.gz app-20261121.log app.1.log app.1.log.xz
            app.log.old app.log~ app.log.2026-11-21 app-2026-11-21T10-00-00.000.log.gz app.log.gz app.2026-11-21.0.log
            app.log.copy app.log.1732147200 app.log.2026-11-21_00-00-00_123456 app.log.bak.1""",
            "app-2.log app_2.log app.logger.txt application.log app-worker.log my-app.log.1",
        ),
        ("mail", "mail.1 mail-20261121.gz mail.old", "mail.err mail.log mailer mail-worker mail2"),
        ("my.app.log", "my.app-2026-11-21.log my.app.log.1", "my-2026.other.log my.log"),
    ],
)
def test_rotated_files_are_called_so_and_other_logs_are_not(name: str, rotated: str, others: str) -> None:
    """A second program's log beside it must not count in."""
    names = Names()
    names.add(name)
    assert [file for file in rotated.split() if list(names.of(file)) != [name]] == []
    assert [file for file in others.split() if list(names.of(file)) != []] == []


def test_log_of_another_program_beside_it_is_not_read(tmp_path: Path) -> None:
    """SUSE has mail, mail.err and mail.warn: they are three logs."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for name in ("mail", "mail.err"):
        write(folder / name, f"{name} INFO before\n")
    followed = Followed(folder, path=str(folder / "mail"))
    followed.turn()
    write(folder / "mail.err", "mail.err ERROR another's\n")
    write(folder / "mail.warn", "mail.warn WARNING another's\n")
    write(folder / "mail", "mail INFO its own\n")
    assert followed.values("toban_log_lines_total") == {("info",): 1}


def test_logs_of_one_name_in_several_folders_are_told_apart(tmp_path: Path) -> None:
    """A half line of one, rotated unseen, is not ended by what the other writes."""
    logs = [tmp_path / "logs" / tenant / "app.log" for tenant in ("a", "b")]
    for log in logs:
        log.parent.mkdir(parents=True)
    followed = Followed(tmp_path / "logs", path=str(tmp_path / "logs" / "*" / "app.log"))
    followed.turn()
    for log in logs:
        write(log, f"{log} 0001 INFO one\n{log} ERROR half ")
    followed.turn()
    for log in logs:
        copytruncate(log, log.with_name("app.log.1"))
        write(log, f"{log} ended\n")
    assert followed.values("toban_log_lines_total") == {("info",): 2, ("error",): 2}
    assert {position.origin for position in _positions(followed)} == {str(log) for log in logs}


def _positions(followed: Followed) -> list[Position]:
    journal = followed.collector._journal
    assert journal is not None
    return journal.following.positions
