"""Claims about programs of the operator's own, with real ones: what they are given, and how they end."""

import asyncio
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from alerting.channels.contract import Channel
from tests.alerting.channels.opening import opened, settings_of
from tests.alerting.letters import NASTY, a_letter, a_notice, an_alert
from tests.waiting import eventually
from toban.alerts import Delivery, Key, Outcome

pytestmark = pytest.mark.integration


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where programs leave what they saw."""
    return tmp_path


def a_program(*shell: str, **more: Any) -> Channel[Any]:  # noqa: ANN401 - as YAML has them
    """A program in a few words of shell, which the operator named as one."""
    return opened(kind="exec", **{"run": ["/bin/sh", "-c", *shell], "timeout": "10s"} | more)


async def test_program_is_given_the_document(folder: Path) -> None:
    """The webhook's JSON on its standard input, its arguments as they were written, and 0 is sent."""
    seen = folder / "seen"
    delivery = await a_program('cat > "$1"; echo done', "sh", str(seen)).send(a_letter())
    assert delivery == Delivery(outcome=Outcome.SENT, detail="exit 0: done", receipt={"said": "done"})
    told = json.loads(seen.read_text())
    assert (told["rule"], told["target"], told["severity"], told["status"]) == (
        "connections",
        "main",
        "critical",
        "firing",
    )
    assert told["id"] == a_letter().key


async def test_no_shell_reads_what_is_not_for_it(folder: Path) -> None:
    """Arguments reach the program as they are; labels reach it as JSON alone."""
    ran = folder / "ran"
    channel = opened(kind="exec", run=["/bin/echo", f"$(touch {ran})", "; touch x", "`id`"])
    alert = an_alert(key=Key("connections", f"$(touch {ran})", (("x", NASTY),)))
    delivery = await channel.send(a_letter(a_notice(alert)))
    assert delivery.detail == f"exit 0: $(touch {ran}) ; touch x `id`"
    assert not ran.exists()


@pytest.mark.parametrize(
    ("shell", "outcome", "detail"),
    [
        ("exit 0", Outcome.SENT, "exit 0"),
        ("echo later >&2; exit 75", Outcome.RETRY, "exit 75: later"),
        ("echo never >&2; exit 1", Outcome.REFUSED, "exit 1: never"),
        ("echo out; echo err >&2; exit 3", Outcome.REFUSED, "exit 3: err"),
        ("kill -9 $$", Outcome.RETRY, "ended by signal 9"),
        ("exec 0<&-; exit 0", Outcome.SENT, "exit 0"),
        ("printf 'a\\r\\nb\\033[31m'", Outcome.SENT, r"exit 0: a\r\nb\e[31m"),
        (r"printf '\377\376'", Outcome.SENT, "exit 0: ��"),
    ],
)
async def test_exit_status_decides(shell: str, outcome: Outcome, detail: str) -> None:
    """0 is sent, EX_TEMPFAIL and a signal are later, everything else never; its last words are kept, and harmless."""
    delivery = await a_program(shell).send(a_letter())
    assert (delivery.outcome, delivery.detail, delivery.unsure) == (outcome, detail, "signal" in detail)


async def test_output_is_bounded() -> None:
    """A program that talks without an end is heard for a line, and not held up by it."""
    delivery = await a_program("head -c 5000000 /dev/zero | tr '\\0' x").send(a_letter())
    assert delivery.outcome is Outcome.SENT
    assert len(delivery.detail) < 320


async def test_secrets_of_the_environment_are_blotted() -> None:
    """What the operator gave it in secret is in no detail, and the daemon's own environment is not there."""
    os.environ["TOBAN_TEST_CREDENTIAL"] = "ours"
    try:
        channel = a_program('echo "$TOKEN $TOBAN_TEST_CREDENTIAL $PATH"', environment={"TOKEN": "hunter2"})
        delivery = await channel.send(a_letter())
    finally:
        del os.environ["TOBAN_TEST_CREDENTIAL"]
    assert delivery.detail.startswith("exit 0: ******** ")
    assert "ours" not in delivery.detail
    assert "/usr/bin" in delivery.detail
    shown = repr(delivery) + str(channel.settings) + channel.settings.model_dump_json()
    assert "hunter2" not in shown
    assert [secret.reveal() for secret in channel.secrets(channel.settings)] == ["hunter2"]


async def test_program_that_hangs_is_killed_with_all_that_it_started(folder: Path) -> None:
    """The whole group goes, and it is tried again."""
    pids = folder / "pids"
    shell = 'sleep 600 & echo $! > "$1"; echo $$ >> "$1"; wait'
    delivery = await a_program(shell, "sh", str(pids), timeout="1s").send(a_letter())
    assert (delivery.outcome, delivery.detail) == (Outcome.RETRY, "did not end within 0.85 s, and was killed")
    assert delivery.unsure
    await eventually(lambda: not any(map(_runs, pids.read_text().split())))


async def test_cancelled_send_leaves_nothing_running(folder: Path) -> None:
    """When the daemon stops, or the dispatcher has no more time, the program ends."""
    pids = folder / "pids"
    sending = asyncio.create_task(a_program('echo $$ > "$1"; sleep 600', "sh", str(pids)).send(a_letter()))
    await eventually(lambda: pids.exists() and pids.read_text().strip())
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await eventually(lambda: not _runs(pids.read_text().strip()))


async def test_program_that_leaves_children_behind_is_not_waited_for(folder: Path) -> None:
    """It is done when it ends; what it left with its output open is ended."""
    pids = folder / "pids"
    program = a_program('sleep 600 & echo $! > "$1"; exit 0', "sh", str(pids), timeout="1h")
    delivery = await asyncio.wait_for(program.send(a_letter()), 60)
    assert delivery.outcome is Outcome.SENT
    await eventually(lambda: not _runs(pids.read_text().strip()))


@pytest.mark.parametrize(
    ("mode", "why"),
    [(None, "No such file or directory"), (0o600, "Permission denied"), (0o700, "Exec format error")],
)
async def test_program_that_is_none_is_refused(mode: int | None, why: str, folder: Path) -> None:
    """What cannot be started now cannot be started later either."""
    program = folder / "program"
    if mode is not None:
        program.write_text("no program\n")
        program.chmod(mode)
    delivery = await opened(kind="exec", run=[str(program)]).send(a_letter())
    assert (delivery.outcome, delivery.detail) == (Outcome.REFUSED, why)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ETXTBSY])
async def test_program_that_cannot_be_started_just_now_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Too many processes, or a program that is just being written, is a matter of time."""

    async def full(*words: str, **options: object) -> None:
        raise OSError(number, "not now")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", full)
    delivery = await a_program("exit 0").send(a_letter())
    assert (delivery.outcome, delivery.detail) == (Outcome.RETRY, "not now")


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ({"run": []}, "at least 1 item"),
        ({"run": ["x.sh"]}, "begins with the program's path from the root"),
        ({"run": ["/bin/x", "a\0b"]}, "holds a zero byte"),
        ({"run": ["/bin/x"], "environment": {"A B": "c"}}, "should match pattern"),
    ],
)
def test_settings_that_cannot_work_are_refused(written: dict[str, Any], why: str) -> None:
    """Each mistake is found before the first alert."""
    with pytest.raises(ValidationError, match=why):
        settings_of(kind="exec", **written)


def _runs(pid: str) -> bool:
    """Whether it is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
