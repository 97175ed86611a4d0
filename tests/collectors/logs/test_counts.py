"""What is counted in the lines: levels, patterns, numbers, failed logins."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from collectors.logs.matching import SEEN_BYTES
from collectors.logs.postgresql import KINDS
from collectors.logs.values import Values, spread
from tests.builders import START
from tests.collectors.logs.followed import Followed, values, write
from toban.clock import moment
from toban.logins import LoginFailures


def read(tmp_path: Path, content: str | bytes, **settings: Any) -> Followed:  # noqa: ANN401 - whatever may be configured
    """A log with this content, read from its start."""
    log = tmp_path / "logs" / "app.log"
    log.parent.mkdir()
    write(log, content)
    return Followed(log.parent, from_start=True, **settings)


def test_value_of_a_field_is_told_exactly(tmp_path: Path) -> None:
    """S0's question: how long did the analysis take? Lines of other events do not count, nor what is no number."""
    numbers = [2.0, 0.5, 1.5, 4.0, 10.0, 3.0]
    lines = [{"level": "INFO", "event": "ML分析完了", "analysis_duration_seconds": n} for n in numbers]
    lines += [
        {"event": "other", "analysis_duration_seconds": 99},
        {"event": "ML分析完了", "analysis_duration_seconds": None},
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    followed = read(tmp_path, text, format="jsonl", value="analysis_duration_seconds", match={"event": "ML分析完了"})
    found = followed.turn()
    field = ("analysis_duration_seconds",)
    assert values(found, "toban_log_values_24h") == {field: 6}
    assert values(found, "toban_log_value_mean_seconds") == {field: 3.5}
    assert values(found, "toban_log_value_p50_seconds") == {field: 2.5}
    assert values(found, "toban_log_value_p95_seconds") == {field: 8.5}
    assert values(found, "toban_log_value_max_seconds") == {field: 10.0}
    assert values(found, "toban_log_matches_total") == {("match",): 7}
    assert values(found, "toban_log_lines_24h") == {("info",): 6, ("none",): 2}


def test_milliseconds_become_seconds(tmp_path: Path) -> None:
    """Base units, by the field's name."""
    followed = read(tmp_path, '{"took_ms": 250}\n{"took_ms": "750"}\n', format="jsonl", value="took_ms")
    assert followed.values("toban_log_value_mean_seconds") == {("took_ms",): 0.5}


def test_a_day_later_the_day_is_empty_and_the_totals_stay(tmp_path: Path) -> None:
    """24 hours slide; totals only grow. Also after a restart."""
    followed = read(tmp_path, '{"level": "error", "n": 1}\n', format="jsonl", value="n")
    followed.turn()
    followed.restart()
    found = followed.turn(after_seconds=86_000)
    assert values(found, "toban_log_lines_24h") == {("error",): 1}
    found = followed.turn(after_seconds=900)
    assert values(found, "toban_log_lines_24h") == {("error",): 0}
    assert values(found, "toban_log_values_24h") == {("n",): 0}
    assert values(found, "toban_log_lines_total") == {("error",): 1}


def test_lines_count_in_their_own_time(tmp_path: Path) -> None:
    """A backlog of days: what is older than a day counts in the totals only."""
    stamps = [moment(START - hours * 3600).isoformat() for hours in (50, 30, 25, 23, 2, 1)]
    text = "".join(json.dumps({"level": "info", "timestamp": stamp}) + "\n" for stamp in stamps)
    found = read(tmp_path, text, format="jsonl").turn()
    assert values(found, "toban_log_lines_total") == {("info",): 6}
    assert values(found, "toban_log_lines_24h") == {("info",): 3}


def test_levels_of_text_are_the_first_word_that_is_one(tmp_path: Path) -> None:
    """Upper case, or in brackets as nginx has it; a word within a word is none."""
    text = (
        "2026-11-21 10:00:00,123 INFO retrying after ERROR\n"
        "2026-11-21 10:00:01 [error] 12#0: connect() failed\n"
        "TERROR is no level\r\n"
        "WARN: low\n"
        "nothing\n"
    )
    found = read(tmp_path, text).turn()
    assert values(found, "toban_log_lines_total") == {("info",): 1, ("error",): 1, ("warning",): 1, ("none",): 2}


def test_level_of_text_by_an_expression_of_ones_own(tmp_path: Path) -> None:
    """Its first group is the level."""
    followed = read(tmp_path, "lvl=warn x\nlvl=info y\nz\n", level=r"lvl=(\w+)", patterns=[
        {"name": "warned", "match": "x|y", "level": "warning"},
    ])  # fmt: skip
    found = followed.turn()
    assert values(found, "toban_log_lines_total") == {("warning",): 1, ("info",): 1, ("none",): 1}
    assert values(found, "toban_log_matches_total") == {("warned",): 1}


def test_named_groups_become_labels_and_beyond_the_limit_other(tmp_path: Path) -> None:
    """The first sets of labels that come are told apart; also the number may be a group."""
    text = "".join(f"ERROR shop={name} took {n}\n" for n, name in enumerate("aabcd"))
    pattern = {"name": "slow", "match": r"shop=(?P<shop>\w) took (?P<took>\d+)", "contains": "shop="}
    followed = read(tmp_path, text, patterns=[pattern], value="took", label_sets=2)
    found = followed.turn()
    assert values(found, "toban_log_match_slow_total") == {("a",): 2, ("b",): 1, ("other",): 2}
    assert values(found, "toban_log_matches_24h") == {("slow",): 5}
    assert values(found, "toban_log_value_max") == {("took",): 4}
    followed.restart()
    assert followed.values("toban_log_match_slow_total") == {("a",): 2, ("b",): 1, ("other",): 2}


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        (r"^b$", 1),
        (r"a\s+b", 0),
        (r"(?<!x)y", 2),
        (r"\Aa", 1),
        (r"[あい]う", 1),
        ("あ?う", 1),
        ("never", 0),
        (r"(?i)B", 1),
    ],
)
def test_expression_sees_one_line_at_a_time(tmp_path: Path, expression: str, count: int) -> None:
    """However the block is searched, a line never matches by its neighbour."""
    text = "a\nb\nxy\ny\nzy\nいう\n"
    followed = read(tmp_path, text, patterns=[{"name": "p", "match": expression}])
    assert followed.values("toban_log_matches_total") == ({("p",): count} if count else {})


