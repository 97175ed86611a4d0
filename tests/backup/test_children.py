"""Programs in pipelines: how they end, what they said, and that none of them outlives its reason."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from backup.children import Child, Children, Command, Output, bare_environment
from backup.errors import BackupError
from backup.guardian import Guardian
from tests.waiting import eventually, eventually_sync
from toban.backups import Trouble

pytestmark = pytest.mark.integration


def shell(script: str, *, secrets: tuple[str, ...] = (), environment: dict[str, str] | None = None) -> Command:
    """A program that does what a test wants of one."""
    return Command(words=("/bin/sh", "-c", script), secrets=secrets, environment=environment or {})


async def test_children_hand_on_from_one_to_the_next_into_a_new_file(tmp_path: Path) -> None:
    """As `tr < in | rev > out`, and only we can read it."""
    source, into = tmp_path / "in", tmp_path / "out"
    source.write_text("abc\n")
    children = Children()
    done = await children.run(shell("tr a-z A-Z"), shell("sed s/B/x/"), source=source, into=into, within_seconds=60)
    assert done.ok
    assert into.read_text() == "AxC\n"
    assert into.stat().st_mode & 0o777 == 0o600
    await children.close()


async def test_children_never_write_over_a_file_that_is_there(tmp_path: Path) -> None:
    """It is somebody's."""
    into = tmp_path / "out"
    into.write_text("precious")
    with pytest.raises(FileExistsError):
        await Children().run(shell("echo lost"), into=into, within_seconds=60)
    assert into.read_text() == "precious"


async def test_children_give_what_the_last_one_wrote_and_what_each_said() -> None:
    """With status 0 what was said is a warning, for whoever asks."""
    heard: list[str] = []
    done = await Children().run(
        shell("echo one; echo careful >&2"), shell("cat"), within_seconds=60, on_line=heard.append
    )
    assert (done.text, done.said, heard) == ("one\n", "careful\n", ["careful"])
    assert done.checked("reading") is done


@pytest.mark.parametrize(
    ("scripts", "cause"),
    [
        (
            ("echo 'ERROR: no such table' >&2; echo then more >&2; exit 3", "cat"),
            "sh ended with status 3: ERROR: no such table",
        ),
        (
            ("echo 'dumping table error_log' >&2; echo 'pg_dump: error: lost it' >&2; echo bye >&2; exit 1", "cat"),
            "sh ended with status 1: pg_dump: error: lost it",
        ),
        (("echo 'reading fatal_error' >&2; echo 'is gone' >&2; exit 1",), "sh ended with status 1: is gone"),
        (("cat /dev/zero", "head -c 10 >/dev/null; echo 'is full' >&2; exit 1"), "sh ended with status 1: is full"),
        (("kill -9 $$", "cat"), "sh ended by signal 9"),
    ],
)
async def test_children_name_the_first_cause(scripts: tuple[str, ...], cause: str) -> None:
    """Not the program that was only cut off by another's end, and of its words the telling line."""
    done = await Children().run(*(shell(script) for script in scripts), within_seconds=60)
    with pytest.raises(BackupError) as failed:
        done.checked("dump of shop")
    assert failed.value.reason == f"dump of shop: {cause}"
    assert failed.value.trouble is Trouble.TOOL


async def test_children_know_a_full_disk_by_its_words() -> None:
    """Because for that another try makes no sense."""
    done = await Children().run(shell("echo 'write: No space left on device' >&2; exit 1"), within_seconds=60)
    with pytest.raises(BackupError) as failed:
        done.checked("dump")
    assert failed.value.trouble is Trouble.SPACE


async def test_children_blot_secrets_out_of_whatever_is_said() -> None:
    """On the way to listeners too."""
    heard: list[str] = []
    done = await Children().run(
        shell("echo 'login with hunter2 failed' >&2", secrets=("hunter2",)), within_seconds=60, on_line=heard.append
    )
    assert "hunter2" not in done.said + "".join(heard)
    assert heard == ["login with ******** failed"]


