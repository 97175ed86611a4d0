"""Drafts of backups with everything filled in, so that a test names only what it is about."""

from dataclasses import replace
from typing import Any

from tests.builders import START
from toban.backups import Manifest, Method, Progress, Scope


def a_draft(name: str = "nightly", *, at: float = START, target: str = "main", **changed: Any) -> Manifest:  # noqa: ANN401 - any field
    """What is known of a dump before it is made."""
    plain = Manifest(
        id="",
        name=name,
        target=target,
        kind="postgresql",
        method=Method.DUMP,
        engine="dump",
        created_at=at,
        finished_at=at,
    )
    return replace(plain, **changed)


def a_base(name: str = "base", *, at: float = START, parent: str | None = None, **changed: Any) -> Manifest:  # noqa: ANN401 - any field
    """What is known of a base backup; an incremental one where it has a parent."""
    scope = Scope.FULL if parent is None else Scope.INCREMENTAL
    return a_draft(name, at=at, method=Method.BASE, engine="base", parent=parent, scope=scope, **changed)


def unheard(_: Progress) -> None:
    """Nobody listens."""
