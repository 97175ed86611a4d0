"""The table that `make bench` prints: Markdown, so that it goes into docs/performance.md as it is."""

from bench.goals import ROWS, Figures, Form, Row

HEAD = ("", "exporter", "Toban", "ratio", "goal", "")
TEN_MEGABYTES = 1e7  # from here on, the decimals say nothing
VERDICTS = {True: "met", False: "**missed**", None: ""}


def written(value: float | None, form: Form) -> str:
    """A figure as people read it."""
    if value is None:
        return "-"
    match form:
        case Form.SECONDS:
            return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"
        case Form.BYTES:
            return f"{value / 1e6:.0f} MB" if abs(value) >= TEN_MEGABYTES else f"{value / 1e6:.2f} MB"
        case Form.COUNT:
            return f"{value:,.0f}"
        case Form.TIMES:
            return f"{value:.1f} x"
        case Form.SHARE:
            return f"{value:.2%}"


def ratio(exporter: float | None, toban: float | None) -> str:
    """Toban's figure as a multiple of the exporter's."""
    if exporter is None or toban is None or exporter <= 0:
        return "-"
    return f"{toban / exporter:.2f}"


def cells(row: Row, exporter: Figures, toban: Figures) -> tuple[str, ...]:
    """One line of the table."""
    theirs, ours = exporter.get(row.key), toban.get(row.key)
    goal = row.goal.text if row.goal else ""
    verdict = VERDICTS[row.verdict(exporter, toban)]
    return (row.label, written(theirs, row.form), written(ours, row.form), ratio(theirs, ours), goal, verdict)


def table(exporter: Figures, toban: Figures, rows: tuple[Row, ...] = ROWS) -> str:
    """Every row that has a figure, aligned."""
    lines = [HEAD, *(cells(row, exporter, toban) for row in rows if row.key in exporter or row.key in toban)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    first, *rest = ("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)
    return "\n".join((first, rule, *rest))
