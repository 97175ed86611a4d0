"""Tables, and what becomes of them where there is no room."""

import io

from rich.console import Console

from daemon.answers.printing import plain, table
from daemon.answers.tables import facts_grid


def shown(width: int, *rows: tuple[str, ...]) -> list[str]:
    """The lines of a table in a window of this width."""
    made = table("Alerts", "id", "rule", ">value", "since", "remark")
    for row in rows:
        made.add_row(*row)
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(made)
    return [line.rstrip() for line in out.getvalue().splitlines()]


ROW = ("b10cked0", plain("backup_repository_down[x]"), "1.5 kB", "2026-11-21T09:00:00+09:00", "")


def test_table_that_fits_breaks_no_word() -> None:
    """Whatever stands in the widest column."""
    other = ("d1skf111", "disk", "91 %", "2026-11-21T09:00:00+09:00", "one two three four five six seven")
    lines = shown(90, ROW, other)
    assert any("backup_repository_down[x]" in line and "2026-11-21T09:00:00+09:00" in line for line in lines)
    assert any("d1skf111" in line and "91 %" in line for line in lines)


def test_table_that_does_not_fit_is_a_few_lines_for_each_row_and_loses_nothing() -> None:
    """On a telephone at night an id must be whole to be typed."""
    lines = shown(36, ROW, ("d1skf111", "", "91 %", "", "muted"))
    assert lines == [
        "Alerts",
        "id b10cked0",
        "  rule backup_repository_down[x]",
        "  value 1.5 kB  since",
        "  2026-11-21T09:00:00+09:00",
        "id d1skf111",
        "  value 91 %  remark muted",
    ]


def test_row_with_nothing_but_its_name_is_one_line() -> None:
    """And a window of no width to speak of is no fault."""
    assert shown(20, ("b10cked0", "", "", "", ""))[1:] == ["id b10cked0"]
    assert shown(3, ROW)


def test_facts_are_not_cut_off() -> None:
    """The name of a metric is to be copied."""
    facts = facts_grid()
    facts.add_row("metric", "toban_host_disk_used_ratio")
    out = io.StringIO()
    Console(file=out, width=24).print(facts)
    assert "".join(out.getvalue().split()) == "metrictoban_host_disk_used_ratio"
