"""What a person changes from the terminal: acknowledgements, silences, marks; and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from history.book.contract import Page
from tests.daemon.alerting.commands import alerts, told
from tests.daemon.duties import FakeDuty, written
from toban.alerts import Silence
from toban.clock import SystemClock


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--severity", "awful"), "toban: --severity: 'awful' is none (there are: info, warning, critical)"),
        (("--state", "odd"), "toban: --state: 'odd' is none (there are: pending, firing, acknowledged, resolved)"),
        (("ack", "b1", "--for", "soon"), "toban: --for: 'soon' is no duration; write 500ms, 90s, 15m, 2h or 7d"),
        (("resolve", "b1", "--note", " "), "toban: --note: say why in a few words"),
        (("mark", "b1", "perhaps"), "toban: mark: 'perhaps' is no verdict (write real or false)"),
        (("--json", "stats"), "toban: usage: 'stats' takes its options behind it (toban alerts stats --help)"),
        (("--target", "x", "dead"), "toban: usage: 'dead' takes its options behind it (toban alerts dead --help)"),
        (("retry",), "toban: retry: name a KEY, or say --all (toban alerts dead lists them)"),
        (("retry", "k", "--all"), "toban: retry: name a KEY, or say --all (toban alerts dead lists them)"),
        (("drill", "--severity", "x"), "toban: --severity: 'x' is none (there are: info, warning, critical)"),
        (("review", "--goal", "always"), "toban: --goal: 'always' is no share; write 80%"),
        (("silence", "--why", "x"), "toban: --for: how long? one of --for and --until is needed (--for 2h)"),
    ],
)
def test_wrong_usage_is_told_before_anybody_is_asked(config: Path, words: tuple[str, ...], line: str) -> None:
    """Status 2, whether a daemon runs or not."""
    ended = alerts(config, *words)
    assert (ended.status, ended.err.strip()) == (2, line)


@pytest.mark.parametrize(
    "words",
    [
        ("ack", "b1"),
        ("resolve", "b1", "--note", "x"),
        ("mark", "b1", "real"),
        ("silence", "--for", "2h", "--why", "x"),
        ("unsilence", "s1"),
        ("retry", "--all"),
        ("drill",),
    ],
)
def test_what_changes_something_wants_the_daemon(config: Path, words: tuple[str, ...]) -> None:
    """Status 3 when none runs."""
    ended = alerts(config, *words)
    assert ended.status == 3
    assert ended.err.startswith("toban: the daemon: is not running")


@pytest.mark.parametrize(
    "words", [("ack", "zzz"), ("resolve", "zzz", "--note", "x"), ("mark", "zzz", "real"), ("show", "zzz")]
)
def test_an_alert_that_there_is_not_is_status_1(config: Path, daemon: FakeDuty, words: tuple[str, ...]) -> None:
    """One line that names it."""
    ended = alerts(config, *words)
    assert ended.status == 1
    assert ended.err.startswith("toban: alert zzz: no ")


def test_ack_takes_a_beginning_and_says_who_for_how_long(config: Path, daemon: FakeDuty) -> None:
    """Letters that look like digits are taken for them, as ids have none of them."""
    ended = alerts(config, "ack", "BL", "--note", "on it", "--for", "4h", SUDO_USER="dba")
    assert ended.status == 0
    assert ended.out.startswith("b10cked0 is yours until ")
    assert daemon.asked == [("acknowledge", "b10cked0", "dba", "on it", 4 * 3600.0)]
    again = alerts(config, "ack", "b1", "--who", "me")
    assert (again.status, again.err) == (2, "toban: alert b10cked0: dba is at it already\n")


def test_ack_answers_programs_with_the_alert(config: Path, daemon: FakeDuty) -> None:
    """As it is now."""
    done = told(config, "ack", "v1ct", "--who", "me")
    assert (done["state"], done["acknowledged_by"], done["acknowledged_until"]) == ("acknowledged", "me", None)


def test_an_ambiguous_beginning_is_refused(config: Path, daemon: FakeDuty) -> None:
    """With those that it might be."""
    daemon.alerts.append(replace(daemon.alerts[2], episode="b10cked1"))
    ended = alerts(config, "ack", "b10cked")
    assert (ended.status, ended.err) == (
        1,
        "toban: alert b10cked: several ids begin like this: b10cked0, b10cked1 (write one more character)\n",
    )


def test_resolve_and_mark_are_told_to_whoever_is_on_duty(config: Path, daemon: FakeDuty) -> None:
    """Also of an alert that only the book still knows."""
    assert alerts(config, "resolve", "b1", "--note", "killed it", "--who", "me").out.startswith("b10cked0 is over: ")
    assert alerts(config, "mark", "0ver", "false", "--who", "me").out == "0ver0000 is marked as false\n"
    assert alerts(config, "mark", "v1", "real", "--who", "me").status == 0
    assert daemon.asked == [
        ("resolve", "b10cked0", "me", "killed it"),
        ("mark", "0ver0000", "false", "me"),
        ("mark", "v1ct1m00", "real", "me"),
    ]


def test_a_silence_is_made_and_ended(config: Path, daemon: FakeDuty) -> None:
    """Several patterns of one name mean any of them."""
    patterns = ("--match", "rule=disk_*", "--match", "target=main", "--match", "target=shop")
    made = alerts(config, "silence", *patterns, "--for", "2h", "--why", "disks are swapped", "--who", "me")
    assert made.out.startswith("s0 silences rule=disk_*, target=main|shop until ")
    kept = daemon.silenced["s0"]
    assert kept.match == (("rule", "disk_*"), ("target", "main"), ("target", "shop"))
    assert (kept.why, kept.who, kept.ends_at - kept.begins_at) == ("disks are swapped", "me", 7200.0)
    assert alerts(config, "unsilence", "s0", "--who", "you").out == "s0 is over; it is told of again\n"
    assert daemon.silenced["s0"].ended_by == "you"
    gone = alerts(config, "unsilence", "s9")
    assert (gone.status, gone.err.startswith("toban: silence s9: there is none")) == (1, True)


def test_a_planned_and_a_recurring_silence_are_understood(config: Path, daemon: FakeDuty) -> None:
    """Times in the daemon's zone, and the line of cron as it stands."""
    planned = told(config, "silence", "--from", "2999-01-01T10:00", "--until", "2999-01-01T12:00", "--why", "a move")
    assert (planned["begins_at"], planned["match"], planned["standing"]) == ("2999-01-01T10:00:00+00:00", {}, True)
    nightly = told(config, "silence", "--cron", "0 1 * * *", "--for", "1h", "--why", "batch", "--match", "rule=cpu")
    assert (nightly["cron"], nightly["for_seconds"]) == ("0 1 * * *", 3600.0)


def test_silences_are_listed(config: Path, state: Path) -> None:
    """Those that stand; with --all the others too."""
    now = SystemClock().now()
    fields: dict[str, Any] = {"begins_at": now - 60, "ends_at": now + 3600, "who": "ops", "created_at": now - 60}
    standing = Silence(
        id="st", match=(("rule", "disk_*"),), cron="0 1 * * *", for_seconds=60.0, why="[b]atch", **fields
    )
    ended = Silence(id="en", match=(), why="x", ended_by="me", **fields)
    written(state, Page(silences=(standing, ended)))
    assert [one["id"] for one in told(config, "silences")] == ["st"]
    text = " ".join(alerts(config, "silences", "--all").out.split())
    assert "rule=disk_* 0 1 * * *, each time 1 min" in text
    assert "[b]atch" in text
    assert "everything" in text
    assert "ended by me" in text


def test_no_silences_are_said(config: Path, state: Path) -> None:
    """In a sentence."""
    written(state, Page())
    assert alerts(config, "silences").out == "nothing is silenced\n"