async def test_children_are_given_nothing_of_ours_but_where_things_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """No PGPASSWORD of whoever started the daemon reaches a program that needs none."""
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    done = await Children().run(Command(words=("/usr/bin/env",), environment={"PGAPPNAME": "toban"}), within_seconds=60)
    assert "hunter2" not in done.text
    assert {"PGAPPNAME=toban", "LC_ALL=C.UTF-8"} <= set(done.text.splitlines())
    assert set(bare_environment()) <= {"PATH", "HOME", "TMPDIR", "TZ", "LC_ALL"}


async def test_children_that_cannot_be_started_are_one_line() -> None:
    """And what was started before is ended."""
    with pytest.raises(BackupError, match="cannot be started: No such file") as failed:
        await Children().run(shell("sleep 600"), Command(words=("/no/such/program",)), within_seconds=60)
    assert failed.value.trouble is Trouble.PROGRAM


async def test_children_are_bounded_in_what_is_kept_of_them() -> None:
    """A program that floods us is drained and refused."""
    with pytest.raises(BackupError, match="more than 1000 bytes"):
        await Children().run(shell("head -c 200000 /dev/zero"), within_seconds=60, most_output_bytes=1000)
    done = await Children().run(shell("head -c 300000 /dev/zero >&2; echo >&2; echo end >&2"), within_seconds=60)
    assert done.said.endswith("end\n")
    assert len(done.said) <= 16 * 1024


async def test_children_over_their_time_are_ended_with_all_that_they_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that a shell of theirs had put into the background, and those deaf to SIGTERM."""
    monkeypatch.setattr("backup.children.TERM_SECONDS", 0.2)
    seen: list[int] = []
    with pytest.raises(BackupError, match="not done within") as failed:
        await Children().run(shell("trap '' TERM; sleep 600 & sleep 600"), within_seconds=1.5, on_start=seen.extend)
    assert failed.value.trouble is Trouble.TIMEOUT
    await eventually(lambda: not group_of(seen[0]))


async def test_children_of_a_work_that_is_cancelled_are_ended() -> None:
    """Before the cancellation goes on."""
    seen: list[int] = []
    work = asyncio.create_task(
        Children().run(shell("sleep 600"), shell("sleep 600"), within_seconds=600, on_start=seen.extend)
    )
    await eventually(lambda: len(seen) == 2)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert [group_of(pid) for pid in seen] == [[], []]


async def test_children_left_hanging_by_a_failed_neighbour_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that neither reads nor writes notices nothing of the other's end."""
    monkeypatch.setattr("backup.children.AFTERMATH_SECONDS", 0.2)
    done = await Children().run(shell("exit 7"), shell("exec sleep 600"), within_seconds=60)
    assert [one.status for one in done.ended] == [7, -signal.SIGKILL]


async def test_child_that_runs_on_is_ended_with_its_block() -> None:
    """Politely, and then whole."""
    heard: list[str] = []
    polite = shell("trap 'echo bye >&2; exit 0' TERM; echo ready >&2; sleep 600 & wait")
    async with Children().running(polite, on_line=heard.append) as child:
        assert isinstance(child, Child)
        assert child.running
        await eventually(lambda: heard == ["ready"])
    ended = await child.wait()
    assert (ended.status, ended.said) == (0, "ready\nbye\n")


async def test_children_are_none_after_the_close() -> None:
    """What still runs is ended, what comes late is refused, and no guardian comes back to watch over nothing."""
    children = Children()
    async with children.running(shell("sleep 600 & sleep 600")) as child:
        await children.close()
        await eventually(lambda: not group_of(child.pid))
        with pytest.raises(BackupError, match="Toban is stopping") as refused:
            await children.standing_back(7).run(shell("true"), within_seconds=60)
    assert refused.value.trouble is Trouble.CANCELLED
    assert children._guardian._process is None
    await children.close()


