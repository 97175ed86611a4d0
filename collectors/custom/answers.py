"""From an answer to samples: which columns are labels, which are values, and what cannot be either. Pure."""

from collections.abc import Iterator
from decimal import Decimal

from collectors.contract import Answer, AskedError
from collectors.custom.settings import PREFIX, WORD, CustomSettings
from toban.outcomes import Failure, Gap, Reason
from toban.samples import Batch, Findings, Metric, Type, Unit

MOST_VALUE_COLUMNS = 50
MOST_LABEL_CHARACTERS = 200
SHOWN_NAMES = 20
_OF_HISTOGRAMS = ("_count", "_sum", "_bucket")  # a gauge may not end so: such a column goes out without a type
_UNITS = {"_seconds": Unit.SECONDS, "_bytes": Unit.BYTES, "_ratio": Unit.RATIO}


class Columns:
    """How one answer's columns are read. They are the same in each turn, until somebody changes the table."""

    def __init__(self, settings: CustomSettings, columns: tuple[str, ...]) -> None:
        self.names = columns
        self._settings = settings
        missing = [label for label in settings.labels if label not in columns]
        if missing:
            raise _misshapen(f"no column {', '.join(missing)} for a label; there are: {_listed(columns)}")
        self._labels = tuple(columns.index(label) for label in settings.labels)
        values = [(place, name) for place, name in enumerate(columns) if name not in settings.labels]
        if not values:
            raise _misshapen(f"no column is a value; all are labels: {_listed(columns)}")
        usable = {name: place for place, name in reversed(values) if WORD.fullmatch(name)}
        self._metrics = [
            (place, metric_of(settings, name))
            for place, name in values[:MOST_VALUE_COLUMNS]
            if usable.get(name) == place
        ]
        self.gaps = tuple(self._unnamed(values, usable))

    def findings(self, answer: Answer, taken_at: float) -> Findings:
        """The samples of an answer that has these columns, and what it had to leave out."""
        batch = Batch(taken_at)
        seen: set[tuple[str, ...]] = set()
        strange: dict[str, int] = {}
        for row in answer.rows:
            labels = tuple(_label(row[place]) for place in self._labels)
            if labels in seen:
                continue
            seen.add(labels)
            for place, metric in self._metrics:
                try:
                    batch.add(metric, _number(row[place]), *labels)
                except (TypeError, ValueError, OverflowError):
                    strange[self.names[place]] = strange.get(self.names[place], 0) + 1
        twins = len(answer.rows) - len(seen)
        return Findings(samples=batch.samples, gaps=(*self.gaps, *self._left_out(strange, twins, more=answer.more)))

    def _unnamed(self, values: list[tuple[int, str]], usable: dict[str, int]) -> Iterator[Gap]:
        for place, name in values[:MOST_VALUE_COLUMNS]:
            if name not in usable:
                yield _gap(f"column {name[:60]!r}", 1, "its name makes no metric's name", "give it one with `as`")
            elif usable[name] != place:
                yield _gap(f"column {name}", 1, "a column before it has the same name", "give it another with `as`")
        beyond = len(values) - MOST_VALUE_COLUMNS
        if beyond > 0:
            yield _gap(f"columns beyond {MOST_VALUE_COLUMNS} values", beyond, "one query has no room for more", "")

    def _left_out(self, strange: dict[str, int], twins: int, *, more: bool) -> Iterator[Gap]:
        for name, count in strange.items():
            hint = "cast it to a number, name it among `labels`, or leave it out of the query"
            yield _gap(f"column {name}", count, "what it holds is no number", hint)
        if twins:
            by = f"`group by {', '.join(self._settings.labels)}`" if self._settings.labels else "name `labels`"
            yield _gap("rows with the labels of a row before", twins, "two values of one series", f"{by}")
        if more:
            detail = f"the answer has more than {self._settings.most_rows} rows; how many, nobody has counted"
            hint = "let the query choose (order by … limit …), or raise `most_rows`"
            yield _gap(f"rows beyond {self._settings.most_rows}", 1, detail, hint)


def metric_of(settings: CustomSettings, column: str) -> Metric:
    """The metric of a value column. Its unit is what its name ends with, as everybody's does."""
    unit = next((unit for ending, unit in _UNITS.items() if column.endswith(ending)), Unit.NONE)
    name = f"{PREFIX}{settings.name}_{column}"
    return Metric(
        name=name,
        help=settings.help or f"Column {column} of the query {settings.name}",
        type=Type.COUNTER if column in settings.counters else Type.GAUGE,
        unit=unit,
        labels=settings.labels,
        kept=settings.kept,
        compatible=name.endswith(_OF_HISTOGRAMS),
    )


def _number(value: object) -> float | None:
    """A number is one by its type: text that looks like one may look otherwise tomorrow."""
    if value is None:
        return None
    if not isinstance(value, int | float | Decimal):
        raise TypeError
    return float(value)


def _label(value: object) -> str:
    """As SQL would write it, not as Python would."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        value = value[:MOST_LABEL_CHARACTERS].decode(errors="backslashreplace")
    return str(value)[:MOST_LABEL_CHARACTERS]


def _listed(columns: tuple[str, ...]) -> str:
    return ", ".join(columns[:SHOWN_NAMES]) + (" …" if len(columns) > SHOWN_NAMES else "")


def _misshapen(detail: str) -> AskedError:
    return AskedError(Failure(reason=Reason.QUERY, detail=detail, hint="mend `sql` or `labels` of the entry"))


def _gap(what: str, count: int, detail: str, hint: str) -> Gap:
    return Gap(what=what, reason=Reason.QUERY, count=count, detail=detail, hint=hint)
