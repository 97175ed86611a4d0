"""What the command line prints and the API answers, as JSON-ready dictionaries: one form for both."""

import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from fnmatch import fnmatchcase
from typing import Any

from prometheus_client.core import Metric as Family

from history.reading import SeriesHistory, StatementHistory
from toban.clock import moment
from toban.samples import Sample, Unit
from toban.status import PairStanding, Status, TargetStanding

Document = dict[str, Any]
NO_ALERTS: Mapping[str, int] = {"critical": 0, "warning": 0, "info": 0}


def stamp(at: float | None, zone: tzinfo) -> str | None:
    """A moment in ISO 8601, in the configured zone."""
    return None if at is None else _iso(moment(at).astimezone(zone))


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def json_text(document: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - whatever JSON can carry
    """JSON that every reader takes: it has neither infinity nor, in UTF-8, half a letter out of a broken file name."""
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=indent)
    except ValueError:
        text = json.dumps(_finite(document), ensure_ascii=False, indent=indent)
    return text.encode(errors="replace").decode()


def _finite(document: Any) -> Any:  # noqa: ANN401 - whatever JSON can carry
    if isinstance(document, dict):
        return {key: _finite(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [_finite(value) for value in document]
    return _number(document) if isinstance(document, float) else document


def status_document(status: Status, zone: tzinfo, alerts: Mapping[str, int] = NO_ALERTS) -> Document:
    """`toban status --json` and `/api/v1/status`; `alerts` are counted by severity."""
    return {
        "health": status.health,
        "taken_at": stamp(status.taken_at, zone),
        "components": [{"name": c.name, "state": c.state, "reason": c.reason} for c in status.components],
        "targets": [target_document(target, zone) for target in status.targets],
        "alerts": dict(alerts),
    }


def target_document(target: TargetStanding, zone: tzinfo) -> Document:
    """One target and what each of its collectors brings or misses."""
    return {
        "name": target.name,
        "kind": target.kind,
        "up": target.up,
        "reason": target.reason,
        "hint": target.hint,
        "last_success_at": stamp(target.last_success_at, zone),
        "collectors": [_pair(pair, zone) for pair in target.pairs],
    }


def _pair(pair: PairStanding, zone: tzinfo) -> Document:
    return {
        "name": pair.collector,
        "reason": pair.reason,
        "detail": pair.detail,
        "hint": pair.hint,
        "gaps": list(pair.gaps),
        "not_offered": list(pair.not_offered),
        "last_success_at": stamp(pair.last_success_at, zone),
    }


def metric_documents(samples: Iterable[tuple[str, Sample]], zone: tzinfo) -> list[Document]:
    """`toban metrics --json` and `/api/v1/metrics`."""
    return [
        {
            "name": sample.metric.name,
            "labels": {**sample.labelled, "target": target},
            "value": _number(sample.value),
            "taken_at": stamp(sample.taken_at, zone),
            "unit": sample.unit,
        }
        for target, sample in samples
    ]


def _number(value: float) -> float | None:
    """JSON knows no infinity."""
    return value if math.isfinite(value) else None


def own_documents(
    families: Iterable[Family], pattern: str, target: str | None, now: float, zone: tzinfo
) -> list[Document]:
    """Toban's own instruments in the same form. Their unit is the one that their name ends in."""
    return [
        {
            "name": sample.name,
            "labels": dict(sample.labels),
            "value": _number(sample.value),
            "taken_at": stamp(now, zone),
            "unit": unit_of(sample.name),
        }
        for family in families
        for sample in family.samples
        if fnmatchcase(sample.name, pattern) and target in (None, sample.labels.get("target"))
    ]


def unit_of(name: str) -> Unit:
    """A metric's unit, by the promise of its name."""
    ending = name.removesuffix("_total").rpartition("_")[2]
    return next((unit for unit in Unit if unit and unit == ending), Unit.NONE)


def problem(status: int, title: str, detail: str) -> Document:
    """An error as RFC 9457 has it."""
    return {"type": "about:blank", "status": status, "title": title, "detail": detail}


def series_document(series: SeriesHistory, zone: tzinfo) -> Document:
    """A series for programs."""
    points = [{"at": stamp(p.at, zone), "min": p.lowest, "mean": p.mean, "max": p.highest} for p in series.points]
    return {
        "name": series.name,
        "target": series.target,
        "labels": series.labels,
        "unit": series.unit,
        "type": series.type,
        "since": stamp(series.since, zone),
        "until": stamp(series.until, zone),
        "points": points,
        "min": series.lowest,
        "mean": series.mean,
        "max": series.highest,
        "last": series.last,
    }


def statement_documents(found: Iterable[StatementHistory]) -> list[Document]:
    """`toban statements --json` and `/api/v1/statements`."""
    return [_statement(one) for one in found]


def _statement(one: StatementHistory) -> Document:
    use = one.use
    blocks = use.hit_blocks + use.read_blocks
    return {
        "target": one.target,
        "queryid": use.queryid,
        "datname": use.datname,
        "usename": use.usename,
        "query": one.text,
        "calls": use.calls,
        "total_seconds": use.seconds,
        "mean_seconds": use.seconds / use.calls if use.calls else 0.0,
        "rows": use.rows,
        "cache_hit_ratio": use.hit_blocks / blocks if blocks else None,
        "temp_blocks": use.temp_blocks,
    }
