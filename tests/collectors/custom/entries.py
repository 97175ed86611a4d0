"""Entries of `collect: custom:` as somebody writes them."""

from collectors.contract import Answer
from collectors.custom.settings import CustomSettings
from toban.samples import Findings


def an_entry(**given: object) -> CustomSettings:
    """A valid entry; the test names only what it is about."""
    return CustomSettings.model_validate({"name": "trades", "target": "ledger", "sql": "select 1 as count", **given})


def an_answer(columns: str, *rows: tuple[object, ...], more: bool = False) -> Answer:
    """An answer with these columns."""
    return Answer(columns=tuple(columns.split()), rows=rows, more=more)


def values(findings: Findings) -> dict[tuple[str, ...], float]:
    """Each series, as its metric's name and its label values, with its value; two of one series are an error."""
    found = {(sample.metric.name, *sample.labels): sample.value for sample in findings.samples}
    assert len(found) == len(findings.samples)
    return found


def left_out(findings: Findings) -> list[tuple[str, int, str, str]]:
    """What is said of each gap."""
    return [(gap.what, gap.count, gap.detail, gap.hint) for gap in findings.gaps]
