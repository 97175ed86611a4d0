"""Events as JSON-ready dictionaries: what `toban events --json` prints and `/api/v1/events` answers."""

from collections.abc import Iterable
from datetime import tzinfo
from typing import Any

from daemon.documents import stamp
from history.reading import PastEvent

Document = dict[str, Any]


def event_documents(found: Iterable[PastEvent], zone: tzinfo) -> list[Document]:
    """The latest first."""
    return [
        {
            "at": stamp(one.event.at, zone),
            "target": one.target,
            "kind": one.event.kind,
            "subject": one.event.subject,
            "before": one.event.before,
            "after": one.event.after,
            "detail": one.event.detail,
        }
        for one in found
    ]