def test_level_that_never_came_is_a_zero(tmp_path: Path) -> None:
    """Else a burst of the first errors ever would have nothing to be compared with, and wake nobody."""
    expected = {"text": {"critical", "error", "fatal"}, "combined": {"5xx"}, "postgresql": {"error", "fatal"}}
    for form, levels in {**expected, "jsonl": expected["text"]}.items():
        (tmp_path / form).mkdir()
        found = read(tmp_path / form, "", format=form).turn()
        lines = {s.labels[1]: s.value for s in found.samples if s.metric.name == "toban_log_lines_total"}
        assert lines == dict.fromkeys(levels, 0.0)
        matches = {s.labels[1]: s.value for s in found.samples if s.metric.name == "toban_log_matches_total"}
        assert matches == (dict.fromkeys(KINDS, 0.0) if form == "postgresql" else {})


def test_group_called_as_a_label_of_ours_breaks_no_page(tmp_path: Path) -> None:
    """A label that comes twice would spoil all that Prometheus reads."""
    pattern = {"name": "p", "match": r"(?P<log>\w+) (?P<target>\w+) (?P<__x>\w+) (?P<shop>\w+)"}
    found = read(tmp_path, "a b c d\n", patterns=[pattern]).turn()
    (sample,) = [s for s in found.samples if s.metric.name == "toban_log_match_p_total"]
    assert sample.labelled == {
        "log": "app", "exported_log": "a", "exported_target": "b", "exported___x": "c", "shop": "d"
    }  # fmt: skip


@pytest.mark.parametrize("expression", [r".*needle", r"[^@]+@", "needle"])
def test_expression_sees_the_beginning_of_a_long_line(tmp_path: Path, expression: str) -> None:
    """Nothing can stop an expression that tries every place of a megabyte; the other lines are found as ever."""
    long = "x" * SEEN_BYTES
    text = f"one needle@\n{long} needle@\n{long[: SEEN_BYTES // 2]} needle@\n"
    followed = read(tmp_path, text, patterns=[{"name": "p", "match": expression}])
    assert followed.values("toban_log_matches_total") == {("p",): 2}


