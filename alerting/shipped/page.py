"""`docs/rules/README.md`, whole: `python -m alerting.shipped.page` prints it; a test says that the file is current."""

import sys
from collections.abc import Mapping
from typing import Any

from alerting.shipped import PRESETS, by_subject, shipped

HEAD = """# Rules that come with Toban

Made from `alerting/shipped/*.yaml`, where each figure has its why; to make it anew:
`python -m alerting.shipped.page > docs/rules/README.md`. They are in force unless `alerts: {defaults: false}`. A rule
of the same name under `alerts: rules:` replaces one; without a `metric` it changes what it says, and the rest stays.
`toban alerts backtest RULE --since 30d` tells how often one would have fired. Each links to its runbook. `info` is
shown and told to nobody.

`preset:` under `alerts:` chooses other figures:

| preset | what it is |
| --- | --- |
"""
NOTHING = ""
"""What stands in a table where a rule has nothing to say."""


def page() -> str:
    """The page as it should stand."""
    presets = "".join(f"| `{name}` | {what}{_differing(name)} |\n" for name, what in PRESETS.items())
    return HEAD + presets + "".join(_section(name, rules) for name, rules in by_subject().items())


def figures(rule: Mapping[str, Any]) -> str:
    """A rule's row: what its page repeats at the top."""
    bounds = [f"`{rule[key]}`" if key in rule else NOTHING for key in ("info", "warning", "critical")]
    return f"| {' | '.join([_judged(rule), *bounds, rule.get('for', 'at once')])} |"


def _section(subject: str, rules: tuple[dict[str, Any], ...]) -> str:
    head = "| rule | what | of | info | warning | critical | for |\n| --- | --- | --- | --- | --- | --- | --- |\n"
    return f"\n## {subject}\n\n{head}" + "".join(_row(rule) for rule in rules)


def _row(rule: Mapping[str, Any]) -> str:
    what = rule["summary"]["en"].removeprefix("{target}: ")
    return f"| [{rule['name']}]({rule['name']}.md) | {what} {figures(rule)}\n"


def _judged(rule: Mapping[str, Any]) -> str:
    """`mean(5m)` of a metric; a pipe would end the column."""
    function = f"{rule['function']} of " if "function" in rule else ""
    return f"{function}`{rule['metric']}`"


def _differing(preset: str) -> str:
    told = [
        f"`{rule['name']}` {key} `{value}`"
        for rule in shipped()
        for key, value in rule.get("presets", {}).get(preset, {}).items()
    ]
    return f": {', '.join(told)}" if told else ""


if __name__ == "__main__":
    sys.stdout.write(page())
