"""`toban metrics`: the values of now."""

from daemon.answers.asking import Asked, ask, measured
from daemon.answers.narrowing import must_be_there
from daemon.answers.printing import console, plain, print_json, table
from daemon.documents import Document
from toban.catalogue import say
from toban.errors import NotFoundError
from toban.language import Language
from toban.samples import Unit
from toban.units import value_text


def answer(asked: Asked, *, pattern: str, target: str | None, as_json: bool) -> int:
    """Print them; 1 when nothing matches."""
    must_be_there(asked.configuration, target)
    found = ask(asked.configuration, "/api/v1/metrics", match=pattern, target=target)
    if found is None:
        found = measured(
            asked.configuration,
            lambda world: world.values(pattern, target),
        )
    if as_json:
        print_json(found)
    elif found:
        _show(found, asked.language)
    else:
        raise NotFoundError("metrics", say("empty.metrics", asked.language, pattern=pattern))
    return 0 if found else 1


def _show(found: list[Document], language: Language) -> None:
    name, labels, value, taken_at = (say(f"column.{c}", language) for c in ("metric", "labels", "value", "taken_at"))
    made = table("", name, labels, f">{value}", taken_at)
    for one in sorted(found, key=lambda document: (document["name"], sorted(document["labels"].items()))):
        said = " ".join(f"{key}={value}" for key, value in one["labels"].items() if value != "")
        number = value_text(one["value"], Unit(one["unit"]), language)
        made.add_row(one["name"], plain(said), number, one["taken_at"][11:])
    console().print(made)
