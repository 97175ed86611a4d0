"""Names that are left out, by patterns as in a shell."""

import fnmatch
import re


def any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all the patterns, so that a name is looked at once; none of them matches nothing."""
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns) or r"(?!)")
