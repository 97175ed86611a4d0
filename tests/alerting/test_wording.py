"""Claims about what a person reads: the exact words, in both languages, whatever the alert and its labels hold."""

import unicodedata
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from alerting.wording import words
from alerting.wording.templates import filled
from alerting.wording.thresholds import threshold_text
from tests.alerting.letters import NASTY, NODE, SINCE, TOKYO, a_message, a_notice, an_alert
from tests.builders import START
from toban.alerts import Action, Data, Key, Policy, Severity, State, What
from toban.language import Language
from toban.printable import ACTING
from toban.samples import Unit

EN, JA = Language.EN, Language.JA
OVER = an_alert(state=State.RESOLVED, value=0.62, resolved_at=START + 840, changed_at=START + 840)
HELD = an_alert(
    state=State.ACKNOWLEDGED,
    acknowledged_by="hanako",
    acknowledged_at=START + 120,
    acknowledged_until=START + 7320,
    acknowledged_value=0.97,
    note="killing the batch",
)


def test_firing_alert_is_told_in_english() -> None:
    """Everything a person needs at three in the morning, and nothing else."""
    message = a_message(acknowledge_url="https://toban.example.org/a/1")
    assert message.title == "CRITICAL main: connections 97.0 %"
    assert message.summary == f"connections at main is 97.0 %; the threshold is > 95%; since {SINCE}."
    assert message.facts == (
        ("Target", "main"),
        ("Value", "97.0 %"),
        ("Threshold", "> 95%"),
        ("Since", f"{SINCE}, for 1 min"),
        ("Host", "db1"),
    )
    assert message.commands == ("toban alerts show 4f7k2m1x", 'toban alerts ack 4f7k2m1x --note "on it"')
    assert message.runbook == "https://runbooks.example.org/connections"
    assert message.acknowledge_url == "https://toban.example.org/a/1"
    assert message.footer == "Toban on db1 · connections · 4f7k2m1x"
    assert (message.severity, message.state, message.what) == (Severity.CRITICAL, State.FIRING, What.FIRED)


def test_firing_alert_is_told_in_japanese() -> None:
    """The same in the channel's other language."""
    message = a_message(language=JA)
    assert message.title == "【重大】main: connections 97.0%"
    assert message.summary == f"main の connections が 97.0% です(閾値 > 95%、{SINCE} から)。"
    assert message.facts[0] == ("対象", "main")
    assert message.commands[1] == 'toban alerts ack 4f7k2m1x --note "対応中"'
    assert message.footer == "Toban(db1) · connections · 4f7k2m1x"


@pytest.mark.parametrize(
    ("what", "alert", "title", "lead"),
    [
        (What.WORSENED, an_alert(), "CRITICAL (worse) main: connections 97.0 %", "It has grown worse."),
        (
            What.EASED,
            an_alert(severity=Severity.WARNING),
            "WARNING (better) main: connections 97.0 %",
            "It has eased, but is not over.",
        ),
        (
            What.ESCALATED,
            an_alert(level=1),
            "CRITICAL (unanswered) main: connections 97.0 %",
            "Nobody has answered for 15 min.",
        ),
        (
            What.REPEATED,
            an_alert(fired_at=None),
            "CRITICAL (still) main: connections 97.0 %",
            "Still so after 16 min.",
        ),
        (
            What.ACKNOWLEDGED,
            HELD,
            "ACKNOWLEDGED main: connections 97.0 %",
            "hanako is on it until 2026-11-18 22:08:40 +09:00.",
        ),
        (
            What.ACKNOWLEDGED,
            replace(HELD, acknowledged_until=None),
            "ACKNOWLEDGED main: connections 97.0 %",
            "hanako is on it.",
        ),
        (
            What.LAPSED,
            an_alert(acknowledged_until=START + 900),
            "CRITICAL (acknowledgement lapsed) main: connections 97.0 %",
            "The acknowledgement has lapsed: its time has run out.",
        ),
        (
            What.LAPSED,
            an_alert(acknowledged_value=0.8, acknowledged_until=START + 9000),
            "CRITICAL (acknowledgement lapsed) main: connections 97.0 %",
            "The acknowledgement has lapsed: 80.0 % has become 97.0 %.",
        ),
        (
            What.LAPSED,
            an_alert(reason="worse by a fifth"),
            "CRITICAL (acknowledgement lapsed) main: connections 97.0 %",
            "The acknowledgement has lapsed: worse by a fifth.",
        ),
        (
            What.NO_DATA,
            an_alert(data=Data.NONE),
            "CRITICAL (no data) main: connections 97.0 %",
            "No data since 2026-11-18 20:07:40 +09:00: whether it is over is not known.",
        ),
    ],
)
def test_notice_says_why_it_comes(what: What, alert: object, title: str, lead: str) -> None:
    """Title and first words tell a new alarm from one that is repeated, escalated, eased or lapsed."""
    message = a_message(a_notice(alert, what, created_at=START + 960))  # type: ignore[arg-type] # an Alert, of a table
    assert message.title == title
    assert message.summary.startswith(lead + " connections at main")


