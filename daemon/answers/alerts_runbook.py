"""`toban alerts runbook`: what to do about an alert, where there is no browser."""

import sys
from difflib import get_close_matches

from rich.markdown import Markdown

from alerting.shipped.runbooks import is_shipped, runbook_of
from daemon.answers.asking import Asked
from daemon.answers.printing import console, plain, print_json
from daemon.configuration.ruling import rules_of
from toban.errors import NotFoundError


def answer(asked: Asked, *, rule: str, as_json: bool = False) -> int:
    """Print the page, or where somebody else keeps it."""
    found = next((one for one in rules_of(asked.configuration) if one.name == rule), None)
    elsewhere = found.runbook if found is not None and found.runbook and not is_shipped(found.runbook) else None
    page = runbook_of(rule) if elsewhere is None else None
    if elsewhere is None and page is None:
        names = [one.name for one in rules_of(asked.configuration)]
        near = get_close_matches(rule, names, n=1)
        hint = f"did you mean {near[0]}?" if near and near[0] != rule else "`runbook:` of a rule says where its own is"
        raise NotFoundError(f"runbook of {rule}", "there is none", hint)
    if as_json:
        print_json({"rule": rule, "url": elsewhere, "text": page})
    elif page is None:
        console().print(plain(elsewhere or ""))
    elif sys.stdout.isatty():
        console().print(Markdown(page))
    else:
        print(page, end="")
    return 0