async def test_child_that_begins_while_all_is_closed_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would watch over it."""
    children = Children()
    note = children._guardian.note

    async def closed_meanwhile(sign: str, group: int) -> None:
        await children.close()
        await note(sign, group)

    monkeypatch.setattr(children._guardian, "note", closed_meanwhile)
    done = await children.run(shell("sleep 600"), within_seconds=60)
    assert [one.status for one in done.ended] == [-signal.SIGKILL]


async def test_child_that_nobody_was_given_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped between the start of a program and its being noted, its number is all that is left of it."""
    children, begun = Children(), list[int]()

    async def stuck(_: str, group: int) -> None:
        begun.append(group)
        await asyncio.sleep(600)

    monkeypatch.setattr(children._guardian, "note", stuck)
    work = asyncio.create_task(children.run(shell("sleep 600 & sleep 600"), within_seconds=600))
    await eventually(lambda: len(begun) == 1)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await eventually(lambda: not group_of(begun[0]))


async def test_child_that_is_over_is_signalled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may be another's by the time that the rest of its pipeline ends."""
    genuine, signalled = os.killpg, list[int]()

    def heard(group: int, number: int) -> None:
        signalled.append(group)
        genuine(group, number)

    monkeypatch.setattr(os, "killpg", heard)
    children, seen = Children(), list[int]()
    await children.run(shell("exit 0"), shell("cat; sleep 0.3"), within_seconds=60, on_start=seen.extend)
    assert sorted(signalled) == sorted(seen)
    await children.close()


async def test_child_that_is_over_is_no_longer_watched_over() -> None:
    """Also while the rest of its pipeline works on: its number may be another's when we are killed."""
    children, seen = Children(), list[int]()
    work = asyncio.create_task(
        children.run(shell("exit 0"), shell("exec sleep 600"), within_seconds=600, on_start=seen.extend)
    )
    await eventually(lambda: len(seen) == 2 and children._guardian._groups == {seen[1]})
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert children._guardian._groups == set()
    await children.close()


async def test_guardian_that_was_killed_is_followed_by_one_that_knows_as_much(tmp_path: Path) -> None:
    """It ends what its predecessor was told of, and nothing that is over."""
    told = tmp_path / "told"
    guardian = Guardian()
    for sign, group in (("+", 2**22 + 1), ("+", 2**22 + 2), ("-", 2**22 + 1)):
        await guardian.note(sign, group)
    first = guardian._process
    assert first is not None
    first.kill()
    await first.wait()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backup.guardian.GUARDIAN", f"cat > {told}")
        for sign, group in (("-", 2**22 + 1), ("+", 2**22 + 3)):
            await guardian.note(sign, group)
    await guardian.close()
    assert told.read_text() == f"+ {2**22 + 2}\n+ {2**22 + 3}\n"


async def test_children_that_stand_back_are_nice() -> None:
    """For the processor and for the disk."""
    children = Children()
    done = await children.standing_back(7).run(shell("nice; ionice -p $$"), within_seconds=60)
    assert done.text.split()[0] == "7"
    assert "best-effort: prio 7" in done.text
    await children.close()


def test_children_do_not_outlive_a_daemon_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves us no word: the guardian ends what was at work."""
    script = tmp_path / "daemon.py"
    script.write_text(
        "import asyncio, sys\n"
        "from backup.children import Children, Command\n"
        "async def main():\n"
        "    async with Children().running(Command(words=('/bin/sh', '-c', 'sleep 600 & sleep 600'))) as child:\n"
        "        print(child.pid, flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=environment) as daemon:
        assert daemon.stdout is not None
        group = int(daemon.stdout.readline())
        eventually_sync(lambda: len(group_of(group)) == 3)
        daemon.kill()
        daemon.wait()
    eventually_sync(lambda: not group_of(group))


def group_of(group: int) -> list[int]:
    """The living processes of a group."""
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except ProcessLookupError:
            continue
    return found


def test_output_of_nothing_is_fine() -> None:
    """No program, no complaint."""
    assert Output(stdout=b"", ended=()).ok