def test_resolved_alert_says_how_long_it_lasted() -> None:
    """What is over names its span and its last value, and asks for nothing."""
    message = a_message(a_notice(OVER, What.RESOLVED), acknowledge_url="https://toban.example.org/a/1")
    assert message.title == "RESOLVED main: connections"
    assert message.summary == "Over after 14 min, now 62.0 %. It was connections at main."
    assert ("Over at", "2026-11-18 20:20:40 +09:00") in message.facts
    assert ("Why", "97 % > 95 % for 1 min") in message.facts
    assert message.commands == ("toban alerts show 4f7k2m1x",)
    assert message.acknowledge_url == ""


def test_acknowledged_alert_names_who_and_what_they_said() -> None:
    """Whoever else is woken sees that somebody is at it; nobody is asked to acknowledge again."""
    message = a_message(a_notice(HELD, What.ACKNOWLEDGED), acknowledge_url="https://toban.example.org/a/1")
    assert ("Acknowledged", "hanako, 2026-11-18 20:08:40 +09:00") in message.facts
    assert ("Note", "killing the batch") in message.facts
    assert message.commands == ("toban alerts show 4f7k2m1x",)
    assert message.acknowledge_url == ""
    assert ("Acknowledged", "hanako") in a_message(a_notice(replace(HELD, acknowledged_at=None))).facts


def test_facts_tell_the_ladder_the_data_and_the_flapping() -> None:
    """What else is known of an alert has a line of its own, each only where there is something to tell."""
    alert = an_alert(
        key=Key("disk_full", "main", (("device", "sda"), ("mount", "/srv"))),
        level=2,
        told=("mail", "action:backup:nightly", "slack"),
        data=Data.FAILING,
        flaps=(START, START + 1, START + 2),
        left_seconds=2580.0,
    )
    assert a_message(a_notice(alert)).facts == (
        ("Target", "main"),
        ("device", "sda"),
        ("mount", "/srv"),
        ("Value", "97.0 %"),
        ("Threshold", "> 95%"),
        ("Since", f"{SINCE}, for 1 min"),
        ("Full in", "43 min"),
        ("Host", "db1"),
        ("Level", "2 of 2"),
        ("Told", "mail, slack"),
        ("Data", "cannot be collected since 2026-11-18 20:07:40 +09:00"),
        ("Flapping", "came back 3 times within an hour"),
    )
    assert a_message(a_notice(alert)).title == "CRITICAL main: disk_full sda /srv 97.0 %"


def test_series_that_is_gone_says_since_when() -> None:
    """`no data` is a state of its own, never silence."""
    assert ("Data", "no data since 2026-11-18 20:07:40 +09:00") in a_message(a_notice(an_alert(data=Data.NONE))).facts


def test_level_counts_no_higher_than_it_was_climbed() -> None:
    """A ladder that has been shortened since does not read as 3 of 2."""
    assert ("Level", "3 of 3") in a_message(a_notice(an_alert(level=3))).facts
    assert ("Level", "1 of 1") in a_message(a_notice(an_alert(level=1, policy=Policy()))).facts


def test_rule_tells_its_own_sentence() -> None:
    """The rule's template is filled in the channel's language, or in the one that it has."""
    templates = {EN: "{value} of {target} are used, more than {threshold}", JA: "{target} は {value}"}
    assert a_message(rule_summary=templates).summary == "97.0 % of main are used, more than > 95%"
    assert a_message(language=JA, rule_summary=templates).summary == "main は 97.0%"
    assert a_message(language=JA, rule_summary={EN: "{value} used"}).summary == "97.0% used"


def test_rule_sentence_takes_labels() -> None:
    """A label's name stands for its value; what the message itself knows cannot be taken over by a label."""
    alert = an_alert(key=Key("disk", "main", (("mount", "/srv"), ("value", "nothing"))))
    assert a_message(a_notice(alert), rule_summary={EN: "{mount} at {value}"}).summary == "/srv at 97.0 %"


@pytest.mark.parametrize("template", ["{nothing}", "{value", "value}", "{value.__class__}", "{value:>99999999}", "{}"])
def test_template_that_fails_drops_no_alert(template: str) -> None:
    """A sentence that cannot be filled is replaced by a plain one."""
    assert filled(template, {"value": "1"}) is None
    assert a_message(rule_summary={EN: template}).summary.startswith("connections at main is 97.0 %")


