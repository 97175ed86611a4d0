"""Dead letters: what was given up, found again in the book and put back on somebody's word."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from history.book.reader import open_book_reader
from toban.alerts import Notice, Standing, What


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
