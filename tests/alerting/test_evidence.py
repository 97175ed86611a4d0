"""Claims about what is kept with an alert: the root blocker first, no literal, nothing that acts, never too much."""

import json
from dataclasses import replace
from typing import cast

import msgspec
import pytest

from alerting.evidence import MOST_BYTES, Witness, drawn, gather, lock_tree_in, read, two_lines, written
from alerting.evidence.record import SECTIONS, Evidence, Figure, Happening
from tests.alerting.letters import NASTY, TOKYO, a_message, a_notice
from tests.alerting.scenes import CPU, DISK, Memory, a_document, a_query, a_scene, a_session, a_use
from tests.builders import START, ManualClock, a_sample
from toban.catalogue import CATALOGUE
from toban.events import Event, EventKind
from toban.language import Language
from toban.printable import ACTING
from toban.statements import StatementText

EN, JA = Language.EN, Language.JA


def test_evidence_keeps_what_was_the_matter() -> None:
    """Root blocker before its victims, longest, costliest, fullest and latest first; the old is left where it is."""
    found = gather(a_scene(), "main", START)
    assert [(row.pid, row.depth, row.victims) for row in found.locks] == [(10, 0, 2), (11, 1, 1), (12, 2, 0)]
    assert [row.pid for row in found.running] == [20, 21]
    assert [row.queryid for row in found.statements] == ["78", "77"]
    assert [(row.name, row.label, row.value) for row in found.figures] == [
        ("toban_host_cpu_ratio", "", 0.97),
        ("toban_host_load1", "", 12.3),
        ("toban_host_disk_used_ratio", "/srv", 0.96),
        ("toban_host_disk_used_ratio", "/", 0.5),
    ]
    assert [row.kind for row in found.happenings] == ["restarted", "setting_changed"]
    assert found.left_out == {}


def test_evidence_comes_back_as_it_was_written() -> None:
    """The document is JSON, and reads back the same."""
    found = gather(a_scene(), "main", START)
    assert read(written(found)) == found
    assert set(json.loads(written(found))) == {"version", "target", "at", "left_out", *SECTIONS}


@pytest.mark.parametrize("document", ["", "{", "[]", '{"target": 1}', "\ud800", '{"version":2,"target":"m","at":1.0}'])
def test_evidence_that_cannot_be_read_is_none(document: str) -> None:
    """A damaged document, or one of a later Toban, never keeps an alert back."""
    assert read(document) is None
    assert two_lines(document, "connections", EN) == ()
    assert lock_tree_in(document) is False
    assert drawn(document, EN) == ["the evidence that was kept cannot be read"]


def test_evidence_of_a_later_version_is_not_guessed_at() -> None:
    """What another version wrote is not shown as if it were understood."""
    later = replace(gather(a_scene(), "main", START), version=2)
    assert read(written(later)) is None


def test_evidence_holds_no_literal() -> None:
    """SQL is normalised once more, whoever did it before, and stands on one line."""
    found = gather(a_scene(), "main", START)
    assert found.locks[0].query == "select * from orders where id = ? and name = ?"
    assert found.running[0].query == "select sum(x) from t where y = $1"
    secret = Memory(
        held=[a_query(1, 9.0), StatementText(queryid="77", text="alter role x password 'hush" + "h" * 2000)]
    )
    assert "hush" not in a_document(secret)


def test_evidence_makes_hostile_text_harmless() -> None:
    """Application names, relations and events are the attacker's: nothing in them acts."""
    scene = Memory(
        held=[
            a_session(1, application=NASTY, database=NASTY, user=NASTY, relation=NASTY, query=NASTY),
            a_query(2, 9.0, application_name="\ud800" + NASTY),
            StatementText(queryid="77", text=NASTY),
        ],
        samples=[a_sample(DISK, 0.5, labels=(NASTY,))],
        happened=[Event(kind=EventKind.FILE_CHANGED, subject=NASTY, before=NASTY, after=NASTY, at=START)],
    )
    document = a_document(scene)
    for line in (*drawn(document, EN), *drawn(document, JA), *two_lines(document, "lock", EN)):
        assert not ACTING.search(line)
    assert not any(ACTING.search(text) for text in _texts(json.loads(document)))


def _texts(value: object) -> list[str]:
    """Every text in a JSON document."""
    if isinstance(value, dict):
        return [text for part in cast("dict[str, object]", value).values() for text in _texts(part)]
    if isinstance(value, list):
        return [text for part in cast("list[object]", value) for text in _texts(part)]
    return [value] if isinstance(value, str) else []