def test_template_substitutes_and_does_nothing_else() -> None:
    """Doubled braces are braces; a value that looks like a template is not one; an empty sentence is none."""
    assert filled("{{{value}}}", {"value": "{target}"}) == "{{target}}"
    assert filled("  ", {}) is None
    assert filled("x" * 700, {}) == "x" * 599 + "…"


@pytest.mark.parametrize(
    ("written", "unit", "shown"),
    [
        ("> 80%", Unit.RATIO, "> 80%"),
        (">0.8", Unit.RATIO, "> 80.0 %"),
        ("<= 10737418240", Unit.BYTES, "<= 10 GB"),
        ("> 90", Unit.SECONDS, "> 1 min 30 s"),
        ("!= 0", Unit.NONE, "!= 0"),
        ("> 5GB", Unit.BYTES, "> 5GB"),
        ("", Unit.NONE, ""),
    ],
)
def test_threshold_has_a_unit(written: str, unit: Unit, shown: str) -> None:
    """A bare number is written with the unit of what it is held against."""
    assert threshold_text(written, unit, EN) == shown


def test_alert_without_threshold_is_told_all_the_same() -> None:
    """Of an alert that knows no threshold, the sentence and the facts leave it out."""
    message = a_message(a_notice(an_alert(threshold="")))
    assert message.summary == f"connections at main is 97.0 %; since {SINCE}."
    assert "Threshold" not in dict(message.facts)


def test_marks_say_what_is_special_about_this_copy() -> None:
    """A drill says so first; a possible repeat and an alert that could not be kept say so at the foot."""
    message = a_message(a_notice(an_alert(test=True), perhaps_sent=True, kept=False))
    assert message.commands == ()  # no command would find it
    assert message.title == "[DRILL] CRITICAL main: connections 97.0 %"
    assert message.footer == (
        "Toban on db1 · connections · 4f7k2m1x · this is a drill, nothing is wrong · possible repeat: it may have come "
        "before · not kept: the state disk does not take it, so a restart forgets it"
    )


def test_locks_are_offered_where_they_fit() -> None:
    """Of an alert about locks, the command that draws them is named; of one that is over, it is not."""
    blocked = an_alert(key=Key("blocked_chain", "main"), metric="toban_pg_lock_waiters")
    assert "toban locks --target main" in a_message(a_notice(blocked)).commands
    assert "toban locks --target main" not in a_message().commands
    over = replace(blocked, state=State.RESOLVED)
    assert "toban locks --target main" not in a_message(a_notice(over)).commands


def test_summer_time_is_told_by_the_offset() -> None:
    """Two moments that the clock on the wall calls the same are told apart."""
    berlin = ZoneInfo("Europe/Berlin")
    first, second = 1_792_888_200.0, 1_792_891_800.0  # half past two, and half past two again
    said = [
        words(a_notice(an_alert(started_at=at)), language=EN, node=NODE, zone=berlin).summary for at in (first, second)
    ]
    assert "since 2026-10-25 02:30:00 +02:00" in said[0]
    assert "since 2026-10-25 02:30:00 +01:00" in said[1]


def test_clock_that_ran_backwards_makes_no_negative_span() -> None:
    """A notice from before its alert began says that no time has passed."""
    assert ("Since", f"{SINCE}, for 0 s") in a_message(a_notice(created_at=START - 50)).facts


@pytest.mark.parametrize("drill", [True, False])
@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("what", What)
def test_nothing_that_acts_gets_into_a_message(what: What, language: Language, *, drill: bool) -> None:
    """Labels, names, notes and reasons are the attacker's: line ends, escapes and turned text are shown, not obeyed."""
    alert = an_alert(
        key=Key(NASTY, NASTY, ((NASTY, NASTY), ("mount", NASTY * 200))),
        reason=NASTY,
        note=NASTY,
        acknowledged_by=NASTY,
        told=(NASTY,),
        threshold=NASTY,
        test=drill,
    )
    notice = a_notice(alert, what, channel=NASTY, detail=NASTY, action=Action(kind="command", name=NASTY))
    message = words(notice, language=language, node=NASTY, zone=TOKYO, rule_summary={EN: "{mount}"}, digest=(notice,))
    pieces = (message.title, message.summary, message.footer, *message.commands, *message.evidence)
    for piece in (*pieces, *(part for fact in message.facts for part in fact)):
        assert not ACTING.search(piece)
        assert len(piece) <= 1200
        assert unicodedata.normalize("NFC", piece)
    assert len(message.title) <= 200
    assert len(message.text) < 12_000


def test_value_that_is_no_number_is_told() -> None:
    """An infinity or a NaN never keeps an alert back."""
    assert "∞" in a_message(a_notice(an_alert(value=float("inf")))).title
    assert a_message(a_notice(an_alert(value=float("nan"), unit=Unit.NONE))).title.endswith("–")  # noqa: RUF001 - a dash


