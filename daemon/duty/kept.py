"""What is asked of the book besides what a start takes up: dead letters, and the evidence of what is open."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from history.book.reader import open_book_reader
from toban.alerts import Notice, Standing, What
from toban.errors import TobanError


def dead_letters(path: Path, key: str | None) -> tuple[Notice, ...]:
    """What was given up; by the beginning of a key, or all."""
    with open_book_reader(path) as reader:
        found = reader.notices(standing=Standing.DEAD)
    return tuple(notice for notice in found if key is None or notice.key.startswith(key))


def once_more(dead: Iterable[Notice], now: float) -> Iterator[Notice]:
    """The same again, under the same key. An action is not: what was done by half is never done twice."""
    for notice in dead:
        if notice.what is not What.ACTION:
            yield replace(
                notice,
                standing=Standing.PENDING,
                attempts=0,
                next_at=0.0,
                settled_at=None,
                created_at=now,
                detail="",
            )


def evidence_kept(path: Path, episodes: Iterable[str]) -> dict[str, str]:
    """What was gathered when these fired. It makes messages better; nothing depends on it."""
    try:
        with open_book_reader(path) as reader:
            found = {episode: reader.evidence(episode) for episode in episodes}
    except TobanError:
        return {}
    return {episode: document for episode, document in found.items() if document}
