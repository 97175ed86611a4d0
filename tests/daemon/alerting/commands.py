"""`toban alerts …` as tests type it."""

import json
from pathlib import Path
from typing import Any

from tests.daemon.commanding import Ended, toban

CONTRACT = (
    *("id", "rule", "target", "labels", "severity", "state", "value", "threshold", "started_at", "summary"),
    *("escalation_level", "acknowledged_by"),
)


def alerts(config: Path, *words: str, lang: str = "en", **environment: str) -> Ended:
    """The command."""
    return toban("-c", config, "--lang", lang, "alerts", *words, **environment)


def told(config: Path, *words: str) -> Any:  # noqa: ANN401 - whatever JSON can carry
    """What it answers to programs."""
    ended = alerts(config, *words, "--json")
    assert ended.status == 0, ended.err
    return json.loads(ended.out)


def ids(config: Path, *words: str) -> list[str]:
    """Of the alerts in a list."""
    return [one["id"] for one in told(config, *words)]
