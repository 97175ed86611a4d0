"""How advice looks, whoever gives it: a table of what and why, below it what to run, ready to be copied; or JSON."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table

from daemon.answers.asking import Asked
from daemon.answers.printing import console, plain, print_json, table
from daemon.documents_advice import advice_document, why
from toban.advice import Advice
from toban.catalogue import say
from toban.language import Language
from toban.printable import printable
from toban.units import NOTHING, size_text

Cell = Callable[[Advice, Language], str]

# Column by heading. One of which no piece of advice has anything to say is left out.
_COLUMNS: dict[str, Cell] = {
    "target": lambda advice, _: advice.target,
    "database": lambda advice, _: advice.database,
    "action": lambda advice, language: say(f"action.{advice.action}", language),
    "subject": lambda advice, _: advice.subject,
    "present": lambda advice, _: advice.present,
    "wanted": lambda advice, _: advice.wanted,
    "gain": lambda advice, _: "" if advice.gain_bytes is None else size_text(advice.gain_bytes),
    "why": why,
}
_FLUSH_RIGHT = {"gain"}


def print_advice(found: Sequence[Advice], asked: Asked, *, as_json: bool) -> int:
    """Print it in the order given. Advice is no fault: the exit status is 0."""
    if as_json:
        print_json([advice_document(advice, asked.language) for advice in found])
    elif found:
        _show(found, asked.language, console())
    else:
        console().print(say("advising.nothing", asked.language))
    return 0


def _show(found: Sequence[Advice], language: Language, out: Console) -> None:
    out.print(_table(found, language))
    lines = list(_to_run(found, language))
    if lines:
        out.print(say("advising.run", language))
    for line in lines:  # unwrapped and unadorned, so that it can be copied from a narrow terminal too
        out.print(printable(line), soft_wrap=True, markup=False, highlight=False)


def _table(found: Sequence[Advice], language: Language) -> Table:
    shown = {name: cell for name, cell in _COLUMNS.items() if any(cell(advice, language) for advice in found)}
    heads = [">" * (name in _FLUSH_RIGHT) + say(f"column.{name}", language) for name in shown]
    made = table(say("table.advice", language), *heads)
    for advice in found:
        made.add_row(*(plain(cell(advice, language) or NOTHING) for cell in shown.values()))
    return made


def _to_run(found: Sequence[Advice], language: Language) -> Iterator[str]:
    """The statements, and before those of each place a remark where to run them."""
    for (target, database), group in groupby(found, key=lambda advice: (advice.target, advice.database)):
        statements = [advice.run for advice in group if advice.run]
        place = say("advising.place", language, target=target, database=database) if database else target
        if statements:
            yield f"-- {' '.join(place.split())}"
        for statement in statements:
            yield from statement.split("\n")
