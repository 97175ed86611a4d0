"""From a notice to a letter: what the daemon knows besides."""

from pathlib import Path
from typing import Any

import pytest

from alerting.channels import open_channel
from alerting.channels.dashboard import DashboardSettings
from alerting.client import HttpWeb
from daemon.duty.messages import Wording
from daemon.duty.surroundings import DaemonSurroundings
from daemon.http.links import Links
from history.current import Current
from tests.alerting.builders import an_alert
from tests.alerting.notices import a_notice
from tests.builders import ManualClock
from tests.daemon.serving import configured
from toban.alerts import Key, State

CLOCK = ManualClock()


def wording(folder: Path, **http: Any) -> Wording:  # noqa: ANN401 - as YAML has it
    """With links, where there is an address for them."""
    made = Wording(
        configured(folder, http={"listen": "127.0.0.1:0", **http}, language="ja", node="db1"),
        DaemonSurroundings(Current(), CLOCK),
        CLOCK,
    )
    made.links = Links(b"k" * 32)
    return made


@pytest.mark.parametrize(
    ("public", "written", "told"),
    [
        ({}, "docs/rules/cpu.md", "toban alerts runbook cpu"),
        ({"public_url": "https://toban.example.org/"}, "docs/rules/cpu.md", "https://toban.example.org/runbooks/cpu"),
        ({"public_url": "https://toban.example.org"}, "https://wiki.example.org/x", "https://wiki.example.org/x"),
    ],
)
def test_runbook_is_a_link_or_what_to_type(tmp_path: Path, public: dict[str, str], written: str, told: str) -> None:
    """A path within the manual helps nobody at three in the morning."""
    alert = an_alert(key=Key("cpu", "host"), runbook=written)
    assert wording(tmp_path, **public).for_programs(a_notice(alert=alert)).message.runbook == told


def test_letter_is_in_the_channels_language_and_else_in_the_nodes(tmp_path: Path) -> None:
    """One team may read English where another reads Japanese."""
    english = open_channel("d", DashboardSettings(language="en"), HttpWeb(), CLOCK)
    plain = open_channel("d", DashboardSettings(), HttpWeb(), CLOCK)
    letters = [wording(tmp_path).letter(a_notice(), channel, ()) for channel in (english, plain)]
    assert [letter.message.language for letter in letters] == ["en", "ja"]
    assert letters[0].node == "db1"


def test_acknowledge_link_is_there_where_people_can_reach_it(tmp_path: Path) -> None:
    """A drill has none."""
    notice = a_notice(alert=an_alert(episode="ep000000"))
    public = wording(tmp_path, public_url="https://toban.example.org")
    assert public.for_programs(notice).message.acknowledge_url.startswith("https://toban.example.org/ack/ep000000-")
    assert wording(tmp_path).for_programs(notice).message.acknowledge_url == ""
    drill = a_notice(alert=an_alert(episode="ep000000", test=True))
    assert public.for_programs(drill).message.acknowledge_url == ""


def test_standing_alerts_are_those_that_the_channel_knows_and_that_are_not_over(tmp_path: Path) -> None:
    """What an Alertmanager is told again and again."""
    channel = open_channel("am", DashboardSettings(), HttpWeb(), CLOCK)
    known = an_alert(episode="known000", told=("am",))
    others = (
        an_alert(episode="other000", told=("x",)),
        an_alert(episode="pend0000", state=State.PENDING, told=("am",)),
    )
    letters = wording(tmp_path).standing(channel, (known, *others))
    assert [letter.notice.alert.episode for letter in letters] == ["known000"]
