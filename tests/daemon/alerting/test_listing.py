"""`toban alerts` as a person types it: the real application on a real socket, and a real book."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from daemon.answers import asking
from daemon.http.listening import listen_unix
from history.book.contract import Page
from tests.daemon.alerting.commands import CONTRACT, alerts, ids, told
from tests.daemon.commanding import Ended
from tests.daemon.duties import FakeDuty, written


def test_active_alerts_are_a_table_with_symptoms_below_their_cause(config: Path, daemon: FakeDuty) -> None:
    """The worst first; what nobody is told of says why; markup and escapes are shown, not obeyed. Status 0."""
    ended = alerts(config)
    assert (ended.status, ended.err) == (0, "")
    rows = [line for line in ended.out.splitlines() if "main" in line or "host" in line]
    assert rows[0].split()[:8] == ["b10cked0", "critical", "firing", "blocked", "main", "10", "min", ">"]
    assert rows[1].split()[:6] == ["v1ct1m00", "warning", "firing", "└", "long_transaction", "main"]
    assert rows[2].split()[:3] == ["d1skf111", "warning", "acknowledged"]
    assert r"mount=/srv/[b]\e" in rows[2]
    assert "91.0 %" in rows[2]
    assert "muted: silence s1; until" in " ".join(ended.out.split())
    assert "muted, so nobody is told: 1" in ended.out


def test_active_alerts_speak_japanese(config: Path, daemon: FakeDuty) -> None:
    """Title, headings, states."""
    ended = alerts(config, lang="ja")
    assert "発生中のアラート" in ended.out
    assert "対応中" in ended.out


def test_alerts_for_programs_have_the_fields_of_the_contract(config: Path, daemon: FakeDuty) -> None:
    """And ours behind them; a summary in words."""
    blocked = told(config)[0]
    assert set(CONTRACT) <= blocked.keys()
    assert blocked["summary"] == "blocked at main is 10 min, threshold > 1m"
    assert (blocked["value"], blocked["unit"], blocked["escalation_level"]) == (600.0, "seconds", 2)
    assert blocked["started_at"].endswith("+00:00")  # the fake's zone


def test_alerts_are_the_same_from_the_book_when_no_daemon_runs(config: Path, duty: FakeDuty, state: Path) -> None:
    """In the configured zone, and in the language asked for."""
    written(state, Page(alerts=tuple(duty.alerts)))
    assert ids(config) == ["b10cked0", "v1ct1m00", "d1skf111"]
    (blocked, *_) = told(config)
    assert blocked["started_at"].endswith("+09:00")
    assert "閾値" in json.loads(alerts(config, "--json", lang="ja").out)[0]["summary"]


def test_a_daemon_that_does_not_answer_leaves_the_book(
    config: Path, duty: FakeDuty, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told on standard error where a program reads; nobody at three in the morning is left without the list."""
    monkeypatch.setattr(asking, "ASK_SECONDS", 0.05)
    written(state, Page(alerts=tuple(duty.alerts)))
    with closing(listen_unix(state.with_suffix(".sock"))):
        ended = alerts(config, "--json")
        assert (ended.status, len(json.loads(ended.out))) == (0, 3)
        assert "the daemon does not answer (the daemon: ReadTimeout on its local socket)" in ended.err
        assert alerts(config, "show", "zzz").status == 1


def test_alerts_are_narrowed_by_each_option(config: Path, daemon: FakeDuty) -> None:
    """Of the active ones, and of all."""
    assert ids(config, "--target", "host") == ["d1skf111"]
    assert ids(config, "--severity", "critical") == ["b10cked0"]
    assert ids(config, "--state", "firing") == ["b10cked0", "v1ct1m00"]
    assert ids(config, "--state", "resolved") == ["0ver0000"]
    assert ids(config, "--all") == ["b10cked0", "v1ct1m00", "0ver0000", "d1skf111"]
    assert ids(config, "--since", "1h") == ["b10cked0", "v1ct1m00", "d1skf111"]
    assert ids(config, "--since", "3h", "--target", "main", "--severity", "warning") == ["0ver0000", "v1ct1m00"]


def test_no_alerts_are_fine(config: Path, state: Path) -> None:
    """A sentence for people, an empty list for programs, status 0; and that without a daemon nobody would notice."""
    written(state, Page())
    alone = "the daemon is not running, so nobody watches; this is what its book has\n"
    assert alerts(config) == Ended(status=0, out=f"{alone}no active alerts\n", err="")
    assert alerts(config, "--json") == Ended(status=0, out="[]\n", err=alone)
    assert alerts(config, "--all").out == "no alerts like these\n"
    assert told(config) == []


def test_alerts_without_book_or_daemon_are_unavailable(config: Path) -> None:
    """Status 3, and one line."""
    ended = alerts(config)
    assert (ended.status, ended.out) == (3, "")
    assert ended.err.startswith("toban: alerts: ")
