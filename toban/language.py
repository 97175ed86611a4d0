"""The two languages Toban speaks, and which of them a person gets."""

from collections.abc import Mapping
from enum import StrEnum


class Language(StrEnum):
    """What `language:` and `--lang` take."""

    EN = "en"
    JA = "ja"


def choose_language(*, asked: str | None, configured: str | None, environ: Mapping[str, str]) -> Language:
    """What was asked for on the command line, else what is configured, else the locale's, else English."""
    named = asked or configured
    if named:
        return Language(named)
    locale = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return Language.JA if locale.lower().startswith("ja") else Language.EN