def test_evidence_is_bounded_by_count() -> None:
    """However much there is, so many rows of each are kept, and the rest is counted."""
    scene = Memory(
        held=[
            a_session(1),
            *(a_session(pid, 1) for pid in range(2, 700)),
            *(a_query(pid, float(pid)) for pid in range(50)),
            *(a_use(str(at), float(at)) for at in range(60)),
        ],
        samples=[a_sample(DISK, at / 100, labels=(f"/{at}",)) for at in range(50)] + [a_sample(CPU, float("nan"))],
        happened=[Event(kind=EventKind.RESTARTED, at=START - at) for at in range(30)],
    )
    found = gather(scene, "main", START)
    assert {name: len(found.section(name)) for name in SECTIONS} == {
        "locks": 20,
        "running": 10,
        "statements": 5,
        "figures": 3,
        "happenings": 10,
    }
    assert found.left_out == {"locks": 679, "running": 40, "statements": 55, "happenings": 20}
    assert found.locks[0].pid == 1
    assert "  left out: 679" in drawn(written(found), EN)


def test_many_roots_come_before_the_victims_of_any() -> None:
    """Where not all can be kept, no root blocker is left out for another one's victims."""
    held = [session for at in range(15) for session in (a_session(at), a_session(100 + at, at))]
    kept = gather(Memory(held=list(held)), "main", START).locks
    assert sorted(row.pid for row in kept if row.depth == 0) == list(range(15))
    assert len(kept) == 20


def test_evidence_is_bounded_in_bytes() -> None:
    """Names and texts that take four bytes a letter are cut until the whole fits; the count says so."""
    wide = "\U0001f600" * 500
    scene = Memory(
        held=[
            a_session(1, application=wide, user=wide, database=wide, query=wide),
            *(a_session(pid, 1, application=wide, user=wide, relation=wide, query=wide) for pid in range(2, 30)),
            *(a_query(pid, 9.0, application_name=wide, usename=wide) for pid in range(20)),
        ],
    )
    document = a_document(scene)
    assert len(document.encode()) <= MOST_BYTES
    found = read(document)
    assert found is not None
    assert found.locks[0].pid == 1
    assert len(found.locks) + found.left_out["locks"] == 29


def test_storm_of_alerts_shares_one_look() -> None:
    """Within a second nothing is gathered twice for a target; later it is."""
    scene, clock = a_scene(), ManualClock(now=START)
    witness = Witness(scene, clock)
    assert witness.document("main") is witness.document("main")
    witness.document("other")
    assert scene.asked == 2
    clock.advance(1.0)
    witness.document("main")
    assert scene.asked == 3


def test_witness_forgets() -> None:
    """The looks that are held do not grow with the number of targets that ever were."""
    scene = Memory()
    witness = Witness(scene, ManualClock(now=START))
    for at in range(450):
        witness.document(f"target{at}")
    assert len(witness._held) <= 200


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        (
            "blocked_chain toban_pg_lock_waiters",
            (
                (
                    "blocks 2: pid 10 app@shop (web), idle in transaction for 5 min: "
                    "select * from orders where id = ? and name = ?"
                ),
                (
                    "victim: pid 11 app@shop (web), waits 40 s for AccessExclusiveLock on orders: "
                    "select * from orders where id = ? and name = ?"
                ),
            ),
        ),
        (
            "cpu toban_host_cpu_ratio",
            (
                "host: cpu 97.0 %, load 12.3, disk /srv 96.0 %, disk / 50.0 %",
                "most time: 1 min 30 s in 45 calls, 2 s each: update t set x = $1",
            ),
        ),
        ("pending_restart pg_settings_pending_restart", ("restarted", "setting changed work_mem: 4MB → 1GB")),
        (
            "cache pg_cache_hit_ratio",
            (
                "most time: 1 min 30 s in 45 calls, 2 s each: update t set x = $1",
                (
                    "longest: pid 20 app@shop (report), active for 12 min, IO:DataFileRead: "
                    "select sum(x) from t where y = $1"
                ),
            ),
        ),
    ],
)
def test_two_lines_fit_the_rule(rule: str, lines: tuple[str, ...]) -> None:
    """Of all that is kept, a message carries the two lines that explain its rule best."""
    assert two_lines(a_document(), rule, EN) == lines