def test_own_count_of_repetitions_may_be_anything(tmp_path: Path) -> None:
    """A group of that name in somebody's own expression: no number, or one that is none any more."""
    text = "".join(f"denied 192.0.2.4 {times}\n" for times in ("3", "many", "9" * 5000, ""))
    logins = {"match": r"denied (?P<address>\S+) (?P<repeated>\S*)"}
    followed = read(tmp_path, text, logins=logins)
    assert followed.values("toban_log_login_failures_24h") == {(): 3 + 1 + 1000 + 1}


def test_fields_of_json_match_by_value_and_pattern(tmp_path: Path) -> None:
    """Numbers, shell patterns, nested fields and fields with a dot in their name; level and labels."""
    lines: list[dict[str, Any]] = [
        {"level": 50, "event": "order failed", "http": {"status": 500}, "shop": "north"},
        {"level": 30, "event": "order failed", "http": {"status": 500}, "shop": "north"},
        {"level": 50, "event": "order failed", "http.status": 500, "shop": 7},
        {"level": 50, "event": "else", "http": {"status": 404}},
        {"level": {"odd": 1}, "event": None, "http": "none"},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    pattern = {"name": "failed", "match": {"event": "order*", "http.status": 500}, "level": "error", "labels": ["shop"]}
    found = read(tmp_path, text, format="jsonl", patterns=[pattern]).turn()
    assert values(found, "toban_log_match_failed_total") == {("north",): 1, ("7",): 1}
    assert values(found, "toban_log_lines_total") == {("error",): 3, ("info",): 1, ("{'odd': 1}",): 1}


def test_lines_that_are_no_json_are_told(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, NULs, blank lines and binary junk spoil no other line."""
    content = (
        b'\0\0\0{"level": "info", "message": "caf\xe9"}\r\n'
        b'{"level": "error"\n'
        b"\n"
        b"[1, 2]\n"
        b"\x89PNG\x1a\xff\n"
        b'{"level": "caf\xe9"}\n'
    )
    found = read(tmp_path, content, format="jsonl").turn()
    assert values(found, "toban_log_lines_total") == {("info",): 1, ("caf\ufffd",): 1, ("none",): 4}
    assert values(found, "toban_log_unparsed_lines_total") == {(): 3}


def test_line_longer_than_the_limit_is_cut_and_counts_once(tmp_path: Path) -> None:
    """Its rest is passed over, whatever it holds."""
    followed = read(tmp_path, "ERROR " + "x" * 3_000_000)
    found = followed.turn()
    assert values(found, "toban_log_cut_lines_total") == {(): 1}
    write(followed.folder / "app.log", "ERROR the same line\nINFO next\n")
    found = followed.turn()
    assert values(found, "toban_log_lines_total") == {("none",): 1, ("info",): 1}
    assert values(found, "toban_log_cut_lines_total") == {(): 1}


def test_compressed_file_that_comes_is_read(tmp_path: Path) -> None:
    """A pattern that names compressed files reads those that are new."""
    folder = tmp_path / "logs"
    folder.mkdir()
    followed = Followed(folder, path=str(folder / "*"))
    followed.turn()
    with gzip.open(folder / "batch.gz", "wb") as file:
        file.write(b"INFO one\nINFO two\n")
    assert followed.lines == 2
    assert followed.lines == 2


REQUEST = '{address} - - [{at}] "{request}" {status} 12 "-" "curl/8"'


def request(seconds: float, address: str, status: int = 401, path: str = "/api/v1/auth/login?next=1") -> str:
    """A line as nginx writes it, so many seconds before now."""
    at = moment(START - seconds).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return REQUEST.format(address=address, at=at, request=f"POST {path} HTTP/1.1", status=status) + "\n"


def test_twenty_failed_logins_of_one_address_are_an_attack(tmp_path: Path) -> None:
    """S3's rule out of the box: exactly that address, exactly twenty. Ten are none, nor are twenty in an hour."""
    text = "".join(request(3700 - 180 * n, "192.0.2.7") for n in range(20))
    text += "".join(request(200 - n, "203.0.113.9") for n in range(20))
    text += "".join(request(100 - n, "198.51.100.1") for n in range(10))
    text += "".join(request(50, f"192.0.2.{n}", 200) for n in range(30)) + 'a \\" 401 1\n'
    text += request(1, "192.0.2.77", 401, "/else")
    followed = read(tmp_path, text, format="combined", logins={"path": "*/login"})
    followed.turn()
    followed.restart()
    found = followed.turn()
    assert values(found, "toban_log_brute_force_addresses") == {(): 1}
    assert values(found, "toban_log_login_failures_24h") == {(): 50}
    assert values(found, "toban_log_login_failures_by_address_24h") == {
        ("203.0.113.9",): 20,
        ("192.0.2.7",): 20,
        ("198.51.100.1",): 10,
    }
    assert [row for row in found.rows if isinstance(row, LoginFailures) and row.over] == [
        LoginFailures(
            log="app", address="203.0.113.9", failures=20, over=True, first_at=START - 200, last_at=START - 181
        )
    ]
    assert values(found, "toban_log_lines_total") == {("4xx",): 51, ("2xx",): 30, ("none",): 1}
    assert values(found, "toban_log_unparsed_lines_total") == {(): 1}


def test_combined_needs_no_word_and_names_only_the_worst(tmp_path: Path) -> None:
    """More addresses than are shown come together as other."""
    text = "".join(request(60, f"192.0.2.{n}") for n in range(12)) + request(60, "192.0.2.5")
    found = read(tmp_path, text, format="combined").turn()
    shown = values(found, "toban_log_login_failures_by_address_24h")
    assert len(shown) == 11
    assert shown[("192.0.2.5",)] == 2
    assert shown[("other",)] == 2


def test_user_who_is_called_like_a_time_is_found_out(tmp_path: Path) -> None:
    """What stands in front of the request is the caller's own words: nobody hides behind them."""
    users = ("[01/Jan/2020:00:00:00 +0000]", "[x]", "a ] [ b", "[" * 50)
    lines = [request(60 - n, "192.0.2.7").replace(" - - ", f" - {users[n % 4]} ") for n in range(12)]
    found = read(tmp_path, "".join(lines), format="combined").turn()
    assert values(found, "toban_log_brute_force_addresses") == {(): 1}
    assert values(found, "toban_log_login_failures_by_address_24h") == {("192.0.2.7",): 12}


def test_sshd_fails_by_its_preset(tmp_path: Path) -> None:
    """Also when syslog sums repeated lines up, and when a user's name pretends to be an address."""
    day = moment(START)
    at = f"{day:%b} {day.day:2} {day:%H:%M:%S}"
    text = (
        f"{at} db1 sshd[1]: Failed password for root from 192.0.2.1 port 22 ssh2\n"
        f"{at} db1 sshd[1]: Failed password for invalid user x from 9.9.9.9 port 1 from 192.0.2.1 port 22 ssh2\n"
        f"{at} db1 sshd-session[1]: message repeated 18 times: "
        "[ Failed password for root from 192.0.2.1 port 22 ssh2]\n"
        f"{at} db1 sshd[1]: Accepted publickey for root from 192.0.2.2 port 22 ssh2\n"
    )
    found = read(tmp_path, text, logins={"preset": "sshd"}).turn()
    assert values(found, "toban_log_login_failures_by_address_24h") == {("192.0.2.1",): 20}
    assert values(found, "toban_log_brute_force_addresses") == {(): 1}


def test_logins_by_fields_and_by_an_expression(tmp_path: Path) -> None:
    """An application's own words for a failed login."""
    lines = "".join(json.dumps({"event": "login", "status": 401, "peer": "192.0.2.3"}) + "\n" for _ in range(11))
    logins = {"match": {"event": "login", "status": 401}, "address": "peer"}
    found = read(tmp_path, lines, format="jsonl", logins=logins).turn()
    assert values(found, "toban_log_login_failures_by_address_24h") == {("192.0.2.3",): 11}
    (tmp_path / "text").mkdir()
    followed = read(tmp_path / "text", "denied 192.0.2.4\n" * 3, logins={"match": r"denied (?P<address>\S+)"})
    assert followed.values("toban_log_login_failures_24h") == {(): 3}


def test_many_values_are_told_within_a_hundredth() -> None:
    """Beyond the exact ones, in bounded memory; what is remembered is the same."""
    values = Values()
    for number in range(1, 100_001):
        values.add(number / 100)
    values.add(-1.0)
    values.add(0.0)
    assert len(values.bins) + len(values.exact) < 1000
    found = spread([Values.read(json.loads(json.dumps(values.document())))])
    assert found is not None
    assert found.count == 100_002
    assert found.largest == 1000
    assert found.p50 == pytest.approx(500, rel=0.01)
    assert found.p95 == pytest.approx(950, rel=0.01)
    assert spread([Values()]) is None
