"""`toban alerts runbook`: what to do about an alert, where there is no browser."""

import sys
from difflib import get_close_matches

from rich.markdown import Markdown

from alerting.shipped.runbooks import is_shipped, runbook_of
from daemon.answers.asking import Asked
from daemon.answers.printing import console, plain
from daemon.configuration.ruling import rules_of
from toban.errors import NotFoundError


def answer(asked: Asked, *, rule: str) -> int:
    """Print the page, or where somebody else keeps it."""
    found = next((one for one in rules_of(asked.configuration) if one.name == rule), None)
    if found is not None and found.runbook and not is_shipped(found.runbook):
        console().print(plain(found.runbook))
        return 0
    page = runbook_of(rule)
    if page is None:
        names = [one.name for one in rules_of(asked.configuration)]
        near = get_close_matches(rule, names, n=1)
        hint = f"did you mean {near[0]}?" if near and near[0] != rule else "`runbook:` of a rule says where its own is"
        raise NotFoundError(f"runbook of {rule}", "there is none", hint)
    if sys.stdout.isatty():
        console().print(Markdown(page))
    else:
        print(page, end="")
    return 0