def test_two_lines_are_short_and_in_the_reader_s_language() -> None:
    """Japanese lines are Japanese; a line longer than a message takes is cut; nothing kept is nothing said."""
    (first, _) = two_lines(a_document(), "lock", JA)
    assert first.startswith("ブロック 2 件: pid 10 app@shop (web), idle in transaction 5分")
    assert two_lines(a_document(Memory()), "lock", EN) == ()
    assert two_lines(a_document(Memory()), "cpu toban_host_cpu_ratio", EN) == ()
    long = Memory(
        held=[a_session(1, query="select " + "a, " * 90, application="x" * 60, user="y" * 60, database="z" * 60)]
    )
    (only,) = two_lines(a_document(long), "lock", EN)
    assert len(only) == 240
    assert only.endswith("…")


def test_drawing_shows_all_of_it() -> None:
    """`toban alerts show` draws the tree with its victims under the root, and every other section below it."""
    assert drawn(a_document(), EN, TOKYO) == [
        "main, at 2026-11-18 20:06:40+09:00",
        "",
        "Who blocks whom",
        "  pid 10 app@shop (web), idle in transaction for 5 min, holds up 2",
        "    select * from orders where id = ? and name = ?",
        "    pid 11 app@shop (web), waits 40 s for AccessExclusiveLock on orders, holds up 1",
        "      select * from orders where id = ? and name = ?",
        "      pid 12 app@shop (web), waits 40 s for AccessExclusiveLock on orders",
        "        select * from orders where id = ? and name = ?",
        "",
        "Running",
        "  pid 20 app@shop (report), active for 12 min, IO:DataFileRead",
        "    select sum(x) from t where y = $1",
        "  pid 21 app@shop (report), active for 5 s, IO:DataFileRead",
        "    select sum(x) from t where y = $1",
        "",
        "Top statements",
        "  78 app@shop: 1 min 30 s in 45 calls, 2 s each",
        "    update t set x = $1",
        "  77 app@shop: 30 s in 100 calls, 300 ms each",
        "    select sum(x) from t where y = $1",
        "",
        "Host",
        "  cpu 97.0 %",
        "  load 12.3",
        "  disk /srv 96.0 %",
        "  disk / 50.0 %",
        "",
        "What happened lately",
        "  2026-11-18 20:05:40+09:00: restarted",
        "  2026-11-18 19:56:40+09:00: setting changed work_mem: 4MB → 1GB",
    ]


def test_drawing_tells_rings_prepared_transactions_and_bare_sessions() -> None:
    """What is no ordinary session is named as what it is."""
    scene = Memory(
        held=[
            a_session(0, key="prepared p", prepared="p", state="prepared", application="", query=""),
            a_session(5, 6),
            a_session(6, 5, query=""),
            a_session(7, 0, blocked_by=("prepared p",)),
            a_session(8, transaction_seconds=None, state="idle"),
            a_session(9, transaction_seconds=None, state=""),
            a_query(3, 4.0, wait_event="", queryid="none", application_name=""),
            a_use("none", 0.0, 0.0),
        ]
    )
    text = "\n".join(drawn(a_document(scene), EN))
    assert "  prepared transaction p app@shop, prepared for 5 min, holds up 1" in text
    assert "waits in a ring" in text
    assert "pid 8 app@shop (web), idle\n" in text
    assert "pid 9 app@shop (web)\n" in text
    assert "pid 3 app@shop, active for 4 s\n" in text
    assert "none app@shop: 0 s in 0 calls, 0 s each" in text


def test_unknown_figures_and_happenings_are_shown_by_their_names() -> None:
    """What another version measured is not lost for want of a word."""
    odd = Evidence(
        target="main",
        at=START,
        figures=(Figure(name="toban_host_new", value=3.0, unit="parsecs", label=""),),
        happenings=(Happening(kind="moved", subject="house", before="", after="", at=START),),
        left_out={},
    )
    lines = drawn(msgspec.json.encode(odd).decode(), EN)
    assert "  toban_host_new 3" in lines
    assert any(line.endswith("moved house") for line in lines)


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_has_a_heading(name: str) -> None:
    """The drawing names each section in both languages."""
    assert f"evidence.{name}" in CATALOGUE


def test_message_carries_the_evidence() -> None:
    """The words of an alert bring the two lines along, and offer the lock tree where one was seen."""
    message = a_message(a_notice(), evidence=a_document())
    assert message.evidence == two_lines(a_document(), "connections pg_connections_used_ratio", EN)
    assert message.commands[-1] == "toban locks --target main"
