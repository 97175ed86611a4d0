"""A rule's own sentence: names between braces are replaced, and nothing else happens. What fails gives no sentence."""

import re
from collections.abc import Mapping

from alerting.lines import one_line
from toban.alerts import Alert
from toban.language import Language
from toban.units import value_text

MOST_SENTENCE_LETTERS = 600
_PIECE = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}|[{}]")


def filled(template: str, values: Mapping[str, str]) -> str | None:
    """The sentence with its values; None for a name that nobody knows, a lone brace, or nothing at all."""
    broken = False

    def piece(match: re.Match[str]) -> str:
        nonlocal broken
        if match[0] in ("{{", "}}"):
            return match[0][0]
        value = values.get(match[1]) if match[1] else None
        broken |= value is None
        return one_line(value or "")

    sentence = one_line(_PIECE.sub(piece, template), MOST_SENTENCE_LETTERS).strip()
    return None if broken or not sentence else sentence


def own_words(templates: Mapping[Language, str], language: Language, values: Mapping[str, str]) -> str | None:
    """The sentence in this language, else in another that there is."""
    return filled(templates.get(language) or next((text for text in templates.values() if text), ""), values)


def own_sentence(alert: Alert, language: Language) -> str | None:
    """The rule's own sentence of an alert as it stands; None where it has none that can be filled."""
    value = value_text(alert.value, alert.unit, language)
    own = {"value": value, "threshold": alert.threshold, "target": alert.key.target, "rule": alert.key.rule}
    templates = {Language(known): text for known, text in alert.sentence.items()}
    return own_words(templates, language, {**dict(alert.key.labels), **own})
