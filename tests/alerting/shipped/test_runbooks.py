"""What the runbooks tell to type is there: metrics, SQL, commands, links."""

import re
import shlex
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from collectors import COLLECTORS
from daemon.reference.facts import facts
from tests.alerting.shipped.judging import METRICS
from tests.clusters import Cluster

RUNBOOKS = sorted((Path(__file__).parents[3] / "docs" / "rules").glob("*.md"))
PAGES = {page.stem: page.read_text() for page in RUNBOOKS}
COMMANDS = {
    *("status", "metrics", "history", "statements", "locks", "events", "advise", "alerts", "setup"),
    *("backup", "restore", "drill", "wal"),
    "--debug",
}
ADVISED = {"indexes", "bloat", "settings", "security", "pool"}
ALERTS = {"show", "ack", "silence", "backtest", "test", "dead", "retry"}
BACKUP = {"run", "list", "show", "verify", "prove", "prune", "copies", "pin"}
FOR_PEOPLE = ("CREATE ", "ALTER ", "DROP ", "VACUUM")


def blocks(kind: str) -> list[tuple[str, str]]:
    """The blocks of a language, each with its page."""
    return [
        (name, block)
        for name, text in PAGES.items()
        for block in re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    ]


def typed() -> list[tuple[str, list[str]]]:
    """Every `toban …` that a page names, in a block or in a line."""
    lines = [(name, line) for name, block in blocks("sh") for line in block.splitlines() if line.startswith("toban ")]
    lines += [(name, words) for name, text in PAGES.items() for words in re.findall(r"`(toban [^`]+)`", text)]
    return [(name, shlex.split(line)) for name, line in lines]


def test_commands_exist() -> None:
    """Each is one of the command line's, and so is what follows it."""
    for name, words in typed():
        assert words[1] in COMMANDS, (name, words)
        if words[1] == "advise":
            assert words[2] in ADVISED, (name, words)
        if words[1] == "backup":
            assert words[2] in BACKUP, (name, words)
        if words[1] == "alerts" and len(words) > 2:
            assert words[2] in ALERTS, (name, words)


def test_metrics_exist() -> None:
    """Each name or pattern finds something that is measured, or that the daemon says of itself."""
    known = {*METRICS, *(fact.name for fact in facts())}
    prefixes = tuple(prefix for collector in COLLECTORS for prefix in collector.prefixes)
    wanted = {words[2] for _, words in typed() if words[1] in {"metrics", "history"} and len(words) > 2}
    named = {name for text in PAGES.values() for name in re.findall(r"`((?:toban_|pg_|mysql_)\w+)`", text)}
    named = {name for name in named if name.startswith(("toban_pg", "toban_host", "toban_probe"))}
    coming = ("toban_outbox_*", "toban_notifications_*", "toban_notifications_total")
    idle = {
        name
        for name in wanted | named
        if not any(fnmatchcase(one, name) for one in known) and not name.startswith(prefixes) and name not in coming
    }
    assert idle == set()


def test_links_lead_somewhere() -> None:
    """To another page, or to one of the manual."""
    for page in RUNBOOKS:
        for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), (page.name, link)


@pytest.mark.integration
def test_sql_runs(postgres: Cluster) -> None:
    """It only looks, and every version takes it."""
    for name, sql in blocks("sql"):
        assert not sql.upper().startswith(FOR_PEOPLE), name
    postgres.psql("".join(sql for _, sql in blocks("sql")))


def test_sql_that_sorts_downwards_puts_what_is_unknown_last() -> None:
    """NULL comes first else: a sequence that was never used, in front of the one that is at its end."""
    for name, sql in blocks("sql"):
        for ordered in re.findall(r"ORDER BY (.+) DESC(?! NULLS LAST)", sql):
            assert ordered in {"4", "2", "3"}, (name, ordered)  # counts and ages, which are known
