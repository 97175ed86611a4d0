"""A real daemon: a rule fires, a message carries a link, the link acknowledges, and the terminal knows who it was."""

import json
import re
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.daemon.running import Daemon, ready, running
from tests.waiting import eventually_sync

RULES = """
language: en
collect: {memory: {every: 100ms}}
channels: {own: {kind: exec, run: [/usr/bin/tee, -a, TOLD]}}
alerts:
  defaults: false
  acknowledgement: {worse: null}
  rules: [{name: memory, metric: toban_host_memory_used_ratio, warning: "> 0%"}]
"""


def told(daemon: Daemon, *words: str) -> Any:  # noqa: ANN401 - whatever JSON can carry
    """What `toban alerts` answers to programs."""
    return json.loads(daemon.toban("alerts", *words, "--json").stdout)


@pytest.mark.integration
def test_an_alert_is_acknowledged_by_its_link_and_resolved_from_the_terminal(tmp_path: Path) -> None:
    """Over the network and the local socket, with the book beside the state; a restart remembers all of it."""
    messages = tmp_path / "told"
    with running(tmp_path, "language: en\nalerts: {defaults: false}\n") as daemon:
        daemon.stop()
        daemon.write(RULES.replace("TOLD", str(messages)))
        http = f'http: {{listen: "127.0.0.1:{daemon.port}", public_url: "{daemon.url}"}}\n'
        daemon.config.write_text(re.sub(r"(?m)^http:.*\n", http, daemon.config.read_text()))
        daemon.start()
        link = eventually_sync(lambda: re.findall(r"http://[0-9.:]+/ack/[\w-]+(?=[^\w-])", _text(messages)))
        eventually_sync(lambda: ready(daemon))
        eventually_sync(lambda: [set(one["told"]) for one in told(daemon)] == [{"own", "dashboard"}])
        (alert,) = told(daemon)
        assert (alert["rule"], alert["state"]) == ("memory", "firing")
        assert "I am at it" in httpx.get(link[0], timeout=60).text
        assert told(daemon)[0]["state"] == "firing"
        done = httpx.post(link[0], data={"who": "night shift"}, follow_redirects=True, timeout=60)
        assert "night shift is at it" in done.text
        assert stat.S_IMODE((tmp_path / "state.links").stat().st_mode) == 0o600
        daemon.stop()
        daemon.start()
        eventually_sync(lambda: ready(daemon))
        assert [one["acknowledged_by"] for one in told(daemon)] == ["night shift"]
        assert httpx.get(link[0], timeout=60).status_code == 200
        ended = daemon.toban("alerts", "resolve", alert["id"], "--note", "enough", "--who", "me")
        assert ended.returncode == 0, ended.stderr
        story = told(daemon, "show", alert["id"])
        assert story["state"] == "resolved"
        assert story["transitions"][-1]["reason"] == "resolved by me: enough"


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
