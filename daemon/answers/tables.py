"""Tables that stay readable where there is no room for one, as on a telephone at night: each row is then some lines."""

from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

LONGEST_WORD: Final = 25  # an instant; what is longer may be broken
BETWEEN: Final = 3  # what stands between two columns


class RowsOrLines(Table):
    """A table; in a window in which its words would be broken, a block of lines for each row."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A table as long as it fits."""
        needs = [_longest_word(column) for column in self.columns]
        if options.max_width < sum(needs) + BETWEEN * len(needs):
            yield from self._lines()
            return
        for column, width in zip(self.columns, needs, strict=True):
            column.min_width = width
        yield from super().__rich_console__(console, options)

    def _lines(self) -> RenderResult:
        if self.title:
            yield Text(str(self.title), style="italic")
        columns = [[_under(str(column.header), str(cell)) for cell in column.cells] for column in self.columns]
        for row, cells in zip(self.rows, zip(*columns, strict=True), strict=True):
            first, *others = filter(None, cells)
            yield Text.from_markup(first, style=row.style or "")
            if others:
                yield Padding(Text.from_markup("  ".join(others), style=row.style or ""), (0, 0, 0, 2))


def table(title: str, *columns: str) -> Table:
    """A table in the house's style. A column whose heading begins with `>` is set flush right."""
    made = RowsOrLines(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(
            column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    return made


def facts_grid() -> Table:
    """Two columns, headings and what is told under them; nothing of it is cut off."""
    made = Table.grid(padding=(0, 2))
    made.add_column()
    made.add_column(overflow="fold")
    return made


def _under(heading: str, cell: str) -> str:
    return f"[dim]{heading}[/] {cell}" if cell else ""


def _longest_word(column: Column) -> int:
    """How wide a column has to be for its words to stay whole."""
    texts = (str(column.header), *map(str, column.cells))
    words = (word for text in texts for word in Text.from_markup(text).plain.split())
    return min(max(map(cell_len, words), default=0), LONGEST_WORD)