def test_action_is_named() -> None:
    """A notice of something to be done tells what."""
    notice = a_notice(what=What.ACTION, action=Action(kind="backup", name="nightly"))
    assert a_message(notice).summary.startswith("This is to be done: backup nightly.")
    assert a_message(a_notice(what=What.ACTION)).summary.startswith("connections at main")


def test_test_message_says_that_nothing_is_wrong() -> None:
    """`toban alerts test` names the channel, and alarms nobody."""
    message = a_message(a_notice(what=What.TEST))
    assert message.title == "TEST of channel mail"
    assert message.summary == "This is a test from Toban on db1. Nothing is wrong."
    assert (message.facts, message.commands, message.footer) == ((), (), "Toban on db1")


def some(count: int, severity: Severity, state: State = State.FIRING) -> list[object]:
    """So many alerts of their own, the later the higher their number."""
    return [
        a_notice(
            an_alert(
                key=Key(f"{severity}_{at}", "main"),
                episode=f"{severity}{state}{at}",
                severity=severity,
                state=state,
                started_at=START + at,
            )
        )
        for at in range(count)
    ]


def test_digest_counts_by_severity_and_names_the_worst() -> None:
    """Many alerts are one message: how many of each, the ten worst, and how to see them all."""
    waiting = [
        *some(1, Severity.INFO),
        *some(30, Severity.WARNING),
        *some(3, Severity.CRITICAL),
        *some(2, Severity.CRITICAL, State.RESOLVED),
    ]
    message = a_message(a_notice(what=What.DIGEST), digest=waiting)
    assert message.title == "CRITICAL on db1: alerts 36"
    assert message.summary == "Critical 3, warning 30, info 1, resolved 2. The worst are below."
    assert [fact[0] for fact in message.facts] == ["CRITICAL main"] * 3 + ["WARNING main"] * 7
    assert message.facts[0][1] == f"critical_0 97.0 %, since {SINCE}"
    assert message.evidence == ("and 26 more",)
    assert message.commands == ("toban alerts",)


def test_digest_counts_an_episode_once() -> None:
    """One that fired and was resolved since is told as it is now."""
    fired, over = a_notice(), a_notice(replace(OVER, sequence=3), What.RESOLVED)
    for waiting in ((fired, over), (over, fired)):
        message = a_message(a_notice(what=What.DIGEST), digest=waiting)
        assert message.title == "RESOLVED on db1: alerts 1"
        assert message.facts == (("RESOLVED main", "connections"),)
        assert (message.state, message.evidence) == (State.RESOLVED, ())


def test_digest_of_nothing_tells_its_own_alert() -> None:
    """A digest whose notices are lost still says what it was written for."""
    assert a_message(a_notice(what=What.DIGEST)).facts[0][0] == "CRITICAL main"


def test_undelivered_names_the_channel_the_reason_and_the_count() -> None:
    """Another channel tells that one is dead: which, why, how many wait, and what they hold."""
    waiting = (a_notice(channel="slack"), a_notice(channel="slack", detail="channel_not_found."))
    message = a_message(a_notice(what=What.UNDELIVERED), digest=waiting)
    assert message.title == "UNDELIVERED on db1: channel slack"
    assert message.summary == (
        "Channel slack could not be reached: channel_not_found. Messages that wait or were given up: 2."
    )
    assert message.facts == (("CRITICAL main", f"connections 97.0 %, since {SINCE}"),)
    assert message.commands == ("toban alerts test slack", "toban alerts")


def test_action_that_failed_is_no_channel_out_of_reach() -> None:
    """It says what was not done and why, and what to look at; there is no channel to try."""
    deed = a_notice(what=What.ACTION, channel="action:backup:nightly", detail="backup nightly: no space left")
    notice = a_notice(what=What.UNDELIVERED, receipt={"channel": deed.channel}, detail=deed.detail)
    for waiting in ((deed,), ()):
        message = a_message(notice, digest=waiting)
        assert message.title == "NOT DONE on db1: backup nightly"
        assert message.summary.startswith("The action backup nightly was not done, or not to its end: no space left.")
        assert message.commands == ("toban alerts show 4f7k2m1x",)
    assert a_message(notice, language=JA).title == "【処置失敗】db1: backup nightly"


def test_undelivered_alone_tells_what_it_knows() -> None:
    """Without the waiting notices, the notice itself names channel and reason."""
    notice = a_notice(what=What.UNDELIVERED, receipt={"channel": "slack"}, detail="status 500")
    assert "Channel slack could not be reached: status 500." in a_message(notice).summary
    assert "Channel ? could not be reached: no reason is known." in a_message(a_notice(what=What.UNDELIVERED)).summary
