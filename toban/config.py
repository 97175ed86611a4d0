"""What every configuration model is made of: the frozen base; durations, sizes, shares, paths as people write them."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d|w)")
_DURATION_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION_MAX_SECONDS = 100 * 366 * 86400.0
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*(B|kB|KB|MB|GB|TB)")
_SIZE_BYTES = {"B": 1, "kB": 1024, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*%")

WRITTEN: Final = "written"
"""The validation context of values out of a file: there a bare number is no duration and no share."""


class Model(BaseModel):
    """A part of the configuration: frozen, and strict about what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)


def misfit(why: str, *at: str | int) -> PydanticCustomError:
    """What a validator raises when values do not go together; `at` leads from its own place to the key to blame."""
    return PydanticCustomError("misfit", "{why}", {"why": why, "at": at})


def parse_duration(value: Any) -> float:  # noqa: ANN401 - whatever YAML held
    """`90s`, `15m`, `1h30m`, `7d` as seconds."""
    text = value.strip() if isinstance(value, str) else ""
    pieces = _DURATION.findall(text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        raise ValueError(f"{value!r} is no duration; write 500ms, 90s, 15m, 2h or 7d")
    seconds = sum(float(number) * _DURATION_SECONDS[unit] for number, unit in pieces)
    if not 0 < seconds <= _DURATION_MAX_SECONDS:
        raise ValueError(f"{value!r} is out of range; a duration is longer than nothing and shorter than a century")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest way to write a duration that reads back the same."""
    for unit in ("d", "h", "m", "s"):
        size = _DURATION_SECONDS[unit]
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds * 1000:.12g}ms" if seconds < 1 else f"{seconds:.12g}s"


def parse_size(value: Any) -> int:  # noqa: ANN401 - whatever YAML held
    """`512MB`, `10GB` as bytes; units of 1024, as PostgreSQL's settings have them. A bare number is bytes."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is no size; write 512MB or 10GB")
    return int(Fraction(match[1]) * _SIZE_BYTES[match[2]])


def format_size(size_bytes: int) -> str:
    """The shortest way to write a size that reads back the same."""
    for unit in ("TB", "GB", "MB", "kB"):
        if size_bytes >= _SIZE_BYTES[unit] and size_bytes % _SIZE_BYTES[unit] == 0:
            return f"{size_bytes // _SIZE_BYTES[unit]}{unit}"
    return f"{size_bytes}B"


def parse_share(value: Any) -> float:  # noqa: ANN401 - whatever YAML held
    """`80%` as 0.8."""
    match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or float(match[1]) > 100:  # noqa: PLR2004 - the whole, in per cent
        raise ValueError(f"{value!r} is no share; write 80%")
    return float(match[1]) / 100


def format_share(ratio: float) -> str:
    """A ratio in per cent."""
    return f"{ratio * 100:.12g}%"


def parse_path(value: Any) -> Path:  # noqa: ANN401 - whatever YAML held
    """A path from the root: a daemon's working directory is nobody's business."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError(f"{value!r} is no absolute path; begin it with /")
    return Path(value)


def parse_name(value: Any) -> str:  # noqa: ANN401 - whatever YAML held
    """What things are called by in metrics, commands and file names."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name; use letters, digits and _ . - only")
    return value


def _read_duration(value: Any, info: ValidationInfo) -> float:  # noqa: ANN401 - whatever YAML held
    in_code = isinstance(value, float) and info.context != WRITTEN
    return value if in_code else parse_duration(value)


def _read_share(value: Any, info: ValidationInfo) -> float:  # noqa: ANN401 - whatever YAML held
    in_code = isinstance(value, float) and info.context != WRITTEN
    return value if in_code else parse_share(value)


def _no_keys(value: Any) -> Any:  # noqa: ANN401 - whatever YAML held
    return {} if value is None else value


def _no_items(value: Any) -> Any:  # noqa: ANN401 - whatever YAML held
    return () if value is None else value


Duration = Annotated[
    float,
    BeforeValidator(_read_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$", "examples": ["90s", "15m"]}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, return_type=str),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["512MB", "10GB"]}),
]
Share = Annotated[
    float,
    BeforeValidator(_read_share),
    PlainSerializer(format_share, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$", "examples": ["80%"]}),
]
AbsolutePath = Annotated[
    Path,
    BeforeValidator(parse_path),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^/", "examples": ["/srv/ledger/ledger.db"]}),
]
Name = Annotated[str, AfterValidator(parse_name)]
EMPTY_IS_DEFAULT = BeforeValidator(_no_keys)
"""For a section: its name with nothing (or only comments) beneath means its defaults."""
NONE_LISTED = BeforeValidator(_no_items)
"""The same for a list."""
