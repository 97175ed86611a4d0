"""`docs/metrics.md`, whole: `python -m daemon.reference.page` prints it, and a test says that the file is current."""

import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase

from daemon.reference.facts import DAEMON, Fact, Section, facts, sections
from daemon.reference.rows import ROWS, Row

HEAD = """# Metrics

Made from the declarations in `collectors/`, `backup/metrics.py` and of the daemon itself; made anew by
`python -m daemon.reference.page > docs/metrics.md`.
`toban metrics --describe NAME` tells one of them, with how many values there are at present and, where there are none,
why. Every metric of a target carries the label `target`. *Kept* are those that `toban history` shows weeks later. Names
that begin with `pg_`, `mysql_` or `pgbouncer_` are those of the exporters that made them known, so that dashboards and
rules that exist go on working; Toban's own among them are `pg_connections_used_ratio`, `pg_cache_hit_ratio`,
`pg_longest_query_seconds`, `pg_longest_transaction_seconds` and `pg_wraparound_ratio`.

A metric that is empty has a reason: `toban_collect_state` names it for each collector, `toban_collect_gaps` for what a
good turn had to leave out, and `toban status` says it in a sentence with the mend. What each reason means stands in
[troubleshooting](troubleshooting.md).

## What is measured, by question

| question | metrics |
| --- | --- |
"""


def page() -> str:
    """The page as it should stand."""
    known = facts()
    prefixes = [prefix for section in sections() for prefix in section.prefixes]
    rows = "".join(f"| {row.id} {row.question} | {_row(row, known, prefixes)} |\n" for row in ROWS)
    return HEAD + rows + "".join(_section(section) for section in sections())


def found(row: Row, known: tuple[Fact, ...]) -> tuple[str, ...]:
    """The metrics that answer a row's question, in the order of its patterns."""
    names = [fact.name for pattern in row.metrics for fact in known if fnmatchcase(fact.name, pattern)]
    return tuple(dict.fromkeys(names))


def _row(row: Row, known: tuple[Fact, ...], prefixes: list[str]) -> str:
    named = [*(f"`{name}`" for name in found(row, known))]
    named += [f"`{pattern}`" for pattern in row.metrics if pattern.removesuffix("*") in prefixes]
    return " ".join(named) + (f"; {row.beside}" if row.beside else "")


def _section(section: Section) -> str:
    return "\n".join(_lines(section)) + "\n"


def _lines(section: Section) -> Iterator[str]:
    yield f"\n## {section.name}\n"
    yield f"{section.what} {section.purpose}\n"
    place = f"`collect.{section.name}`, " if section.kind != DAEMON else ""
    asked = f" Asked with {', '.join(f'`{sql}`' for sql in section.sql)}." if section.sql else ""
    yield f"{place}kind {section.kind}, {'every ' if section.every[0].isdigit() else ''}{section.every}.{asked}\n"
    yield from (
        f"`{prefix}…`: named by what is measured, so they are not listed here.\n" for prefix in section.prefixes
    )
    if section.facts:
        yield "| metric | type | unit | labels | kept | meaning |"
        yield "| --- | --- | --- | --- | --- | --- |"
        yield from (_fact(fact) for fact in section.facts)


def _fact(fact: Fact) -> str:
    labels = " ".join(f"`{label}`" for label in fact.labels if label != "target")
    help_text = fact.help.replace("|", "\\|")
    return f"| `{fact.name}` | {fact.type} | {fact.unit} | {labels} | {'yes' if fact.kept else ''} | {help_text} |"


if __name__ == "__main__":
    sys.stdout.write(page())
